"""Registries that want to know who asks: passwords, tokens, helpers, other hosts."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.references import parse_reference
from codexctl_tasks.registry.interface import Descriptor, RegistryError
from tests.images.conftest import Bench, words
from tests.support.faulty_proxy import Fault, faulty_proxy
from tests.support.images import Pusher, digest_of, layer
from tests.support.registries import IDENTITY_TOKEN, PASSWORD, USER, registry, token_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.registries import TokenServer

WRONG = "hunter2-wrong"


def _log_in(folder: Path, host: str, password: str = PASSWORD, **more: Any) -> None:
    """Write what ``docker login`` writes."""
    pair = base64.b64encode(f"{USER}:{password}".encode()).decode()
    file = folder / ".docker" / "config.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"auths": {host: more or {"auth": pair}}}))


@pytest.fixture
def locked(bench: Bench, tmp_path: Path) -> Iterator[Bench]:
    """Return a bench whose target wants a password."""
    with (
        registry(tmp_path / "locked", passwords=True) as target,
        faulty_proxy(target.host) as proxy,
    ):
        mine = Bench(tmp_path, bench.source, proxy)
        mine.pusher.image("locked", "1", [layer("locked", 20_000)])
        mine.arrived = Pusher(target.host, USER, PASSWORD)
        yield mine
        mine.close()


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    """Run a server of tokens."""
    with token_server() as server:
        yield server


@pytest.fixture
def guarded(bench: Bench, tmp_path: Path, tokens: TokenServer) -> Iterator[Bench]:
    """Return a bench whose target wants tokens."""
    with (
        registry(tmp_path / "guarded", tokens=tokens) as target,
        faulty_proxy(target.host) as proxy,
    ):
        mine = Bench(tmp_path, bench.source, proxy)
        mine.pusher.image("guarded", "1", [layer("guarded", 20_000)])
        yield mine
        mine.close()


def test_with_a_password(locked: Bench) -> None:
    """As `docker login` has left it; the source is not told."""
    _log_in(locked.folder, locked.target.host)

    assert words(locked.mirror("locked:1")) == ["copied"]

    assert locked.arrived.raw("mirror/locked", "1") == locked.pusher.raw("locked", "1")
    assert not any("authorization" in each.headers for each in locked.source.seen)
    refused = [each for each in locked.target.seen if "authorization" not in each.headers]
    assert [each.target for each in refused] == ["/v2/"]


def test_with_a_wrong_password(locked: Bench) -> None:
    """Told once, by whom; the password itself is nowhere."""
    _log_in(locked.folder, locked.target.host, WRONG)

    [result] = locked.mirror("locked:1")

    assert str(result.error) == (
        f"{locked.target.host}/mirror/locked: does not accept {USER} and the password (401), "
        "or they do not allow this: log in again (docker login)"
    )
    assert result.error is not None
    assert result.error.exit_code == 4
    assert WRONG not in repr(result) + "".join(locked.told)
    assert locked.clock.sleeps == []


def test_without_a_login(locked: Bench) -> None:
    """What to do about it."""
    [result] = locked.mirror("locked:1")

    assert str(result.error) == (
        f"{locked.target.host}/mirror/locked: is not there, or not for everybody: nobody is "
        f"logged in here (401): docker login {locked.target.host}"
    )


def test_with_tokens(guarded: Bench, tokens: TokenServer) -> None:
    """One token for a repository is enough for all that is done there."""
    _log_in(guarded.folder, guarded.target.host)

    assert words(guarded.mirror("guarded:1")) == ["copied"]

    assert tokens.asked == [["repository:mirror/guarded:pull,push"]]
    assert words(guarded.mirror("guarded:1")) == ["unchanged"]
    assert guarded.target.lines() == ["HEAD /v2/mirror/guarded/manifests/1"]


def test_a_mount_with_tokens(guarded: Bench, tokens: TokenServer) -> None:
    """The token says that both repositories may be used."""
    _log_in(guarded.folder, guarded.target.host)
    base = layer("mounted", 100_000)
    for name in ("a", "b"):
        guarded.pusher.image(f"token-{name}", "1", [base])

    results = guarded.mirror("token-a:1", "token-b:1")

    assert words(results) == ["copied", "copied"]
    assert sorted(result.mounted for result in results) == [0, len(base.data)]
    both = [asked for asked in tokens.asked if len(asked) == 2]
    assert len(both) == 1
    assert {each.rpartition(":")[2] for each in both[0]} == {"pull", "pull,push"}


def test_with_an_identity_token(guarded: Bench, tokens: TokenServer) -> None:
    """Given out by some registries in place of a password."""
    _log_in(guarded.folder, guarded.target.host, identitytoken=IDENTITY_TOKEN)
    assert words(guarded.mirror("guarded:1")) == ["copied"]
    assert tokens.asked == [["repository:mirror/guarded:pull,push"]]

    _log_in(guarded.folder, guarded.target.host, identitytoken=WRONG)
    [result] = guarded.mirror("guarded:1")
    assert "does not accept its token (401)" in str(result.error)
    assert WRONG not in repr(result) + "".join(guarded.told)


def test_a_helper_knows_the_password(guarded: Bench) -> None:
    """Docker's helpers are asked as Docker asks them."""
    helper = guarded.folder / "docker-credential-shelf"
    helper.write_text(
        "#!/bin/sh\n"
        'echo noise >&2; [ "$1" = get ] && [ "$(cat)" = "$SHELF" ] || exit 1\n'
        f'echo \'{{"Username": "{USER}", "Secret": "{PASSWORD}"}}\'\n'
    )
    helper.chmod(0o755)
    config = guarded.folder / "config.json"
    config.write_text(json.dumps({"credHelpers": {guarded.target.host: "shelf"}}))
    client = guarded.client(
        DOCKER_CONFIG=str(guarded.folder),
        SHELF=guarded.target.host,
        PATH=f"{guarded.folder}:/usr/bin:/bin",
    )

    assert words(guarded.mirror("guarded:1", client=client)) == ["copied"]


