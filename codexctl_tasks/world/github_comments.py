"""One comment of ours in an issue or a pull request, found again by a marker nobody sees."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from codexctl_tasks.world.github_answers import GitHubError, Reason, UnansweredError

if TYPE_CHECKING:
    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.github import GitHub
    from codexctl_tasks.world.github_access import Thread
    from codexctl_tasks.world.github_objects import Comment

ATTEMPTS = 3
PAUSE_S = 2.0
"""What GitHub has taken shows up in lists a moment later."""


class Done(StrEnum):
    """What became of a comment."""

    WROTE = "wrote"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


class _VanishedError(GitHubError):
    """A comment was deleted after it had been found."""


@dataclass(frozen=True)
class OwnComment:
    """
    Keeps one comment with a marker in its first line.

    Nobody else's comment is changed, whatever stands in it. Of two that were written at the same
    moment, the older one stays.
    """

    github: GitHub
    thread: Thread
    marker: str
    clock: Clock

    def find(self) -> Comment | None:
        """Return the comment; None: there is none yet."""
        return next(iter(self._own()), None)

    def write(self, text: str) -> tuple[Done, str]:
        """
        Make the comment say *text*; return what was done, and the comment's address.

        Raises:
            GitHubError: Above all when the comment is deleted each time before it is changed.
        """
        for _ in range(ATTEMPTS - 1):
            try:
                return self._write(text)
            except _VanishedError:
                self.clock.sleep(PAUSE_S)
        return self._write(text)

    def _write(self, text: str) -> tuple[Done, str]:
        if known := self._own():
            return self._update(known[0], text)
        written = self._create(text)
        known = self._own()
        if not known or known[0].id == written.id:
            for double in known[1:]:  # of an attempt whose answer was lost, or of a slower run
                self.github.delete_comment(self.thread.repository, double.id)
            return Done.WROTE, written.url
        # Another run was faster by a moment.
        self.github.delete_comment(self.thread.repository, written.id)
        return self._update(known[0], text)

    def _update(self, known: Comment, text: str) -> tuple[Done, str]:
        if known.body.replace("\r\n", "\n").rstrip() == text.rstrip():
            return Done.UNCHANGED, known.url
        try:
            self.github.update_comment(self.thread.repository, known.id, text)
        except GitHubError as error:
            if error.reason is not Reason.NOT_FOUND:
                raise
            raise _VanishedError(error.where, error.what, error.fix, status=error.status) from error
        return Done.UPDATED, known.url

    def _create(self, text: str) -> Comment:
        """Write a comment; before it is sent again, look whether it has arrived after all."""
        for _ in range(ATTEMPTS - 1):
            try:
                return self.github.create_comment(*self.thread, text)
            except UnansweredError:
                self.clock.sleep(PAUSE_S)
                if known := self._own():
                    return known[0]
        return self.github.create_comment(*self.thread, text)

    def _own(self) -> list[Comment]:
        """Return the comments with our marker that we have written, the oldest first."""
        marked = [
            each
            for each in self.github.comments(*self.thread)
            if each.body.partition("\n")[0].strip() == self.marker
        ]
        return sorted(filter(self._is_own, marked), key=lambda each: each.id)

    def _is_own(self, comment: Comment) -> bool:
        # Who cannot find out its own name is an app, and no person is one.
        return comment.author == self._login if self._login else comment.is_by_bot

    @cached_property
    def _login(self) -> str:
        return self.github.login()
