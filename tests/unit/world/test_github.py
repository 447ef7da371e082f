"""GitHub's API: patience with its limits, care with the token, errors in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.world.github import GitHub
from codexctl_tasks.world.github_answers import SECONDARY_LIMIT_S, GitHubError, UnansweredError
from codexctl_tasks.world.github_connection import (
    API_URL,
    MOST_REDIRECTS,
    POLICY,
    Connection,
)
from tests.support.api_server import Answer
from tests.support.github_server import NOW_S, GitHubServer, Trouble, github_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.api_server import ApiServer
    from tests.support.fakes import FakeClock

WEB = ("shop/web", 12)


def _github(token: str, clock: FakeClock, url: str = API_URL, **more: Any) -> GitHub:
    return GitHub(Connection(token=token, clock=clock, url=url, **{"announce": print, **more}))


@pytest.fixture
def server() -> Iterator[GitHubServer]:
    """Run a small GitHub."""
    with github_server() as running:
        yield running


@pytest.fixture
def told() -> list[str]:
    """Return where the lines go that the user reads."""
    return []


@pytest.fixture
def github(server: GitHubServer, clock: FakeClock, told: list[str]) -> Iterator[GitHub]:
    """Give a client that may take 100 s."""
    made = _github("secret-token\n", clock, server.url, announce=told.append, deadline_s=100)
    yield made
    made.close()


def test_all_pages_are_read(github: GitHub, server: GitHubServer) -> None:
    """The oldest first, however many there are."""
    server.page = 2
    for number in range(5):
        server.add(f"comment {number}")

    found = github.comments(*WEB)

    assert [each.body for each in found] == [f"comment {number}" for number in range(5)]
    assert (found[0].author, found[0].is_by_bot) == ("octo", False)
    assert [request.target for request in server.requests] == [
        "/repos/shop/web/issues/12/comments?per_page=100",
        "/repos/shop/web/issues/12/comments?per_page=2&page=2",
        "/repos/shop/web/issues/12/comments?per_page=2&page=3",
    ]


def test_a_comment_is_written_changed_and_deleted(github: GitHub, server: GitHubServer) -> None:
    """As it was given, umlauts and all; a comment that is gone need not be deleted."""
    made = github.create_comment(*WEB, "Grüße 🚀\n\n`a`")
    assert server.bodies == [made.body] == ["Grüße 🚀\n\n`a`"]

    assert github.update_comment("shop/web", made.id, "new").body == "new"
    github.delete_comment("shop/web", made.id)
    github.delete_comment("shop/web", made.id)
    assert server.comments == []


def test_whose_token_it_is(server: GitHubServer, github: GitHub, clock: FakeClock) -> None:
    """A workflow's token has no user, but a name under which it comments."""
    assert github.login() == "octo"

    workflow = _github("ghs_workflow", clock, server.url)
    assert workflow.login() == "github-actions[bot]"
    workflow.close()


@pytest.mark.parametrize(
    ("trouble", "pause_s"),
    [
        (Trouble(429, "slow down", {"Retry-After": "7"}), 7),
        (Trouble(403, "abuse", {"Retry-After": "9"}), 9),
        (
            Trouble(
                403,
                "API rate limit exceeded",
                {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(NOW_S + 40)},
            ),
            41,
        ),
        (Trouble(403, "You have exceeded a secondary rate limit"), SECONDARY_LIMIT_S),
        (Trouble(429, "too many"), SECONDARY_LIMIT_S),
    ],
)
def test_a_limit_is_waited_for(
    github: GitHub, server: GitHubServer, clock: FakeClock, trouble: Trouble, pause_s: float
) -> None:
    """As long as the answer asks for, also before writing: nothing was done yet."""
    server.troubles = [trouble]

    github.create_comment(*WEB, "hello")

    assert clock.sleeps == [pause_s]
    assert server.bodies == ["hello"]


