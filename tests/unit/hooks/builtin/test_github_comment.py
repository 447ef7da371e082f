"""`github.comment`: one comment that is kept up to date."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from codexctl_tasks.errors import CodexctlError, ConfigurationError
from codexctl_tasks.hooks.builtin.comment_body import JOINER, MOST_CHARACTERS
from codexctl_tasks.hooks.builtin.github_comment import ATTEMPTS, comment_on_github
from tests.support.github_server import NOW_S, GitHubServer, Trouble, github_server
from tests.support.hooks import HookBench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.fakes import FakeClock

MARKER = "<!-- codexctl: shop/ai/3 -->"


@pytest.fixture
def server() -> Iterator[GitHubServer]:
    """Run a small GitHub."""
    with github_server() as running:
        yield running


@pytest.fixture
def bench(server: GitHubServer, clock: FakeClock) -> HookBench:
    """Give the hook with a person's token."""
    variables = {
        "CODEXCTL_GH_PAT": "secret-token",
        "GITHUB_TOKEN": "ghs_workflow",
        "GITHUB_API_URL": server.url,
        "GITHUB_REPOSITORY": "shop/web",
    }
    return HookBench(comment_on_github, clock=clock, variables=variables)


def _set(bench: HookBench, **variables: str) -> None:
    bench.variables = {**bench.variables, **variables}


def test_the_first_comment(bench: HookBench, server: GitHubServer) -> None:
    """It is written with its marker, and where it is to be seen is told."""
    said = bench.run(pr="12", body="**ai** is at https://shop.example")

    assert server.bodies == [f"{MARKER}\n**ai** is at https://shop.example"]
    assert said == (
        "hook     shop/web#12: wrote https://github.example/shop/web/issues/12#issuecomment-1001\n"
    )


def test_the_same_comment_later(bench: HookBench, server: GitHubServer) -> None:
    """Changed when the body differs, also when it is on a later page; else not even written."""
    server.page = 2
    for number in range(4):
        server.add(f"comment {number}")
    bench.run(issue=12, body="one")

    assert "updated https" in bench.run(issue=12, body="two")
    server.comments[-1]["body"] = f"{MARKER}\r\ntwo\r\n"
    assert "unchanged: https" in bench.run(issue=12, body="two\n")

    assert len(server.comments) == 5
    assert (len(server.sent("POST")), len(server.sent("PATCH"))) == (1, 1)


def test_another_environment_has_a_comment_of_its_own(
    bench: HookBench, server: GitHubServer
) -> None:
    """So has a marker of one's own."""
    bench.run(issue=12, body="slot 3")
    bench.slot, bench.env = 0, "staging"
    bench.run(issue=12, body="staging")
    bench.run(issue=12, body="tests", marker="tests--1")

    assert [body.split("\n")[0] for body in server.bodies] == [
        MARKER,
        "<!-- codexctl: shop/staging -->",
        "<!-- codexctl: tests--1 -->",
    ]


def test_what_others_quote_is_left_alone(bench: HookBench, server: GitHubServer) -> None:
    """A person's comment is never overwritten, wherever the marker stands in it."""
    server.add(f"> {MARKER}\nsee above")
    server.add(f"look:\n{MARKER}")
    server.add(f"{MARKER}\nmine", login="mallory")
    before = list(server.bodies)

    bench.run(issue=12, body="new")

    assert server.bodies == [*before, f"{MARKER}\nnew"]


def test_the_token_of_a_workflow(bench: HookBench, server: GitHubServer) -> None:
    """It has no name: its comments are those of a bot."""
    _set(bench, CODEXCTL_GH_PAT=" ")
    server.add(f"{MARKER}\nmine", login="mallory")

    bench.run(issue=12, body="one")
    bench.run(issue=12, body="two")

    assert server.bodies == [f"{MARKER}\nmine", f"{MARKER}\ntwo"]
    assert {request.token for request in server.requests} == {"ghs_workflow"}


def test_one_comment_each_time(bench: HookBench, server: GitHubServer) -> None:
    """With `update: false`."""
    for _ in range(2):
        bench.run(issue=12, body="again", update="false")

    assert server.bodies == ["again", "again"]
    assert server.sent("GET") == []


def test_two_runs_at_once(bench: HookBench, server: GitHubServer) -> None:
    """The older comment stays, with what was said last."""
    server.before["POST"] = lambda: server.add(f"{MARKER}\nof the other run")

    assert "updated" in bench.run(issue=12, body="of this run")

    assert server.bodies == [f"{MARKER}\nof this run"]
    assert server.comments[0]["id"] == 1001


