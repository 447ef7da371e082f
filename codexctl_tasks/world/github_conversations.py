"""What was said about an issue or a pull request, and what a pull request changes: typed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codexctl_tasks.world.github_objects import Fields
from codexctl_tasks.world.github_people import moment_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from codexctl_tasks.world.github import GitHub

_SAID = """databaseId body url createdAt lastEditedAt isMinimized viewerDidAuthor
authorAssociation author { __typename login }"""
_PAGE = "pageInfo { hasNextPage endCursor }"
_LIST = f"comments(first: 100, after: $cursor) {{ nodes {{ {_SAID} }} {_PAGE} }}"
_COMMENTS = f"""query($owner: String!, $name: String!, $number: Int!, $cursor: String) {{
repository(owner: $owner, name: $name) {{ issueOrPullRequest(number: $number) {{
... on Issue {{ {_LIST} }} ... on PullRequest {{ {_LIST} }} }} }} }}"""
_REVIEWS = f"""query($owner: String!, $name: String!, $number: Int!, $cursor: String) {{
repository(owner: $owner, name: $name) {{ pullRequest(number: $number) {{
reviews(first: 100, after: $cursor) {{ nodes {{ {_SAID} state }} {_PAGE} }} }} }} }}"""
_THREADS = f"""query($owner: String!, $name: String!, $number: Int!, $cursor: String) {{
repository(owner: $owner, name: $name) {{ pullRequest(number: $number) {{
reviewThreads(first: 50, after: $cursor) {{ nodes {{ id isResolved isOutdated path line originalLine
comments(first: 50) {{ nodes {{ {_SAID} diffHunk }} {_PAGE} }} }} {_PAGE} }} }} }} }}"""
_THREAD = f"""query($id: ID!, $cursor: String) {{ node(id: $id) {{ ... on PullRequestReviewThread {{
comments(first: 100, after: $cursor) {{ nodes {{ {_SAID} diffHunk }} {_PAGE} }} }} }} }}"""
_CHECKS = "checks: read"
_FINE = ("success", "neutral", "skipped")


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """A comment or the summary of a review."""

    id: int
    """0: unknown."""
    body: str
    author: str
    """Login; empty: of somebody who is gone."""
    is_by_bot: bool
    is_own: bool
    """Written with the token that asks."""
    association: str
    """``OWNER``, ``MEMBER``, ``COLLABORATOR``, ``NONE``, ...; it proves nothing."""
    is_minimized: bool
    created: datetime | None
    edited: datetime | None
    """When its text was changed last; None: never."""
    url: str
    state: str = ""
    """Of a review: ``CHANGES_REQUESTED``, ``APPROVED``, ``COMMENTED``, ...; else empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Talk:
    """What reviewers say about one place in the code."""

    path: str
    line: int
    """In the new version, of an outdated one in the old version; 0: the whole file."""
    hunk: str
    """Part of the diff that it is about."""
    is_resolved: bool
    is_outdated: bool
    """The code has changed since."""
    comments: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """A file of a pull request."""

    path: str
    status: str
    """``added``, ``modified``, ``removed``, ``renamed``, ..."""
    additions: int
    deletions: int


@dataclass(frozen=True, slots=True)
class Check:
    """A check of a commit that has failed."""

    name: str
    conclusion: str
    """``failure``, ``timed_out``, ``cancelled``, ``error``, ..."""
    summary: str
    """What it says itself; may be empty."""
    url: str


def read_comments(github: GitHub, repository: str, number: int) -> list[Said]:
    """Return the comments on an issue or a pull request, the oldest first."""
    path = ("repository", "issueOrPullRequest", "comments")
    return [_said(each) for each in github.nodes(_COMMENTS, _about(repository, number), *path)]


def read_reviews(github: GitHub, repository: str, number: int) -> list[Said]:
    """Return the reviews of a pull request with their summaries, the oldest first."""
    path = ("repository", "pullRequest", "reviews")
    return [_said(each) for each in github.nodes(_REVIEWS, _about(repository, number), *path)]


def read_talks(github: GitHub, repository: str, number: int) -> list[Talk]:
    """Return the review threads of a pull request."""
    path = ("repository", "pullRequest", "reviewThreads")
    found = github.nodes(_THREADS, _about(repository, number), *path)
    return [_talk(github, Fields(each, "review thread")) for each in found]


def read_changed_files(github: GitHub, repository: str, number: int) -> list[ChangedFile]:
    """Return the files that a pull request changes; GitHub names at most 3,000."""
    address = f"{github.path(repository)}/pulls/{number}/files?per_page=100"
    return [
        ChangedFile(
            found.text("filename"),
            found.text("status"),
            found.number("additions"),
            found.number("deletions"),
        )
        for found in _fields(github, address, "pull-requests: read")
    ]


def read_failing_checks(github: GitHub, repository: str, sha: str) -> list[Check]:
    """Return the checks of a commit that have ended badly, each with its latest end."""
    address = f"{github.path(repository)}/commits/{sha}"
    runs = _fields(github, f"{address}/check-runs?per_page=100", _CHECKS, "check_runs")
    statuses = _fields(github, f"{address}/status?per_page=100", "statuses: read", "statuses")
    return [
        *(_check(run) for run in runs if run.words("conclusion") not in ("", *_FINE)),
        *(
            Check(
                status.text("context"),
                status.text("state"),
                status.words("description"),
                status.words("target_url"),
            )
            for status in statuses
            if status.text("state") in ("failure", "error")
        ),
    ]


def _check(run: Fields) -> Check:
    output = run.part("output")
    told = "\n".join(filter(None, (output.words("title"), output.words("summary"))))
    return Check(run.text("name"), run.text("conclusion"), told, run.words("html_url"))


def _fields(github: GitHub, address: str, needs: str, member: str = "") -> Iterator[Fields]:
    for page in github.pages(address, needs, member):
        yield from (Fields(each, member or "file") for each in page)


def _about(repository: str, number: int) -> dict[str, Any]:
    owner, _, name = repository.partition("/")
    return {"owner": owner, "name": name, "number": number}


def _talk(github: GitHub, found: Fields) -> Talk:
    """Return a thread; what does not fit into its page is asked for."""
    comments = found.part("comments")
    nodes = comments.items("nodes")
    if comments.part("pageInfo").flag("hasNextPage"):
        nodes = list(github.nodes(_THREAD, {"id": found.text("id")}, "node", "comments"))
    nodes = [each for each in nodes if each is not None]
    line = next((found.number(name) for name in ("line", "originalLine") if found.has(name)), 0)
    return Talk(
        path=found.text("path"),
        line=line,
        hunk=Fields(nodes[0], "comment").words("diffHunk") if nodes else "",
        is_resolved=found.flag("isResolved"),
        is_outdated=found.flag("isOutdated"),
        comments=tuple(_said(each) for each in nodes),
    )


def _said(data: Any) -> Said:
    found = Fields(data, "comment")
    author = found.part("author")
    return Said(
        id=found.number("databaseId") if found.has("databaseId") else 0,
        body=found.words("body"),
        author=author.words("login"),
        is_by_bot=author.words("__typename") == "Bot",
        is_own=found.flag("viewerDidAuthor"),
        association=found.words("authorAssociation"),
        is_minimized=found.flag("isMinimized"),
        created=moment_of(found.words("createdAt")),
        edited=moment_of(found.words("lastEditedAt")),
        url=found.words("url"),
        state=found.words("state"),
    )
