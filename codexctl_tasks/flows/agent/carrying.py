"""An agent's work on its way: from a bundle into a repository of ours, and on to the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from codexctl_tasks.agent.work.pack import BadBundleError
from codexctl_tasks.agent.work.verification import final_changes, verify_work
from codexctl_tasks.world.repository import RejectedError, SlowGitError
from codexctl_tasks.world.retrying import TRANSFER, retrying

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from codexctl_tasks.agent.work.policy import Change
    from codexctl_tasks.agent.work.verification import Work
    from codexctl_tasks.console import Console
    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.repository import Remote, Repository

T = TypeVar("T")


class BlockedError(Exception):
    """What was made may not be published: *reasons*, a line each."""

    def __init__(self, *reasons: str) -> None:
        super().__init__(*reasons)
        self.reasons = reasons


@dataclass(frozen=True)
class Carrier:
    """Both ends; what the network disturbs is repeated, which does nothing twice."""

    repository: Repository
    remote: Remote
    clock: Clock
    console: Console

    def verify(self, file: Path, base: str, largest_text: int) -> Work:
        """
        Return what a bundle holds, see `verify_work`.

        Raises:
            BlockedError: It is not what an agent's work has to be.
        """
        known = (file, base, self.repository, self.remote)
        try:
            return self._repeated(lambda: verify_work(*known, largest_text=largest_text))
        except (BadBundleError, SlowGitError) as error:
            raise BlockedError(f"the bundle of its work: {error}") from error
        except RejectedError as error:
            what = f"{base[:12]}, where the agent began, was never published"
            raise BlockedError(f"{what}: bring the workspace up to date and run again") from error

    def branch_changes(self, start: str, commit: str, largest_text: int) -> Sequence[Change]:
        """
        Return what a branch changes altogether, from *start* to a commit of verified work.

        Raises:
            BlockedError: It is too much to be looked at.
        """
        try:
            if not self.repository.has(start):
                self._repeated(lambda: self.repository.fetch(self.remote, start, whole=False))
            return final_changes(self.repository, start, commit, largest_text=largest_text)
        except (BadBundleError, SlowGitError) as error:
            raise BlockedError(f"the branch with its work: {error}") from error

    def tip(self, branch: str) -> str:
        """Return where a branch of the server is; empty: there is none."""
        return self._repeated(lambda: self.repository.tip(self.remote, branch))

    def push(self, commit: str, branch: str) -> None:
        """
        Push a commit.

        Raises:
            BlockedError: The branch has moved, or a rule of the server forbids it.
        """
        try:
            self._repeated(lambda: self.repository.push(self.remote, commit, branch))
        except RejectedError as error:
            raise BlockedError(f"the server does not take it: {error.what}") from error

    def _repeated(self, call: Callable[[], T]) -> T:
        announce = self.console.retrying
        return retrying(call, self.clock, TRANSFER, lambda pause: announce(str(pause)))