def test_a_token_that_is_not_accepted_any_more(guarded: Bench, tokens: TokenServer) -> None:
    """It is replaced once, also in the middle of an upload."""
    _log_in(guarded.folder, guarded.target.host)
    challenge = f'Bearer realm="{tokens.address}/token",service="registry",error="invalid_token"'
    expired = {"WWW-Authenticate": challenge}
    guarded.target.will(
        Fault("POST", "/blobs/uploads/", 401, expired),
        Fault("PUT", "/blobs/uploads/", 401, expired),
        Fault("PUT", "/manifests/1", 401, expired),
    )

    assert words(guarded.mirror("guarded:1")) == ["copied"]
    assert len(set(tokens.given)) == 4


def test_a_token_that_is_never_accepted(guarded: Bench, tokens: TokenServer) -> None:
    """It is replaced once, and then it is the login that is wrong."""
    _log_in(guarded.folder, guarded.target.host)
    expired = {"WWW-Authenticate": f'Bearer realm="{tokens.address}/token",service="registry"'}
    guarded.target.will(Fault("POST", "/blobs/uploads/", 401, expired, times=100))

    [result] = guarded.mirror("guarded:1", jobs=1)

    assert "(401)" in str(result.error)
    assert len(guarded.target.lines("POST", "/blobs/uploads/")) == 2
    assert guarded.clock.sleeps == []


def test_a_token_lives_as_long_as_it_says(guarded: Bench, tokens: TokenServer) -> None:
    """A new one is fetched before the old one ends."""
    _log_in(guarded.folder, guarded.target.host)
    tokens.life_s = 1
    client = guarded.client()
    target = parse_reference(f"{guarded.target.host}/mirror/guarded:1")

    assert client.find(target) is None
    time = guarded.clock.now()
    guarded.clock.now = lambda: time + 1  # type: ignore[method-assign]
    assert client.find(target) is None

    assert len(tokens.given) == 2
    assert all(each.headers.get("authorization") for each in guarded.target.seen[1:])