def test_a_pause_is_told(github: GitHub, server: GitHubServer, told: list[str]) -> None:
    """Nobody believes that it hangs."""
    server.troubles = [Trouble(429, "slow down", {"Retry-After": "7"})]

    github.comments(*WEB)

    [line] = told
    assert line == (
        "GET /repos/shop/web/issues/12/comments: GitHub answered 429: slow down; possible again at "
        f"2027-01-15 08:00:07 UTC; attempt 2 of {POLICY.attempts} in 7.0 s"
    )


def test_a_limit_that_lasts_too_long(
    github: GitHub, server: GitHubServer, clock: FakeClock
) -> None:
    """Exit code 5 at once, with the moment from which it is possible again."""
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(NOW_S + 1800)}
    server.troubles = [Trouble(403, "API rate limit exceeded", headers)]

    with pytest.raises(GitHubError) as caught:
        github.comments(*WEB)

    assert (caught.value.exit_code, caught.value.status) == (5, 403)
    assert "API rate limit exceeded; possible again at 2027-01-15 08:30:01 UTC" in str(caught.value)
    assert clock.sleeps == []


@pytest.mark.parametrize("header", ["9" * 30, "soon", "-1"])
def test_a_limit_without_a_meaning(github: GitHub, server: GitHubServer, header: str) -> None:
    """A proxy that writes nonsense is no reason to break down."""
    server.troubles = [
        Trouble(429, "no", {"Retry-After": header, "X-RateLimit-Reset": header}) for _ in range(3)
    ]
    with pytest.raises(GitHubError, match="possible again at"):
        github.comments(*WEB)


def test_reading_survives_bad_moments(
    github: GitHub, server: GitHubServer, clock: FakeClock
) -> None:
    """5xx and cut connections pass; changing a comment may be repeated as well."""
    number = server.add("old")
    server.troubles = [Trouble(502), Trouble(), Trouble(503)]
    assert len(github.comments(*WEB)) == 1

    server.troubles = [Trouble(is_done=True), Trouble(500, is_done=True)]
    github.update_comment("shop/web", number, "new")
    assert server.bodies == ["new"]
    assert len(clock.sleeps) == 5


def test_a_server_that_says_when_it_is_back(
    github: GitHub, server: GitHubServer, clock: FakeClock
) -> None:
    """During maintenance it is not asked before that."""
    server.troubles = [Trouble(503, headers={"Retry-After": "30"})]
    github.comments(*WEB)
    assert clock.sleeps == [30]


@pytest.mark.parametrize("trouble", [Trouble(), Trouble(502), Trouble(is_done=True)])
def test_writing_is_not_repeated_blindly(
    github: GitHub, server: GitHubServer, trouble: Trouble
) -> None:
    """Nobody knows whether it has arrived: the caller must look."""
    server.troubles = [trouble]

    with pytest.raises(UnansweredError):
        github.create_comment(*WEB, "hello")

    assert len(server.sent("POST")) == 1


def test_a_server_that_is_away(clock: FakeClock, told: list[str]) -> None:
    """It is tried for a while, also for writing, as nothing was sent."""
    with github_server() as gone:
        url = gone.url
    github = _github("t", clock, url, announce=told.append)

    with pytest.raises(GitHubError, match="no usable answer from http://127"):
        github.create_comment(*WEB, "hello")
    assert len(told) == POLICY.attempts - 1


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (Trouble(401, "Bad credentials"), "the token has expired or was revoked"),
        (Trouble(403, "Resource not accessible"), "the token needs the permission issues: write"),
        (
            Trouble(403, "no", {"X-Accepted-GitHub-Permissions": "pull_requests=write"}),
            "the token needs the permission pull_requests=write",
        ),
        (Trouble(404, "Not Found"), "it does not exist, or the token may not see it"),
        (Trouble(410, "This issue was deleted"), "it was deleted, or issues are switched off"),
        (Trouble(422, "Validation Failed"), "GitHub answered 422: Validation Failed"),
    ],
)
def test_refusals_say_what_to_do(
    github: GitHub, server: GitHubServer, trouble: Trouble, said: str
) -> None:
    """At once, in one line, without the token."""
    server.troubles = [trouble]

    with pytest.raises(GitHubError) as caught:
        github.create_comment(*WEB, "hello")

    assert said in str(caught.value)
    assert "secret-token" not in str(caught.value)
    assert len(server.requests) == 1


