"""Logins where Docker and Podman keep them; helpers are played by a function."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.registry.credentials import Login, Logins
from codexctl_tasks.world.process import Ended

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

HOST = "registry.example:5000"
SECRET = "hunter2"


class Helpers:
    """Plays ``docker-credential-...``: what each answers for an address."""

    def __init__(self, answers: Mapping[tuple[str, str], str] | None = None) -> None:
        self.answers = dict(answers or {})
        self.asked: list[tuple[str, str]] = []
        self.ended = Ended(1)
        """How those end that have no answer."""
        self.complaint = "credentials not found in native keychain"

    def __call__(self, command: Sequence[str], *, tell: Any, **_: Any) -> Ended:
        """Answer as a helper does."""
        address, helper = command[-2:]
        self.asked.append((helper, address))
        answer = self.answers.get((helper, address))
        tell(answer if answer is not None else self.complaint)
        return self.ended if answer is None else Ended(0)


class Home:
    """A home folder with logins."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.variables = {"HOME": str(folder)}
        self.helpers = Helpers()
        self.told: list[str] = []

    def write(self, file: str, content: Any) -> Path:
        """Write a file of logins."""
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def find(self, host: str = HOST, repository: str = "shop/web") -> Login | None:
        """Look for a login as a new run does."""
        return Logins(self.variables, self.helpers, self.told.append).find(host, repository)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return an empty home folder."""
    return Home(tmp_path)


def _entry(name: str = "me", secret: str = SECRET) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{name}:{secret}".encode()).decode()}


def test_nobody_is_logged_in(home: Home) -> None:
    """Then requests go without a name."""
    assert home.find() is None
    home.write(".docker/config.json", {"auths": {"other.example": _entry()}})
    assert home.find() is None
    home.write(".docker/config.json", "")
    assert home.find() is None
    home.variables.clear()
    assert home.find() is None


@pytest.mark.parametrize(
    "key", [HOST, f"https://{HOST}", f"http://{HOST}/v1/", f"https://{HOST.upper()}/v2/"]
)
def test_the_ways_to_write_a_host(home: Home, key: str) -> None:
    """All that Docker has written over the years."""
    home.write(".docker/config.json", {"auths": {key: _entry("me", "a:b")}})

    assert home.find() == Login("me", "a:b")


@pytest.mark.parametrize(
    "key", ["docker.io", "https://index.docker.io/v1/", "registry-1.docker.io", "index.docker.io"]
)
def test_the_names_of_docker_hub(home: Home, key: str) -> None:
    """They all are one registry."""
    home.write(".docker/config.json", {"auths": {key: _entry()}})

    assert home.find("docker.io", "library/redis") == Login("me", "hunter2")


def test_the_most_special_entry_counts(home: Home) -> None:
    """Podman's files may have logins for parts of a registry."""
    auths = {HOST: _entry("all"), f"{HOST}/shop": _entry("shop"), f"{HOST}/shop/web": _entry("web")}
    home.write(".config/containers/auth.json", {"auths": auths})

    assert [
        login.name
        for repository in ("shop/web", "shop/web/more", "shop/api", "shopping")
        if (login := home.find(repository=repository))
    ] == ["web", "web", "shop", "all"]


def test_the_order_of_the_files(home: Home) -> None:
    """What a variable names comes first, then Podman's, then Docker's."""
    files = [
        ("REGISTRY_AUTH_FILE", "chosen.json", "chosen.json"),
        ("XDG_RUNTIME_DIR", "run", "run/containers/auth.json"),
        ("XDG_CONFIG_HOME", "settings", "settings/containers/auth.json"),
        ("DOCKER_CONFIG", "docker", "docker/config.json"),
    ]
    for variable, value, path in reversed(files):
        home.write(path, {"auths": {HOST: _entry(variable)}})
        home.variables[variable] = str(home.folder / value)
        login = home.find()
        assert login is not None
        assert login.name == variable


def test_other_kinds_of_entries(home: Home) -> None:
    """Name and password apart, and tokens that stand for a person."""
    home.write(".docker/config.json", {"auths": {HOST: {"username": "me", "password": "p"}}})
    assert home.find() == Login("me", "p")

    home.write(
        ".docker/config.json", {"auths": {HOST: {**_entry("<token>", ""), "identitytoken": "t"}}}
    )
    assert home.find() == Login("<token>", identity_token="t")

    home.write(".docker/config.json", {"auths": {HOST: {}}})
    assert home.find() is None


def test_a_helper(home: Home) -> None:
    """It is asked once for a host; the one of the host before the one for all."""
    answer = json.dumps({"ServerURL": HOST, "Username": "me", "Secret": "hunter2"})
    home.helpers.answers = {("special", HOST): answer}
    home.write(
        ".docker/config.json", {"credHelpers": {HOST: "special"}, "credsStore": "everything"}
    )
    logins = Logins(home.variables, home.helpers, home.told.append)

    assert logins.find(HOST, "a") == logins.find(HOST, "b") == Login("me", "hunter2")
    assert logins.find("docker.io", "library/redis") is None
    assert home.helpers.asked == [
        ("special", HOST),
        ("everything", "https://index.docker.io/v1/"),
    ]
    assert home.told == []


def test_a_helper_with_an_identity_token(home: Home) -> None:
    """It says so in place of a name."""
    answer = json.dumps({"Username": "<token>", "Secret": "t"})
    home.helpers.answers = {("store", HOST): answer}
    home.write(".docker/config.json", {"credsStore": "store"})

    assert home.find() == Login("<token>", identity_token="t")


@pytest.mark.parametrize(
    ("ended", "why"),
    [
        (Ended(127), "is not installed"),
        (Ended(1), "failed"),
        (Ended(143, is_over_time=True), "did not answer within 30 s"),
    ],
)
def test_a_helper_that_fails(home: Home, ended: Ended, why: str) -> None:
    """It is told, and what the file itself says counts; its output is not repeated."""
    home.helpers.ended, home.helpers.complaint = ended, "hunter2"
    home.write(".docker/config.json", {"credsStore": "gone", "auths": {HOST: _entry()}})

    assert home.find() == Login("me", "hunter2")
    assert home.told == [f"{HOST}: docker-credential-gone {why}: going on without"]


def test_a_helper_that_says_nonsense(home: Home) -> None:
    """The same."""
    home.helpers.answers = {("odd", HOST): "hunter2"}
    home.write(".docker/config.json", {"credsStore": "odd"})

    assert home.find() is None
    assert home.told == [
        f"{HOST}: docker-credential-odd answered with something that is no login: going on without"
    ]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ('{"auths": {"x": {"auth": "hunter2', "is no JSON: log in again, or remove it"),
        ("[]", "is no JSON object"),
        ({"auths": {HOST: {"auth": "hunter2!"}}}, f"the entry of {HOST} under auths is no base64"),
    ],
)
def test_a_file_that_cannot_be_used(home: Home, content: Any, what: str) -> None:
    """Named, without what is in it: that may be a password."""
    path = home.write(".docker/config.json", content)

    with pytest.raises(ConfigurationError, match=what) as caught:
        home.find()
    assert str(caught.value).startswith(f"{path}: ")
    assert "hunter2" not in str(caught.value)


def test_logins_do_not_show_their_secrets() -> None:
    """Not even in the text of an object, which ends up in reports of defects."""
    assert "hunter2" not in repr(Login("me", "hunter2", "hunter2"))
