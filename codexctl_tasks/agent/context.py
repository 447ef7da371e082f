"""
What of an issue or a pull request an agent is told.

Only what was there when the run was started, and only from people who may write to the repository:
whoever starts a run answers for what he could read at that moment.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from codexctl_tasks.agent.sanitizing import one_line, sanitized
from codexctl_tasks.agent.triggers import OWN
from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.world.github_answers import GitHubError, Reason
from codexctl_tasks.world.github_conversations import (
    read_changed_files,
    read_comments,
    read_failing_checks,
    read_reviews,
    read_talks,
)
from codexctl_tasks.world.github_people import moment_of, read_permission

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from codexctl_tasks.world.github import GitHub
    from codexctl_tasks.world.github_access import Thread
    from codexctl_tasks.world.github_conversations import Said, Talk
    from codexctl_tasks.world.github_objects import Issue, PullRequest

ANSWER = "<!-- codexctl-answer:"
"""How an answer of an agent begins: the only comments of ours that an agent reads."""
_WRITERS = ("write", "maintain", "admin")
_LONGEST_TITLE = 300
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
"""Of an event that does not say when it was: nobody has said anything before it."""
_LONGEST_PATH = 500


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that was said, sanitised."""

    author: str
    text: str
    when: str = ""
    """Date and time; empty: unknown."""
    state: str = ""
    """Of a review, in lower case with blanks; else empty."""


