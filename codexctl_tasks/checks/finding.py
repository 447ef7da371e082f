"""What a check has found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from codexctl_tasks.errors import CodexctlError

if TYPE_CHECKING:
    from codexctl_tasks.errors import Location


class State(Enum):
    """What a finding means."""

    OK = "ok"
    WARNING = "warning"
    """Odd; the work may succeed all the same."""
    FAILED = "failed"
    """The work would fail."""
    SKIPPED = "skipped"
    """It could not be found out."""


class LackingError(CodexctlError):
    """This machine lacks something that the work needs."""

    exit_code = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was looked at."""

    state: State
    where: Location | str
    what: str
    fix: str = ""
    """Empty: there is nothing to mend, or nobody can say."""
    exit_code: int = LackingError.exit_code
    """With which a task ends that has failed because of it."""

    def __str__(self) -> str:
        return str(self.error)

    @property
    def error(self) -> CodexctlError:
        """The finding as a failure."""
        error = CodexctlError(self.where, self.what, self.fix)
        error.exit_code = self.exit_code
        return error


def ok(where: Location | str, what: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(state=State.OK, where=where, what=what)


def skipped(where: Location | str, what: str) -> Finding:
    """Return that something could not be looked at."""
    return Finding(state=State.SKIPPED, where=where, what=what)


def doubt(where: Location | str, what: str, fix: str) -> Finding:
    """Return a warning."""
    return Finding(state=State.WARNING, where=where, what=what, fix=fix)


def failures(error: CodexctlError) -> list[Finding]:
    """Return an error as findings, one for each of its problems."""
    return [
        Finding(
            state=State.FAILED,
            where=problem.location or problem.where,
            what=problem.what,
            fix=problem.fix,
            exit_code=problem.exit_code,
        )
        for problem in error.problems
    ]
