"""The pull request of an agent's branch: opened as a draft, or brought up to date."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from codexctl_tasks.hooks.builtin.comment_body import compose
from codexctl_tasks.world.github_access import Thread
from codexctl_tasks.world.github_answers import GitHubError, Reason, UnansweredError
from codexctl_tasks.world.github_comments import OwnComment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codexctl_tasks.console import Console
    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.github import GitHub
    from codexctl_tasks.world.github_objects import PullRequest


@dataclass(frozen=True)
class Showing:
    """What leads from a branch to its pull request."""

    github: GitHub
    repository: str
    branch: str
    base: str
    """That it is to be merged into."""
    clock: Clock
    console: Console

    def show(self, known: PullRequest | None, title: str, text: str) -> PullRequest:
        """
        Return the open pull request, with this text if it is one of ours.

        What people have written themselves stays. *known*: None: there may be one.
        """
        body = compose(text, self._marker, mentions=False)
        found = known or self._find()
        if found is None:
            return self._create(title, body)
        if self.is_ours(found) and found.body.replace("\r\n", "\n") != body:
            self.github.update_pull_request(self.repository, found.number, body)
        return found

    def is_ours(self, pull: PullRequest) -> bool:
        """Tell whether the text of a pull request is one of ours, or was until now."""
        return pull.body.partition("\n")[0].strip() == self._marker

    def tell_files(self, pull: PullRequest, commit: str, text: str) -> None:
        """Name the files of a commit in a comment of its own, once."""
        marker = f"<!-- codexctl-files: {commit} -->"
        thread = Thread(self.repository, pull.number)
        body = compose(text, marker, mentions=False)
        OwnComment(self.github, thread, marker, self.clock).write(body)

    def ask_reviewers(self, pull: PullRequest, reviewers: Sequence[str]) -> None:
        """Ask each for a review, but for the author; who cannot be asked is no reason to fail."""
        asked = dict.fromkeys(each.strip() for each in reviewers)
        for name in asked:
            if not name or name.casefold() == pull.author.casefold():
                continue
            try:
                self.github.request_review(self.repository, pull.number, name)
            except GitHubError as error:
                if error.reason in (Reason.LIMITED, Reason.UNAVAILABLE, Reason.UNAUTHORIZED):
                    raise
                self.console.warn(f"codex.publish.reviewers: {name} is not asked: {error}")

    @property
    def _marker(self) -> str:
        return f"<!-- codexctl-pull-request: {self.branch.replace('--', '')} -->"

    def _find(self) -> PullRequest | None:
        return next(iter(self.github.open_pull_requests(self.repository, self.branch)), None)

    def _create(self, title: str, body: str) -> PullRequest:
        """Open it; before that is tried again, look whether it was done after all."""
        try:
            return self._open(title, body, is_draft=True)
        except UnansweredError:
            return self._find() or self._open(title, body, is_draft=True)
        except GitHubError as error:
            if "draft" not in error.what.lower():
                raise
            self.console.warn("this repository has no draft pull requests: it is opened as usual")
            return self._open(title, body, is_draft=False)

    def _open(self, title: str, body: str, *, is_draft: bool) -> PullRequest:
        return self.github.create_pull_request(
            self.repository,
            head=self.branch,
            base=self.base,
            title=title,
            body=body,
            is_draft=is_draft,
        )
