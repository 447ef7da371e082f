"""What GitHub tells of issues, pull requests, runs and branches; answers that are no GitHub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.world.github import GitHub
from codexctl_tasks.world.github_answers import GitHubError, Reason
from codexctl_tasks.world.github_connection import POLICY, Connection
from tests.support.github_server import GitHubServer, Trouble, github_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.fakes import FakeClock

REPO = "shop/web"


@pytest.fixture
def server() -> Iterator[GitHubServer]:
    """Run a small GitHub."""
    with github_server() as running:
        yield running


@pytest.fixture
def github(server: GitHubServer, clock: FakeClock) -> Iterator[GitHub]:
    """Give a client that may take 100 s."""
    given: dict[str, Any] = {"announce": print, "deadline_s": 100}
    made = GitHub(Connection(token="secret-token", clock=clock, url=server.url, **given))
    yield made
    made.close()


def _reason(call: Callable[[], object]) -> Reason:
    with pytest.raises(GitHubError) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert "secret-token" not in str(caught.value)
    return caught.value.reason


def test_an_issue(github: GitHub, server: GitHubServer) -> None:
    """State, labels of both shapes, an author who is gone."""
    labels = [{"name": "[ai-model-x]"}, "bug"]
    server.facts.add_issue(7, state="closed", labels=labels, user=None, locked=True, body="text")

    found = github.issue(REPO, 7)

    assert (found.repository, found.number, found.is_open) == (REPO, 7, False)
    assert (found.labels, found.author, found.body) == (("[ai-model-x]", "bug"), "", "text")
    assert (found.is_locked, found.is_pull_request) == (True, False)


def test_an_issue_that_has_moved(github: GitHub, server: GitHubServer) -> None:
    """It is known under its new number, by which the caller sees it."""
    server.facts.add_issue(40, title="moved here")
    server.facts.moved[9] = f"{server.url}/repos/shop/web/issues/40"

    assert (github.issue(REPO, 9).number, github.issue(REPO, 9).title) == (40, "moved here")


def test_why_there_is_no_issue(github: GitHub, server: GitHubServer) -> None:
    """Deleted, missing and forbidden are three things: only the first is certain."""
    server.facts.deleted.add(8)

    assert _reason(lambda: github.issue(REPO, 8)) is Reason.GONE
    assert _reason(lambda: github.issue(REPO, 99)) is Reason.NOT_FOUND
    assert _reason(lambda: github.issue("shop/other", 12)) is Reason.NOT_FOUND
    server.troubles = [Trouble(403, "Resource not accessible by integration")]
    assert _reason(lambda: github.issue(REPO, 12)) is Reason.FORBIDDEN
    server.troubles = [Trouble(401, "Bad credentials")]
    assert _reason(lambda: github.issue(REPO, 12)) is Reason.UNAUTHORIZED
    server.troubles = [Trouble(429, "slow down", {"Retry-After": "1000"})]
    assert _reason(lambda: github.issue(REPO, 12)) is Reason.LIMITED
    server.troubles = [Trouble(502)] * POLICY.attempts
    assert _reason(lambda: github.issue(REPO, 12)) is Reason.UNAVAILABLE


def test_single_sign_on(github: GitHub, server: GitHubServer) -> None:
    """What is missing is no permission; the one-time address in the answer is not shown."""
    headers = {"X-GitHub-SSO": "required; url=https://github.example/sso?authorization_request=A1"}
    server.troubles = [Trouble(403, "Resource protected by organization SAML", headers)]
    with pytest.raises(GitHubError, match="for the single sign-on of the organisation") as caught:
        github.issue(REPO, 12)
    assert "A1" not in str(caught.value)


def test_a_pull_request(github: GitHub, server: GitHubServer) -> None:
    """Where its commits come from, and whether it was merged."""
    server.facts.add_pull(15, "ai-12", draft=True)
    merged = {"state": "closed", "merged_at": "2026-11-26T10:00:00Z"}
    server.facts.add_pull(16, "ai-13", **merged)

    found, done = github.pull_request(REPO, 15), github.pull_request(REPO, 16)

    assert (found.head_repository, found.head_ref, found.base_ref) == (REPO, "ai-12", "main")
    assert len(found.head_sha) == len(found.base_sha) == 40
    assert (found.is_open, found.is_merged, found.is_draft) == (True, False, True)
    assert (done.is_open, done.is_merged, done.is_from_fork) == (False, True, False)
    assert github.issue(REPO, 15).is_pull_request
    assert _reason(lambda: github.pull_request(REPO, 12)) is Reason.NOT_FOUND


@pytest.mark.parametrize("repository", ["mallory/web", None])
def test_a_fork(github: GitHub, server: GitHubServer, repository: str | None) -> None:
    """One that was deleted meanwhile is a fork, too."""
    server.facts.add_pull(15, "ai-12", repository)

    assert github.pull_request(REPO, 15).is_from_fork


def test_the_pull_requests_of_a_branch(github: GitHub, server: GitHubServer) -> None:
    """From all pages, open ones of this repository alone."""
    server.page = 1
    server.facts.add_pull(15, "feature/a&b")
    server.facts.add_pull(16, "feature/a&b", state="closed")
    server.facts.add_pull(17, "feature/a&b", "mallory/web")
    server.facts.add_pull(18, "feature/a&b", "shop/web-copy")
    server.facts.add_pull(19, "feature/a&b")

    found = github.open_pull_requests(REPO, "feature/a&b")

    assert [each.number for each in found] == [19, 15]
    assert github.open_pull_requests(REPO, "other") == []


def test_a_run(github: GitHub, server: GitHubServer) -> None:
    """An earlier attempt is over while the next one runs."""
    server.facts.runs[5] = {"status": "in_progress", "conclusion": None, "run_attempt": 2}
    server.facts.runs[6] = {"status": "completed", "conclusion": "cancelled", "run_attempt": 1}

    running, done = github.run(REPO, 5), github.run(REPO, 6)

    assert (running.is_over(), running.is_over(2), running.is_over(1)) == (False, False, True)
    assert (done.is_over(), done.conclusion) == (True, "cancelled")
    with pytest.raises(GitHubError, match="it needs actions: read"):
        github.run(REPO, 7)


def test_a_branch(github: GitHub, server: GitHubServer) -> None:
    """It is looked at, deleted, and may be gone already; a protected one stays."""
    server.facts.add_branch("feature/a#1")
    server.facts.add_branch("main", protected=True)

    found = github.branch(REPO, "feature/a#1")
    assert found is not None
    assert (found.name, found.is_protected, len(found.sha)) == ("feature/a#1", False, 40)
    assert github.delete_branch(REPO, "feature/a#1")
    assert github.branch(REPO, "feature/a#1") is None
    assert not github.delete_branch(REPO, "feature/a#1")
    assert _reason(lambda: github.delete_branch(REPO, "main")) is Reason.REFUSED
    assert list(server.facts.branches) == ["main"]


def test_a_branch_that_was_renamed(github: GitHub, server: GitHubServer) -> None:
    """GitHub leads to the new one, which is another branch."""
    server.facts.add_branch("new")
    server.troubles = [
        Trouble(301, headers={"Location": f"{server.url}/repos/shop/web/branches/new"})
    ]

    assert github.branch(REPO, "old") is None


def test_deleting_survives_a_bad_moment(github: GitHub, server: GitHubServer) -> None:
    """Of a branch that the lost request has deleted, the second one finds nothing."""
    server.facts.add_branch("ai-12")
    server.troubles = [Trouble(is_done=True)]

    assert not github.delete_branch(REPO, "ai-12")
    assert server.facts.branches == {}


def test_a_renamed_repository(github: GitHub, server: GitHubServer) -> None:
    """It is followed, and its present name is told."""
    server.renamed = f"{server.url}/repos/shop/web"
    server.facts.add_pull(15, "ai-12")

    assert github.issue("old/web", 12).repository == REPO
    assert github.pull_request("old/web", 15).repository == REPO
    assert not github.pull_request("old/web", 15).is_from_fork


def test_a_server_of_ones_own(server: GitHubServer, clock: FakeClock) -> None:
    """Its API is below /api/v3, its GraphQL beside that."""
    given: dict[str, Any] = {"token": "ghs_workflow", "clock": clock, "announce": print}
    github = GitHub(Connection(url=f"{server.url}/api/v3/", **given))

    assert github.issue(REPO, 12).number == 12
    assert github.login() == "github-actions[bot]"
    assert [request.target for request in server.requests][-1] == "/api/graphql"
    github.close()


@pytest.mark.parametrize(
    "name", ["", "web", "../../user", "shop/..", "shop/web/../api", "a/b?c", "a/b#c"]
)
def test_names_that_lead_elsewhere(github: GitHub, server: GitHubServer, name: str) -> None:
    """A record that somebody edited must not make another request of one; nothing is sent."""
    assert _reason(lambda: github.issue(name, 12)) is Reason.REFUSED
    assert _reason(lambda: github.delete_branch(name, "ai-12")) is Reason.REFUSED
    assert _reason(lambda: github.comments(name, 12)) is Reason.REFUSED
    assert server.requests == []


@pytest.mark.parametrize("name", ["", "..", "../tags/v1", "a/../../x", "/a", "a/", "a//b", "a/./b"])
def test_branches_that_lead_elsewhere(github: GitHub, server: GitHubServer, name: str) -> None:
    """No tag is deleted as a branch."""
    assert _reason(lambda: github.delete_branch(REPO, name)) is Reason.REFUSED
    assert server.requests == []


def test_odd_branches(github: GitHub, server: GitHubServer) -> None:
    """Whatever else git allows is deleted under its own name."""
    for name in ("a?b", "a%2Fb", "ветка/1", "a b", "@x&y"):
        server.facts.add_branch(name)
        found = github.branch(REPO, name)
        assert found is not None
        assert found.name == name
        assert github.delete_branch(REPO, name)


HOSTILE = [
    [],
    {},
    5,
    "text",
    None,
    True,
    {"number": "12"},
    {"number": True, "state": "open", "repository_url": "/repos/shop/web"},
    {"number": 12, "state": "ajar", "repository_url": "/repos/shop/web"},
    {"number": 12, "state": None, "repository_url": "/repos/shop/web"},
    {"number": 12, "state": "open", "repository_url": "/repos/shop/web", "labels": "bug"},
    {"number": 12, "state": "open", "repository_url": "/repos/shop/web", "labels": [7]},
    {"number": 12, "state": "open", "repository_url": "/repos/shop/web", "user": "octo"},
    {"number": 12, "state": "open", "repository_url": "/repos/shop/web", "locked": "no"},
    {"number": 12, "state": "open", "repository_url": ""},
    b"[" * 200_000,
    b'{"number": Infinity, "state": "open"}',
    b'{"number": ' + b"9" * 5000 + b"}",
    b"\xff\xfe",
    b"<html>",
]


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_answers_that_are_no_github(server: GitHubServer, clock: FakeClock, body: Any) -> None:
    """One line each, and nobody takes it for an issue that is missing or closed."""
    given: dict[str, Any] = {"announce": print, "deadline_s": 0}
    github = GitHub(Connection(token="secret-token", clock=clock, url=server.url, **given))
    questions: list[Callable[[], object]] = [
        lambda: github.issue(REPO, 12),
        lambda: github.pull_request(REPO, 12),
        lambda: github.run(REPO, 12),
        lambda: github.branch(REPO, "main"),
        lambda: github.query("query { x }", {}),
    ]
    for question in questions:
        server.troubles = [Trouble(200, body=body)]
        assert _reason(question) is Reason.UNAVAILABLE
    github.close()


@pytest.mark.parametrize(
    "body",
    [b"[" * 200_000, {"errors": 5}, {"errors": ["text", None]}, [], {"message": "x" * 10_000}],
    ids=range(5),
)
def test_refusals_of_any_shape(github: GitHub, server: GitHubServer, body: Any) -> None:
    """What cannot be read is shown in part."""
    server.troubles = [Trouble(422, body=body)]
    with pytest.raises(GitHubError) as caught:
        github.issue(REPO, 12)
    assert (caught.value.status, caught.value.reason) == (422, Reason.REFUSED)
    assert len(str(caught.value)) < 500


def test_the_default_branch(github: GitHub) -> None:
    """It is asked for: not every repository calls it main."""
    assert github.default_branch(REPO) == "main"
    assert _reason(lambda: github.default_branch("shop/none")) is Reason.NOT_FOUND


def test_where_histories_meet(github: GitHub, server: GitHubServer) -> None:
    """A commit that nobody knows is in no history."""
    assert github.merge_base(REPO, "main", "a" * 40) == ""
    met = {("rel/1", "a" * 40): "a" * 40, ("rel/1", "b" * 40): "c" * 40}
    server.facts.merge_base = lambda branch, commit: met.get((branch, commit), "")
    assert github.merge_base(REPO, "rel/1", "a" * 40) == "a" * 40
    assert github.merge_base(REPO, "rel/1", "b" * 40) == "c" * 40
    assert github.merge_base(REPO, "rel/1", "d" * 40) == ""


def test_opening_a_pull_request(github: GitHub, server: GitHubServer) -> None:
    """It is not sent twice; later its text can be changed and reviews be asked for."""
    given: dict[str, Any] = {"head": "codex/issue-12", "base": "main", "title": "T", "body": "B"}
    opened = github.create_pull_request(REPO, **given, is_draft=True)
    assert (opened.is_draft, opened.head_ref, opened.title) == (True, "codex/issue-12", "T")
    assert _reason(lambda: github.create_pull_request(REPO, **given, is_draft=True)) == "refused"

    github.update_pull_request(REPO, opened.number, "new")
    for reviewer in ("ann", "shop/backend"):
        github.request_review(REPO, opened.number, reviewer)
    assert _reason(lambda: github.request_review(REPO, opened.number, "stranger")) == "refused"
    known = server.facts.pulls[opened.number]
    assert (known["body"], known["reviewers"]) == ("new", ["ann", "backend"])

    server.troubles = [Trouble(502)]
    assert (
        _reason(lambda: github.create_pull_request(REPO, **given, is_draft=True)) == "unavailable"
    )
    assert len(server.sent("POST")) == 6