@pytest.mark.parametrize("is_done", [True, False])
@pytest.mark.parametrize("status", [0, 502])
def test_an_answer_that_is_lost(
    bench: HookBench, server: GitHubServer, status: int, is_done: bool
) -> None:
    """The comment is looked for before it is written again."""
    server.before["POST"] = lambda: server.troubles.append(Trouble(status, is_done=is_done))

    bench.run(issue=12, body="hello")

    assert server.bodies == [f"{MARKER}\nhello"]
    assert len(server.sent("POST")) == (1 if is_done else 2)


def test_answers_that_are_always_lost(bench: HookBench, server: GitHubServer) -> None:
    """After some attempts it is an error, exit code 5."""

    def fail() -> None:
        server.troubles.append(Trouble(500))
        server.before["POST"] = fail

    server.before["POST"] = fail
    with pytest.raises(CodexctlError, match="GitHub answered 500") as caught:
        bench.run(issue=12, body="hello")
    assert (caught.value.exit_code, len(server.sent("POST"))) == (5, ATTEMPTS)


def test_a_comment_that_arrives_late(bench: HookBench, server: GitHubServer) -> None:
    """The attempt whose answer was lost shows up beside the second one: one of both stays."""

    def lose_the_first() -> None:
        server.troubles.append(Trouble())
        server.before["POST"] = lambda: server.before.update(GET=arrive)

    def arrive() -> None:
        server.add(f"{MARKER}\nhello")

    server.before["POST"] = lose_the_first
    bench.run(issue=12, body="hello")

    assert server.bodies == [f"{MARKER}\nhello"]


def test_a_limit_that_fits_into_the_step(
    bench: HookBench, server: GitHubServer, clock: FakeClock
) -> None:
    """It is waited for; one that does not fit is an error that says until when."""
    server.troubles = [Trouble(429, "slow down", {"Retry-After": "50"})]
    bench.run(issue=12, body="hello")
    assert (server.bodies, clock.sleeps) == ([f"{MARKER}\nhello"], [50])

    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(NOW_S + 61)}
    server.troubles = [Trouble(403, "API rate limit exceeded", headers)]
    with pytest.raises(CodexctlError, match="possible again at 2027-01-15 08:01:02 UTC") as caught:
        bench.run(issue=12, body="hello")
    assert (caught.value.exit_code, clock.sleeps) == (5, [50])


def test_secrets_are_not_published(bench: HookBench, server: GitHubServer) -> None:
    """What codexctl masks in its log is masked on GitHub as well, the token above all."""
    context = bench.context()
    context.hide(["hunter2-hunter2"])

    bench.run(issue=12, body="hunter2-hunter2 and secret-token", mentions=True)

    assert server.bodies == [f"{MARKER}\n*** and ***"]


def test_a_token_is_not_shown(bench: HookBench, server: GitHubServer) -> None:
    """Not even by an error that quotes it."""
    server.troubles = [Trouble(401, "bad: secret-token")]
    with pytest.raises(CodexctlError) as caught:
        bench.run(issue=12, body="x")
    assert bench.outside is not None
    bench.outside.console.error(caught.value)
    assert "secret-token" not in bench.said
    assert "the token has expired" in bench.said


def test_mentions(bench: HookBench, server: GitHubServer) -> None:
    """Nobody is called unless it is wanted."""
    bench.run(issue=12, body="@octo")
    assert server.bodies == [f"{MARKER}\n@{JOINER}octo"]
    bench.run(issue=12, body="@octo", mentions="yes")
    assert server.bodies == [f"{MARKER}\n@octo"]


def test_a_long_body(bench: HookBench, server: GitHubServer) -> None:
    """It is cut to what GitHub takes, and found again."""
    for _ in range(2):
        bench.run(issue=12, body="word @octo\n" * 10_000)

    [body] = server.bodies
    assert len(body) <= MOST_CHARACTERS
    assert (len(server.sent("POST")), len(server.sent("PATCH"))) == (1, 0)


