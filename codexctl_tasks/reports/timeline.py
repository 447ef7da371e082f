"""A workload's history as bars on an axis of seconds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from codexctl_tasks.rollout.history import Moment, MomentKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST_TICKS = 5
_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)


class Phase(Enum):
    """How a workload was doing for a while."""

    WAITING = "waiting"
    TROUBLE = "trouble"
    """At least one symptom was seen, but nothing was decided."""
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Span:
    """A while in which nothing changed."""

    from_s: float
    to_s: float
    phase: Phase
    cause: str = ""
    """Of the newest symptom; empty unless in trouble."""


def spans_of(history: Sequence[Moment], end_s: float) -> tuple[Span, ...]:
    """
    Return the bars of one workload, without gaps.

    Args:
        history: In the order of time.
        end_s: Second of the run at which the last bar ends.
    """
    found: list[Span] = []
    for from_s, phase, cause in _changes(history):
        if found and found[-1].phase is phase and found[-1].cause == cause:
            continue
        if found:
            found[-1] = Span(found[-1].from_s, from_s, found[-1].phase, found[-1].cause)
        found.append(Span(from_s, max(end_s, from_s), phase, cause))
    return tuple(span for span in found if span.to_s > span.from_s) or tuple(found[-1:])


def ticks_of(end_s: float) -> tuple[float, ...]:
    """Return the seconds that are written below an axis from 0 to *end_s*."""
    step_s = next((step for step in _STEPS_S if end_s / step <= MOST_TICKS), _STEPS_S[-1])
    return tuple(round(number * step_s, 1) for number in range(int(end_s / step_s) + 1))


def _changes(history: Sequence[Moment]) -> Iterator[tuple[float, Phase, str]]:
    """Yield from when on which phase holds, and the cause of the trouble."""
    settled: Phase | None = None
    troubles: dict[str, None] = {}
    for moment in history:
        match moment.kind:
            case MomentKind.SYMPTOM:
                troubles[moment.text] = None
            case MomentKind.CURED:
                troubles.pop(moment.text, None)
            case MomentKind.READY:
                settled, troubles = Phase.READY, {}
            case MomentKind.FAILED:
                settled = Phase.FAILED
            case MomentKind.APPLIED | MomentKind.PROGRESS:
                settled = None
        if settled:
            yield moment.at_s, settled, ""
        elif troubles:
            yield moment.at_s, Phase.TROUBLE, next(reversed(troubles))
        else:
            yield moment.at_s, Phase.WAITING, ""
