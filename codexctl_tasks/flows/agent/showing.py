"""The pull request of an agent's branch: opened as a draft, or brought up to date."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from codexctl_tasks.hooks.builtin.comment_body import compose
from codexctl_tasks.world.github_answers import GitHubError, Reason, UnansweredError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codexctl_tasks.console import Console
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
    console: Console

    def show(self, known: PullRequest | None, title: str, text: str) -> PullRequest:
        """
        Return the open pull request, with this text if it is one of ours.

        What people have written themselves stays. *known*: None: there may be one.
        """
        marker = f"<!-- codexctl-pull-request: {self.branch.replace('--', '')} -->"
        body = compose(text, marker, mentions=False)
        found = known or self._find()
        if found is None:
            return self._create(title, body)
        is_ours = found.body.partition("\n")[0].strip() == marker
        if is_ours and found.body.replace("\r\n", "\n") != body:
            self.github.update_pull_request(self.repository, found.number, body)
        return found

    def ask_reviewers(self, pull: PullRequest, reviewers: Sequence[str]) -> None:
        """Ask for reviews; whoever cannot be asked is no reason to fail."""
        asked = [each.strip() for each in reviewers if each.strip()]
        if not asked:
            return
        try:
            self.github.request_review(self.repository, pull.number, asked)
        except GitHubError as error:
            if error.reason in (Reason.LIMITED, Reason.UNAVAILABLE, Reason.UNAUTHORIZED):
                raise
            self.console.warn(f"codex.publish.reviewers: {error}")

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