@pytest.mark.parametrize(
    ("variables", "event"),
    [
        ({"GITHUB_REF": "refs/pull/12/merge"}, None),
        ({"GITHUB_REF": "refs/heads/main"}, {"issue": {"number": 12}}),
        ({}, {"pull_request": {"number": 12}, "number": 12}),
        ({}, {"number": 12}),
    ],
)
def test_the_number_of_the_event(
    bench: HookBench,
    server: GitHubServer,
    tmp_path: Path,
    variables: dict[str, str],
    event: dict[str, Any] | None,
) -> None:
    """In GitHub Actions neither Issue nor pull request need be named."""
    if event:
        (tmp_path / "event.json").write_text(json.dumps(event))
        variables = {**variables, "GITHUB_EVENT_PATH": str(tmp_path / "event.json")}
    _set(bench, **variables)

    bench.run(body="hello")

    assert server.comments[0]["issue"] == 12


@pytest.mark.parametrize("event", ["", "no JSON", "[1]", '{"issue": "x"}', '{"number": "12"}'])
def test_a_run_that_is_about_nothing(bench: HookBench, tmp_path: Path, event: str) -> None:
    """Exit code 3 says what to write."""
    if event:
        (tmp_path / "event.json").write_text(event)
    _set(bench, GITHUB_EVENT_PATH=str(tmp_path / "event.json"))
    with pytest.raises(ConfigurationError, match="write issue: 12 or pr: 12"):
        bench.run(body="hello")


def test_what_is_missing(bench: HookBench, server: GitHubServer) -> None:
    """Repository or token: one line each, and nothing is sent."""
    _set(bench, GITHUB_REPOSITORY="")
    with pytest.raises(ConfigurationError, match="write repo: owner/name"):
        bench.run(issue=12, body="x")
    _set(bench, GITHUB_REPOSITORY="shop/../web")
    with pytest.raises(ConfigurationError, match="is no repository"):
        bench.run(issue=12, body="x")
    _set(bench, GITHUB_REPOSITORY="shop/web", CODEXCTL_GH_PAT=" ", GITHUB_TOKEN="")
    with pytest.raises(CodexctlError, match="set CODEXCTL_GH_PAT or GITHUB_TOKEN") as caught:
        bench.run(issue=12, body="x")
    assert (caught.value.exit_code, server.requests) == (5, [])
    _set(bench, GITHUB_TOKEN="t", GITHUB_API_URL="https://[")
    with pytest.raises(CodexctlError, match="GITHUB_API_URL: is no address"):
        bench.run(issue=12, body="x")


def test_a_proxy(bench: HookBench, server: GitHubServer) -> None:
    """It is used for what it is meant for, unless the host is an exception."""
    _set(bench, HTTP_PROXY=server.url, GITHUB_API_URL="http://localhost:9")
    bench.run(issue=12, body="x")
    assert server.requests[0].target.startswith("http://localhost:9/repos/shop/web/")

    with_account = server.url.replace("//", "//me:p%40ss@")
    _set(bench, HTTP_PROXY=with_account, GITHUB_API_URL="http://localhost:9")
    bench.run(issue=12, body="y")
    account = base64.b64encode(b"me:p@ss").decode()
    assert server.requests[-1].proxy_account == f"Basic {account}"

    seen = len(server.requests)
    _set(bench, NO_PROXY="example.com, localhost", no_proxy="")
    with pytest.raises(CodexctlError, match="no usable answer from http://localhost:9"):
        bench.run(issue=12, body="x")
    assert len(server.requests) == seen


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"issue": 12}, "body"),
        ({"issue": 12, "body": " \n"}, "no empty comment"),
        ({"issue": 12, "pr": 12, "body": "x"}, "exclude each other"),
        ({"issue": 0, "body": "x"}, "greater than or equal to 1"),
        ({"issue": "twelve", "body": "x"}, "not a whole number"),
        ({"issue": 12, "body": "x", "repo": "web"}, "write owner/name"),
        ({"issue": 12, "body": "x", "repo": "shop/web/../x"}, "write owner/name"),
        ({"issue": 12, "body": "x", "repo": "shop/.."}, "write owner/name"),
        ({"issue": 12, "body": "x", "marker": "a --> <b>"}, "one line of plain text"),
        ({"issue": 12, "body": "x", "marker": "a\nb"}, "one line of plain text"),
        ({"issue": 12, "body": "x", "marker": "a" * 201}, "one line of plain text"),
        ({"issue": 12, "body": "x", "text": "x"}, "text"),
    ],
)
def test_what_no_parameters_are(bench: HookBench, given: dict[str, Any], said: str) -> None:
    """A mistake is found before anything is applied."""
    with pytest.raises(ValidationError) as caught:
        bench.run(**given)
    assert said in str(caught.value)
