"""
What a scenario is: manifests, what happens to them, and the truth about the rollout.

Texts may contain ``{registry}``, ``{faulty}`` and ``{namespace}``: the registry that holds the base
image, the one of `tests.support.faulty_registry`, and the namespace, which is another in every run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from codexctl_tasks.errors import TIMED_OUT, WORKLOAD_FAILED

Object = dict[str, Any]
"""A manifest."""

FAULTY = "{faulty}"
_MORE_S = 100
"""On a machine that is busy everything takes longer."""


@dataclass(frozen=True)
class Apply:
    """Somebody else applies these objects."""

    objects: tuple[Object, ...]


@dataclass(frozen=True)
class Kubectl:
    """Somebody runs kubectl in the namespace."""

    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Push:
    """Somebody pushes a copy of the base image under this ``NAME:TAG``."""

    reference: str


Action = Apply | Kubectl | Push


@dataclass(frozen=True)
class Step:
    """Something that happens during the rollout."""

    after_s: float
    """Seconds since the first object of the rollout was created."""
    action: Action


@dataclass(frozen=True)
class Fault:
    """Why a rollout is broken, and how that must be told."""

    rule: str
    """Which kind of failure it is, by a short name; empty when only the time-out can tell."""
    at: str
    """The object that is to be blamed: ``Deployment/web``."""
    cause: str
    """A regular expression that the report of the cause matches."""
    grace: str = ""
    """Name of a constant in `codexctl_tasks.rollout.symptoms`; empty: only the time-out tells."""
    log: str = ""
    """A line that the crashing container wrote, and the report must show."""

    @property
    def exit_code(self) -> int:
        """What codexctl must end with."""
        return WORKLOAD_FAILED if self.grace else TIMED_OUT


@dataclass(frozen=True)
class Scenario:
    """One rollout."""

    name: str
    """Of the scenario; part of the namespace's name."""
    about: str
    """In a sentence."""
    objects: tuple[Object, ...]
    """What is deployed."""
    before: tuple[Action, ...] = ()
    """What happens before, in this order."""
    during: tuple[Step, ...] = ()
    """What happens meanwhile."""
    fault: Fault | None = None
    """None: it becomes healthy."""
    lasts_s: float = 30
    """About how long it takes to know: the longest ones begin first."""
    is_ours: bool = False
    """Whether an annotation of codexctl decides, so that no peer can be compared."""
    only_s: float | None = None
    """How long it is waited for; None: much longer than it lasts."""

    @property
    def timeout_s(self) -> float:
        """How long it is waited for."""
        return self.lasts_s + _MORE_S if self.only_s is None else self.only_s

    @property
    def needs_faults(self) -> bool:
        """Tell whether it needs the registry that misbehaves."""
        return FAULTY in repr(self)