def test_a_renamed_repository_is_followed(github: GitHub, server: GitHubServer) -> None:
    """Reading and writing, on the same host."""
    server.renamed = f"{server.url}/repos/shop/web"

    github.create_comment("old/web", 12, "hello")

    assert [each.body for each in github.comments("old/web", 12)] == ["hello"]


def test_the_token_stays_on_its_host(github: GitHub, server: GitHubServer) -> None:
    """Neither a redirection nor a next page takes it elsewhere."""
    with github_server() as other:
        server.renamed = f"{other.url}/repos/shop/web"
        with pytest.raises(GitHubError, match="the token is not sent to another host"):
            github.comments("old/web", 12)

        server.page, server.url = 1, other.url
        server.add("one")
        server.add("two")
        with pytest.raises(GitHubError, match="the token is not sent to another host"):
            github.comments(*WEB)
        assert other.requests == []


@pytest.mark.parametrize("address", ["http://[", "http://127.0.0.1:99999/", "mailto:octo"])
def test_a_redirection_to_nowhere(github: GitHub, server: GitHubServer, address: str) -> None:
    """What nobody can read is not followed."""
    server.troubles = [Trouble(301, headers={"Location": address})]

    with pytest.raises(GitHubError, match="the token is not sent to another host"):
        github.comments(*WEB)


def test_a_redirection_without_an_end(github: GitHub, server: GitHubServer) -> None:
    """Is not followed for ever."""
    server.renamed = "/repos/old/web"

    with pytest.raises(GitHubError, match="redirected without an end"):
        github.comments("old/web", 12)
    assert len(server.requests) == MOST_REDIRECTS


@pytest.mark.parametrize(
    "url",
    [
        *("http://github.example/api/v3", "ftp://github.example", "github.example", ""),
        *("https://user:word@github.example", "https://github.example?x=1", "https://"),
        *("https://[", "https://github.example:99999"),
    ],
)
def test_addresses_that_are_not_used(clock: FakeClock, url: str) -> None:
    """A token never goes over the network unprotected."""
    with pytest.raises(GitHubError, match="GITHUB_API_URL"):
        _github("t", clock, url)


def test_a_certificate_that_nobody_trusts(
    tls_server: ApiServer, clock: FakeClock, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token is not sent; an authority of one's own is named as for other programs."""
    distrusting = _github("t", clock, tls_server.address)
    with pytest.raises(GitHubError, match="its certificate is not accepted: self-signed"):
        distrusting.login()
    assert (tls_server.requests, clock.sleeps) == ([], [])

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tls_server.will(Answer({"login": "octo"}))
    trusting = _github("t", clock, f"{tls_server.address}/api/v3/")
    assert trusting.login() == "octo"
    trusting.close()
    assert [request.path for request in tls_server.requests] == ["/api/v3/user"]


def test_what_is_no_github(
    tls_server: ApiServer, clock: FakeClock, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers of another shape are one line, not a defect."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    github = _github("t", clock, tls_server.address, deadline_s=0)
    for body in ({"comments": []}, [5], [{"id": "x"}], b"<html>", [{"user": "octo", "id": 1}]):
        tls_server.will(Answer(body))
        with pytest.raises(GitHubError):
            github.comments(*WEB)
    github.close()


def test_a_token_that_is_none(clock: FakeClock) -> None:
    """It is refused without being shown."""
    with pytest.raises(GitHubError) as caught:
        _github("two words", clock)
    assert "two words" not in str(caught.value)
