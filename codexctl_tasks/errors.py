"""
Every failure this package expects, each with the exit code the shell sees.

Exit codes are part of the public interface: workflows branch on them, so a code is never reused
or renumbered. ``str(error)`` is what the user reads: ``where: what: how to mend it``, one line.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DONE = 0
WORKLOAD_FAILED = 1
TIMED_OUT = 70
"""The time ran out while nothing had failed: more time may be all it needs."""
CHANGES_PLANNED = 2
"""Only of ``plan --detailed-exitcode``, where Terraform and helm-diff have made it the custom."""
INTERNAL_ERROR = 99
"""A defect of codexctl itself; far from the codes that workflows branch on."""


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a file of the user's repository."""

    file: str
    """As the user would type it: relative to the current folder where possible."""
    line: int | None = None
    """From 1; None when only the file is known."""

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return the question that proposes the known name most like *name*, or *otherwise*."""
    names = list(known)
    nearest = [each for each in names if each.lower() == name.lower()]
    nearest = nearest or difflib.get_close_matches(name, names, n=1)
    return f"did you mean {nearest[0]!r}?" if nearest else otherwise


class CodexctlError(Exception):
    """Base of all expected failures."""

    exit_code: int = 1

    def __init__(self, where: str | Location, what: str, fix: str = "") -> None:
        """
        Describe a failure.

        Args:
            where: File, object, flag or address that the failure is about.
            what: What is wrong with it.
            fix: What to do about it; empty when nobody can say.
        """
        self.location = where if isinstance(where, Location) else None
        self.where, self.what, self.fix = str(where), what, fix
        parts = (self.where, what, fix)
        texts = (" ".join(part.split()) for part in parts if part)
        super().__init__(": ".join(text.rstrip(".:") or text for text in texts))

    @property
    def problems(self) -> tuple[CodexctlError, ...]:
        """All problems that this error reports, one line each."""
        return (self,)


class UsageError(CodexctlError):
    """The command line or a ``CODEXCTL_*`` variable is wrong."""

    exit_code = 2


class ConfigurationError(CodexctlError):
    """``services.yaml``, a template or a manifest cannot be used."""

    exit_code = 3


class Patience(Enum):
    """Which kind of passing trouble this is: each has limits of its own."""

    SERVER = "server"
    """Unreachable or overloaded."""
    WEBHOOK = "webhook"
    """An admission or conversion webhook does not answer; its pods may be starting."""
    CONTENTION = "contention"
    """Somebody else wrote the object, or a quota, at the same moment."""


class TransientError(CodexctlError):
    """The same request may work later; each boundary has a class of its own."""

    patience: Patience = Patience.SERVER
    retry_after_s: float = 0.0
    """What the server asked for in ``Retry-After``, in seconds; 0 if it did not."""


@dataclass(frozen=True, slots=True)
class Cause:
    """What an answer of the API server says about one field."""

    field: str
    """As the server writes it: ``spec.ports[0].port``; empty: the object as a whole."""
    message: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field that another field manager owns."""

    field: str
    """As the server writes it: ``.spec.replicas``."""
    manager: str
    subresource: str = ""
    """``scale`` or ``status`` when it was set there."""

    @property
    def owner(self) -> str:
        """The manager, and the subresource through which it wrote."""
        return f"{self.manager} ({self.subresource})" if self.subresource else self.manager

    def __str__(self) -> str:
        return f"{self.field} of {self.owner}"


class ClusterError(CodexctlError):
    """The cluster refused a request or cannot be reached; repeating it will not help."""

    exit_code = 4

    def __init__(
        self,
        where: str | Location,
        what: str,
        fix: str = "",
        *,
        status: int = 0,
        reason: str = "",
        causes: tuple[Cause, ...] = (),
        conflicts: tuple[Conflict, ...] = (),
    ) -> None:
        """
        Describe an answer of the API server.

        Args:
            where: See `CodexctlError`.
            what: See `CodexctlError`.
            fix: See `CodexctlError`.
            status: HTTP status of the answer; 0 if there was none.
            reason: Kubernetes' own ``reason``, such as ``NotFound`` or ``Expired``.
            causes: What the answer blames, field by field.
            conflicts: Which fields of an apply other managers own.
        """
        super().__init__(where, what, fix)
        self.status, self.reason = status, reason
        self.causes, self.conflicts = causes, conflicts


class TransientClusterError(ClusterError, TransientError):
    """The same request to the cluster may work later."""


class BrokenStreamError(TransientClusterError):
    """A watch broke off after it had begun: resume it from the last version seen."""


class ExpiredError(ClusterError):
    """What is known is no basis for a watch any more (410, or a long silence): list anew."""


class DeadlineError(CodexctlError):
    """The time ran out while nothing had failed."""

    exit_code = TIMED_OUT


class CombinedError(CodexctlError):
    """Several failures of one step, reported together so that one run shows all of them."""

    def __init__(self, problems: Sequence[CodexctlError]) -> None:
        Exception.__init__(self, "\n".join(str(problem) for problem in problems))
        self._problems = tuple(problems)
        # "Timed out" means that nothing had failed: beside a failure it says nothing.
        codes = {problem.exit_code for problem in problems}
        self.exit_code = max(codes - {TIMED_OUT}, default=TIMED_OUT)

    @property
    def problems(self) -> tuple[CodexctlError, ...]:
        """The single failures, in the order in which they were found."""
        return self._problems


class Interrupted(BaseException):
    """
    SIGINT or SIGTERM arrived.

    Not an `Exception`, so that no handler on the way mistakes it for a failure it knows.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.exit_code = 128 + signal_number
