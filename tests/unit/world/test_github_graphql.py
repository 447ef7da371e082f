"""Questions in GraphQL: pages, and refusals that come with status 200."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.world.github import GitHub
from codexctl_tasks.world.github_answers import (
    SECONDARY_LIMIT_S,
    GitHubError,
    Reason,
    UnansweredError,
)
from codexctl_tasks.world.github_connection import Connection
from tests.support.github_server import NOW_S, GitHubServer, Trouble, github_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.fakes import FakeClock

THREADS = """
query ($owner: String!, $name: String!, $cursor: String) {
  repository(owner: $owner, name: $name) {
    threads(first: 100, after: $cursor) { nodes { id } pageInfo { hasNextPage endCursor } }
  }
}
"""
WEB = {"owner": "shop", "name": "web"}
PATH = ("repository", "threads")
VIEWER = "query { viewer { login } }"


@pytest.fixture
def server() -> Iterator[GitHubServer]:
    """Run a small GitHub with five threads, of which one is hidden."""
    with github_server() as running:
        running.facts.lists["threads"] = [{"id": 1}, {"id": 2}, None, {"id": 4}, {"id": 5}]
        yield running


@pytest.fixture
def github(server: GitHubServer, clock: FakeClock) -> Iterator[GitHub]:
    """Give a client that may take 100 s."""
    given: dict[str, Any] = {"announce": print, "deadline_s": 100}
    made = GitHub(Connection(token="secret-token", clock=clock, url=server.url, **given))
    yield made
    made.close()


def _errors(*errors: Any, data: Any = None, **headers: str) -> Trouble:
    return Trouble(200, headers=headers, body={"data": data, "errors": list(errors)})


def test_all_pages_are_read(github: GitHub, server: GitHubServer) -> None:
    """By their cursors; what the token may not see is left out."""
    assert [each["id"] for each in github.nodes(THREADS, WEB, *PATH)] == [1, 2, 4, 5]

    sent = [request.body for request in server.sent("POST")]
    assert [each["variables"]["cursor"] for each in sent] == [None, "2", "4"]
    assert {each["query"] for each in sent} == {THREADS}


def test_values_stay_out_of_the_text(github: GitHub, server: GitHubServer) -> None:
    """Whatever a value is, it is a value."""
    with pytest.raises(GitHubError, match="Could not resolve"):
        list(github.nodes(THREADS, {"owner": '"}}', "name": "web"}, *PATH))
    assert server.requests[0].body["query"] == THREADS


@pytest.mark.parametrize(
    ("error", "reason", "status"),
    [
        ({"type": "NOT_FOUND", "message": "Could not resolve"}, Reason.NOT_FOUND, 404),
        ({"type": "FORBIDDEN", "message": "Resource not accessible"}, Reason.FORBIDDEN, 403),
        ({"type": "INSUFFICIENT_SCOPES", "message": "needs repo"}, Reason.FORBIDDEN, 403),
        ({"message": 'Parse error on "}"'}, Reason.REFUSED, 422),
        ({"type": 5, "message": None}, Reason.REFUSED, 422),
        ("text", Reason.REFUSED, 422),
    ],
)
def test_refusals(
    github: GitHub, server: GitHubServer, error: Any, reason: Reason, status: int
) -> None:
    """They are refusals also beside data: half an answer is none."""
    server.troubles = [_errors(error, data={"viewer": {"login": "octo"}})]

    with pytest.raises(GitHubError) as caught:
        github.query(VIEWER, {})

    assert (caught.value.reason, caught.value.status) == (reason, status)
    assert str(caught.value).startswith("POST /graphql: GitHub answered: ")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("trouble", "pause_s"),
    [
        (
            _errors(
                {"type": "RATE_LIMITED", "message": "API rate limit exceeded"},
                **{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(NOW_S + 40)},
            ),
            41,
        ),
        (_errors({"type": "RATE_LIMIT", "message": "too many"}, **{"Retry-After": "7"}), 7),
        (_errors({"message": "You have exceeded a secondary rate limit"}), SECONDARY_LIMIT_S),
        (Trouble(403, "You have exceeded a secondary rate limit"), SECONDARY_LIMIT_S),
    ],
)
def test_a_limit_is_waited_for(
    github: GitHub, server: GitHubServer, clock: FakeClock, trouble: Trouble, pause_s: float
) -> None:
    """As long as the answer asks for."""
    server.troubles = [trouble]

    assert github.query(VIEWER, {}) == {"viewer": {"login": "octo"}}
    assert clock.sleeps == [pause_s]


def test_a_limit_that_lasts_too_long(github: GitHub, server: GitHubServer) -> None:
    """It is told from a refusal, and says when to come back."""
    server.troubles = [
        _errors({"type": "RATE_LIMITED", "message": "no"}, **{"Retry-After": "1800"})
    ]
    with pytest.raises(GitHubError, match="possible again at 2027-01-15 08:30:00 UTC") as caught:
        github.query(VIEWER, {})
    assert caught.value.reason is Reason.LIMITED


def test_asking_survives_bad_moments(
    github: GitHub, server: GitHubServer, clock: FakeClock
) -> None:
    """A query changes nothing, so it is repeated although it is a POST."""
    server.troubles = [
        Trouble(),
        Trouble(502),
        _errors({"message": "Something went wrong while executing your query."}),
    ]

    assert github.query(VIEWER, {}) == {"viewer": {"login": "octo"}}
    assert len(clock.sleeps) == 3


@pytest.mark.parametrize(
    "trouble",
    [Trouble(), Trouble(502), _errors({"message": "Something went wrong while executing"})],
)
def test_changing_is_not_repeated_blindly(
    github: GitHub, server: GitHubServer, trouble: Trouble
) -> None:
    """Nobody knows whether a mutation has arrived: the caller must look."""
    server.troubles = [trouble]

    with pytest.raises(UnansweredError):
        github.query("mutation { minimizeComment { clientMutationId } }", {})
    assert len(server.requests) == 1


HOSTILE = [
    {},
    {"repository": None},
    {"repository": {"threads": None}},
    {"repository": {"threads": {"nodes": {}}}},
    {"repository": {"threads": {"nodes": [], "pageInfo": None}}},
    {"repository": {"threads": {"nodes": [], "pageInfo": {"hasNextPage": "no"}}}},
    {"repository": {"threads": {"nodes": [], "pageInfo": {"hasNextPage": True}}}},
    {"repository": []},
]


@pytest.mark.parametrize("data", HOSTILE, ids=range(len(HOSTILE)))
def test_lists_of_another_shape(github: GitHub, server: GitHubServer, data: Any) -> None:
    """Never an empty list: that something is not there must be certain."""
    server.troubles = [Trouble(200, body={"data": data})]
    with pytest.raises(GitHubError, match=r"answered repository\.threads") as caught:
        list(github.nodes(THREADS, WEB, *PATH))
    assert caught.value.reason is Reason.UNAVAILABLE


def test_pages_without_an_end(github: GitHub, server: GitHubServer) -> None:
    """A cursor that leads to itself is not followed."""
    info = {"hasNextPage": True, "endCursor": "x"}
    page = {"data": {"repository": {"threads": {"nodes": [], "pageInfo": info}}}}
    server.troubles = [Trouble(200, body=page)] * 5
    with pytest.raises(GitHubError, match="pages that do not end"):
        list(github.nodes(THREADS, WEB, *PATH))
    assert len(server.requests) == 2