@dataclass(frozen=True, slots=True)
class Place:
    """What was said about a place in the code, sanitised."""

    path: str
    line: int
    """0: the whole file."""
    hunk: str
    is_outdated: bool
    remarks: tuple[Remark, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """An issue or a pull request as an agent is told of it; every text is a stranger's."""

    repository: str
    number: int
    is_pull_request: bool
    title: str
    body: str
    author: str
    url: str = ""
    labels: tuple[str, ...] = ()
    request: Remark | None = None
    """The comment or review that started the run; None: a label did, or somebody by hand."""
    remarks: tuple[Remark, ...] = ()
    """Comments, the oldest first."""
    reviews: tuple[Remark, ...] = ()
    places: tuple[Place, ...] = ()
    files: tuple[str, ...] = ()
    """What a pull request changes, one line each."""
    checks: tuple[str, ...] = ()
    """Failing checks of a pull request."""
    head: str = ""
    """Branch of a pull request."""
    base: str = ""
    """Branch into which it goes."""
    omitted: Mapping[str, int] = field(default_factory=dict)
    """Why things were left out, and how many."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What `gate` saw when somebody started a run by hand, where no event says what was there."""

    moment: str
    """Of the last change or comment, as GitHub writes it."""
    digest: str
    """Of title and text."""

    def __str__(self) -> str:
        """Write it as an output of a job."""
        return f"{self.moment} {self.digest}"


def seen_of(issue: Issue) -> Seen:
    """Return what is there to be seen of an issue or a pull request."""
    digest = hashlib.sha256(f"{issue.title}\0{issue.body}".encode("utf-8", "surrogatepass"))
    return Seen(issue.updated, digest.hexdigest()[:32])


def read_seen(text: str) -> Seen | None:
    """Return what was written; None: nothing was."""
    moment, _, digest = text.partition(" ")
    return Seen(moment, digest) if digest else None


def read_context(
    github: GitHub, thread: Thread, event: Mapping[str, Any], seen: Seen | None = None
) -> Context:
    """
    Return what an agent is told of an issue or a pull request.

    Args:
        github: Where to ask.
        thread: What it is about.
        event: What started the run, as GitHub describes it; empty: nothing did.
        seen: What was there when it was started by hand; None: what is there now counts.

    Raises:
        ConfigurationError: Title or text are no longer what was seen.
        GitHubError: Something cannot be read: half of a story is worse than none.
    """
    return _Reading(github, thread, event, seen).read()


class _Reading:
    """One conversation."""

    def __init__(
        self, github: GitHub, thread: Thread, event: Mapping[str, Any], seen: Seen | None
    ) -> None:
        self._github, self._thread = github, thread
        self._event = event if _is_about(event, thread) else {}
        self._seen = None if self._event else seen
        self._until = _moment(self._event)
        if self._seen:
            self._until = moment_of(self._seen.moment) or _LONG_AGO
        self._writers: dict[str, bool] = {}
        self._omitted: Counter[str] = Counter()

    def read(self) -> Context:
        """Ask for everything, page by page."""
        issue = self._github.issue(*self._thread)
        self._thread = self._thread._replace(repository=issue.repository, number=issue.number)
        context = self._begun(issue)
        if issue.is_pull_request:
            context = self._with_changes(context, self._github.pull_request(*self._thread))
        comments = read_comments(self._github, *self._thread)
        context = replace(context, remarks=self._remarks(comments))
        return replace(context, omitted=dict(self._omitted))

    def _begun(self, issue: Issue) -> Context:
        """Return title and text as they were when the run was started."""
        if self._seen and self._seen.digest != seen_of(issue).digest:
            what = "title or text was changed since somebody started the run"
            raise ConfigurationError(str(self._thread), what, "read it, and start it again")
        known = self._event.get("pull_request") or self._event.get("issue") or {}
        title = known["title"] if isinstance(known.get("title"), str) else issue.title
        body = (known["body"] or "") if "body" in known else issue.body
        return Context(
            repository=issue.repository,
            number=issue.number,
            is_pull_request=issue.is_pull_request,
            title=one_line(title, _LONGEST_TITLE),
            body=sanitized(str(body)),
            author=issue.author,
            url=issue.url,
            labels=tuple(one_line(each, 100) for each in issue.labels),
            request=self._request(),
        )

    def _request(self) -> Remark | None:
        """Return what the person wrote who started the run."""
        said = self._event.get("comment") or self._event.get("review") or {}
        text = sanitized(str(said.get("body") or ""))
        if not text:
            return None
        author = str((said.get("user") or {}).get("login") or "")
        return Remark(author, text, state=_words(str(said.get("state") or "")))

    def _with_changes(self, context: Context, pull: PullRequest) -> Context:
        github, thread = self._github, self._thread
        talks = read_talks(github, *thread)
        checks = read_failing_checks(github, thread.repository, pull.head_sha)
        return replace(
            context,
            head=one_line(pull.head_ref, _LONGEST_PATH),
            base=one_line(pull.base_ref, _LONGEST_PATH),
            reviews=self._remarks(read_reviews(github, *thread)),
            places=tuple(filter(None, map(self._place, talks))),
            files=tuple(
                f"{one_line(each.path, _LONGEST_PATH)} ({each.status}, +{each.additions}"
                f" -{each.deletions})"
                for each in read_changed_files(github, *thread)
            ),
            checks=tuple(
                f"{one_line(each.name, 200)}: {one_line(each.conclusion, 50)}\n"
                f"{sanitized(each.summary)}".strip()
                for each in checks
            ),
        )

    def _place(self, talk: Talk) -> Place | None:
        """Return what is open about a place; None: nothing is."""
        if talk.is_resolved:
            self._omitted["resolved"] += 1
            return None
        remarks = self._remarks(talk.comments)
        if not remarks:
            return None
        path = one_line(talk.path, _LONGEST_PATH)
        return Place(path, talk.line, sanitized(talk.hunk), talk.is_outdated, remarks)

    def _remarks(self, comments: Iterable[Said]) -> tuple[Remark, ...]:
        return tuple(
            Remark(
                each.author,
                text,
                f"{each.created:%Y-%m-%d %H:%M} UTC" if each.created else "",
                _words(each.state),
            )
            for each in comments
            if self._counts(each) and (text := sanitized(each.body))
        )

    def _counts(self, said: Said) -> bool:
        """Tell whether something is for the agent; what is not is counted."""
        reason = self._reason_against(said)
        if reason:
            self._omitted[reason] += 1
        return reason == ""

    def _reason_against(self, said: Said) -> str:
        """Return why something is left out; empty: it is not."""
        if not said.body.strip() or self._is_request(said):
            return "" if not said.body.strip() else "own"
        if said.is_minimized:
            return "minimised"
        if self._is_later(said):
            return "later"
        head = said.body.lstrip()
        if head.startswith(ANSWER) and (said.is_own or said.is_by_bot):
            return ""  # what an agent has answered before, such as its plan
        if head.startswith(OWN) or (said.is_own and said.is_by_bot):
            return "own"
        return "" if not said.is_by_bot and self._is_writer(said.author) else "foreign"

    def _is_request(self, said: Said) -> bool:
        """Tell whether it is what started the run, which is shown apart."""
        told = self._event.get("comment") or self._event.get("review") or {}
        return bool(said.id) and told.get("id") == said.id

    def _is_later(self, said: Said) -> bool:
        if self._until is None:
            return False
        return said.created is None or max(said.created, said.edited or said.created) > self._until

    def _is_writer(self, login: str) -> bool:
        """Tell whether somebody may write to the repository, by what GitHub says now."""
        if not login:
            return False
        if login not in self._writers:
            self._writers[login] = self._may_write(login)
        return self._writers[login]

    def _may_write(self, login: str) -> bool:
        try:
            return read_permission(self._github, self._thread.repository, login) in _WRITERS
        except GitHubError as error:
            if error.reason in (Reason.UNAVAILABLE, Reason.LIMITED):
                raise
            return False  # nobody says that he may


def _is_about(event: Mapping[str, Any], thread: Thread) -> bool:
    """Tell whether an event is about this issue or pull request, and not about another one."""
    known = event.get("pull_request") or event.get("issue") or {}
    return isinstance(known, dict) and known.get("number") == thread.number


def _moment(event: Mapping[str, Any]) -> datetime | None:
    """Return when a run was started; None: nobody says."""
    for name, moment in (
        ("comment", "created_at"),
        ("review", "submitted_at"),
        ("pull_request", "updated_at"),
        ("issue", "updated_at"),
    ):
        if event.get(name):
            return moment_of(event[name].get(moment)) or _LONG_AGO
    return None


def _words(state: str) -> str:
    return one_line(state.replace("_", " ").lower(), 40)
