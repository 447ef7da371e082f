"""Branches of agents that go with their slot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codexctl_tasks.slots.branch import why_branch_stays

if TYPE_CHECKING:
    from codexctl_tasks.console import Console
    from codexctl_tasks.world.github import GitHub
    from codexctl_tasks.world.github_objects import PullRequest


class Branches:
    """The branches of one repository."""

    def __init__(self, github: GitHub, repository: str, prefix: str, console: Console) -> None:
        """*prefix*: What they begin with; a number follows."""
        self._github, self._repository, self._prefix = github, repository, prefix
        self._console = console

    def delete_of(self, pr: int, *, dry_run: bool = False) -> None:
        """
        Delete the branch of a pull request, or tell why it stays; one that is gone is fine.

        Raises:
            GitHubError: GitHub did not tell, or refused.
        """
        if not pr:
            self._console.step("cleanup", "no branch is deleted: no pull request is known")
            return
        found = self._github.pull_request(self._repository, pr)
        if why := why_branch_stays(found, self._prefix):
            line = f"branch {found.head_ref} of PR {pr} is kept: {why}"
            self._console.step("cleanup", line)
        elif others := self._others(found):
            line = f"branch {found.head_ref} of PR {pr} is kept: PR {others[0]} is open from it"
            self._console.step("cleanup", line)
        elif dry_run:
            self._console.step("cleanup", f"branch {found.head_ref} of PR {pr} would be deleted")
        elif self._github.delete_branch(found.repository, found.head_ref):
            self._console.step("cleanup", f"deleted branch {found.head_ref} of PR {pr}")

    def _others(self, closed: PullRequest) -> list[int]:
        """Return the open pull requests that a branch has besides, by number."""
        found = self._github.open_pull_requests(closed.repository, closed.head_ref)
        return sorted(each.number for each in found)
