"""What GitHub tells of issues, pull requests, comments, runs and branches: typed, and checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codexctl_tasks.world.github_answers import no_github

if TYPE_CHECKING:
    from collections.abc import Mapping

_OF_API = re.compile(r".*/repos/([^/]+/[^/]+)")


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment on an issue or a pull request."""

    id: int
    """Later ones have a higher one."""
    body: str
    author: str
    """Login; empty: of somebody who is gone."""
    is_by_bot: bool
    url: str
    """For people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Issue:
    """An issue, or what a pull request has in common with one."""

    repository: str
    """Where it is now: issues move, and repositories are renamed."""
    number: int
    """Another one than was asked for if it has moved."""
    is_open: bool
    title: str
    body: str
    author: str
    """Login; empty: of somebody who is gone."""
    labels: tuple[str, ...]
    is_pull_request: bool
    is_locked: bool
    """Only people with write access may comment."""
    url: str
    """For people."""
    updated: str = ""
    """When it was last changed or commented on, as GitHub writes it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PullRequest:
    """A pull request."""

    repository: str
    """Into which it is to be merged; its present name."""
    number: int
    is_open: bool
    is_merged: bool
    is_draft: bool
    title: str
    body: str
    author: str
    """Login; empty: of somebody who is gone."""
    head_repository: str
    """Full name; empty: it was deleted."""
    head_ref: str
    """Name of its branch there."""
    head_sha: str
    base_ref: str
    base_sha: str
    url: str
    """For people."""

    @property
    def is_from_fork(self) -> bool:
        """Whether its commits come from another repository, or nobody knows from where."""
        return self.head_repository != self.repository


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run of a workflow."""

    id: int
    attempt: int
    """From 1; a run that is started again keeps its ID."""
    status: str
    """``completed``, or what it is doing."""
    conclusion: str
    """``success``, ``failure``, ``cancelled``, ...; empty: there is none yet."""
    url: str
    """For people."""

    def is_over(self, attempt: int = 0) -> bool:
        """Tell whether an attempt has ended; 0: the last one."""
        return self.status == "completed" or 0 < attempt < self.attempt


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch."""

    name: str
    sha: str
    is_protected: bool


class Fields:
    """The fields of a JSON object; what has another type than it must have is no GitHub."""

    def __init__(self, data: Any, kind: str) -> None:
        """Take an object; *kind*: what it is, for errors."""
        if not isinstance(data, dict):
            raise no_github(f"answered with something that is no {kind}: {str(data)[:100]}")
        self._data: Mapping[str, Any] = data
        self._kind = kind

    def number(self, name: str) -> int:
        """Return a number that must be there."""
        return int(self._of(int, name, self._data.get(name)))

    def text(self, name: str) -> str:
        """Return a text that must be there."""
        return str(self._of(str, name, self._data.get(name)))

    def words(self, name: str) -> str:
        """Return a text; empty also for null."""
        value = self._data.get(name)
        return "" if value is None else str(self._of(str, name, value))

    def flag(self, name: str) -> bool:
        """Return a flag; one that is absent or null is false."""
        value = self._data.get(name)
        return False if value is None else bool(self._of(bool, name, value))

    def has(self, name: str) -> bool:
        """Tell whether there is such a field, and not null."""
        return self._data.get(name) is not None

    def items(self, name: str) -> list[Any]:
        """Return a list; empty also for null."""
        value = self._data.get(name)
        return [] if value is None else list(self._of(list, name, value))

    def part(self, name: str) -> Fields:
        """Return an object in it; null is one without fields."""
        value = self._data.get(name)
        return Fields({} if value is None else value, f"{self._kind}.{name}")

    def _of(self, wanted: type, name: str, value: Any) -> Any:
        if type(value) is not wanted:  # a flag is no number
            shown = str(value)[:100]
            raise no_github(f"answered with a {self._kind} whose {name} is no value: {shown}")
        return value


def read_comment(data: Any) -> Comment:
    """Return a comment."""
    found = Fields(data, "comment")
    user = found.part("user")
    return Comment(
        id=found.number("id"),
        body=found.words("body"),
        author=user.words("login"),
        is_by_bot=user.words("type") == "Bot",
        url=found.words("html_url"),
    )


def read_issue(data: Any) -> Issue:
    """Return an issue."""
    found = Fields(data, "issue")
    address = found.text("repository_url")
    if (of_repository := _OF_API.fullmatch(address)) is None:
        raise no_github(f"answered with an issue of no repository: {address[:100]}")
    return Issue(
        repository=of_repository[1],
        number=found.number("number"),
        is_open=_is_open(found),
        title=found.words("title"),
        body=found.words("body"),
        author=found.part("user").words("login"),
        labels=tuple(_label(each) for each in found.items("labels")),
        is_pull_request=found.has("pull_request"),
        is_locked=found.flag("locked"),
        url=found.words("html_url"),
        updated=found.words("updated_at"),
    )


def read_pull_request(data: Any) -> PullRequest:
    """Return a pull request, also of a list, where some fields are missing."""
    found = Fields(data, "pull request")
    head, base = found.part("head"), found.part("base")
    return PullRequest(
        repository=base.part("repo").text("full_name"),
        number=found.number("number"),
        is_open=_is_open(found),
        is_merged=found.has("merged_at"),
        is_draft=found.flag("draft"),
        title=found.words("title"),
        body=found.words("body"),
        author=found.part("user").words("login"),
        head_repository=head.part("repo").words("full_name"),
        head_ref=head.text("ref"),
        head_sha=head.text("sha"),
        base_ref=base.text("ref"),
        base_sha=base.text("sha"),
        url=found.words("html_url"),
    )


def read_run(data: Any) -> Run:
    """Return a run of a workflow."""
    found = Fields(data, "run")
    return Run(
        id=found.number("id"),
        attempt=found.number("run_attempt") if found.has("run_attempt") else 1,
        status=found.text("status"),
        conclusion=found.words("conclusion"),
        url=found.words("html_url"),
    )


def read_branch(data: Any) -> Branch:
    """Return a branch."""
    found = Fields(data, "branch")
    return Branch(found.text("name"), found.part("commit").text("sha"), found.flag("protected"))


def read_default_branch(data: Any) -> str:
    """Return the default branch of a repository."""
    return Fields(data, "repository").text("default_branch")


def read_merge_base(data: Any) -> str:
    """Return the commit in which two histories meet, as a comparison tells."""
    return Fields(data, "comparison").part("merge_base_commit").text("sha")


def _is_open(found: Fields) -> bool:
    """Tell whether an issue is open; a state that nobody knows must not pass for closed."""
    state = found.text("state")
    if state not in ("open", "closed"):
        raise no_github(f"answered with a state that is neither open nor closed: {state[:100]}")
    return state == "open"


def _label(data: Any) -> str:
    return data if isinstance(data, str) else Fields(data, "label").words("name")