def test_a_token_server_that_is_out_of_order(guarded: Bench, tokens: TokenServer) -> None:
    """It is asked again, and then named."""
    _log_in(guarded.folder, guarded.target.host)
    tokens.refuses = 503

    [result] = guarded.mirror("guarded:1", jobs=1)

    assert "answered 503: TOOMANYREQUESTS: slowly" in str(result.error)
    assert len(tokens.asked) == 6


def test_anybody_may_read(guarded: Bench, tokens: TokenServer) -> None:
    """A token for nobody in particular is enough for that, and not for more."""
    tokens.allows_anybody = True
    client = guarded.client()
    target = parse_reference(f"{guarded.target.host}/mirror/guarded:1")

    assert client.find(target) is None
    with pytest.raises(RegistryError, match=r"nobody is logged in here .401.: docker login"):
        client.write_blob(target, Descriptor(digest_of(b"x"), "", 1), [b"x"])


def test_another_host_is_not_told_who_we_are(locked: Bench, bench: Bench) -> None:
    """Blobs often come from a storage of somebody else; what it is told is the address alone."""
    _log_in(locked.folder, locked.target.host)
    data = layer("storage", 10_000).data
    digest = bench.pusher.blob("storage", data)
    elsewhere = f"http://{bench.source.host}/v2/storage/blobs/{digest}"
    locked.target.will(Fault("GET", "/blobs/", 307, {"Location": elsewhere}))
    repository = parse_reference(f"{locked.target.host}/mirror/locked")

    pieces = locked.client().read_blob(repository, Descriptor(digest, "", len(data)))

    assert b"".join(pieces) == data
    [asked] = [each for each in bench.source.seen if digest in each.target]
    assert "authorization" not in asked.headers
    assert locked.target.seen[-1].headers["authorization"].startswith("Basic ")


def test_another_host_may_not_ask_who_we_are(locked: Bench, bench: Bench) -> None:
    """Whoever a registry sends us to gets no password, however it asks for one."""
    _log_in(locked.folder, locked.target.host)
    elsewhere = f"http://{bench.source.host}"
    challenge = {"WWW-Authenticate": f'Bearer realm="{elsewhere}/token",service="x"'}
    locked.target.will(Fault("GET", "/blobs/", 307, {"Location": f"{elsewhere}/storage"}))
    bench.source.will(Fault("GET", "/storage", 401, challenge))
    repository = parse_reference(f"{locked.target.host}/mirror/locked")

    with pytest.raises(RegistryError, match="the registry answered 401: FAULT") as caught:
        list(locked.client().read_blob(repository, Descriptor(digest_of(b""), "", 1)))

    assert caught.value.status == 401
    assert bench.source.lines() == ["GET /storage"]
    assert "authorization" not in bench.source.seen[-1].headers


def test_redirects_on_the_same_host(bench: Bench) -> None:
    """A path alone is resolved, and one without an end is noticed."""
    bench.pusher.image("moved", "1", [layer("moved")])
    there = {"Location": "../../moved/manifests/1"}
    bench.source.will(Fault("HEAD", "/gone/manifests/", 301, there))
    client = bench.client()
    gone = parse_reference(f"{bench.source.host}/gone:1")

    assert client.find(gone) == client.find(parse_reference(f"{bench.source.host}/moved:1"))

    again = {"Location": "/v2/gone/manifests/1"}
    bench.source.will(Fault("HEAD", "/gone/manifests/", 301, again, times=100))
    with pytest.raises(RegistryError, match="sends us on and on"):
        client.find(gone)


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://10.1.2.3/blob",
        "http://127.0.0.1:9/blob",
        "http://[::1]:9/blob",
        "http://localhost:9/blob",
    ],
)
def test_nobody_leads_us_into_a_private_network(bench: Bench, location: str) -> None:
    """A registry of the internet has no business there; the answer might be told to it."""
    client = bench.client(
        plain=["registry.example"],
        http_proxy=f"http://{bench.source.host}",
        no_proxy="169.254.169.254",
    )
    bench.source.will(
        Fault("GET", "registry.example/v2/$", 200),
        Fault("HEAD", "registry.example/v2/a/", 307, {"Location": location}),
    )

    with pytest.raises(RegistryError, match=r"^registry.example: sends us to .* private network"):
        client.find(parse_reference("registry.example/a:1"))
