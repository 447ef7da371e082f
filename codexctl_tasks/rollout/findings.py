"""What was found out about a workload that is not ready, in lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codexctl_tasks.rollout.wait import Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Iterator

LOG_LINES_SHOWN = 25
_INDENT = "  "


def finding_lines(result: Result) -> Iterator[tuple[str, str]]:
    """Yield all that is known about a workload, each line with the state that colours it."""
    diagnosis = result.diagnosis
    state = "warning" if result.outcome is Outcome.NOT_READY else "failed"
    word = result.outcome.value.upper()
    after = f"  after {result.after_s:.0f} s" if result.after_s else ""
    yield state, f"{result.target.name}  {word}  {result.detail}{after}"
    if diagnosis is not None:
        yield from _field("cause", diagnosis.cause)
        yield from _field("where", diagnosis.where)
        yield from _field("hint", diagnosis.hint)
        for number, event in enumerate(diagnosis.events):
            yield from _field("events" if number == 0 else "", event)
        for number, line in enumerate(diagnosis.log[-LOG_LINES_SHOWN:]):
            yield from _field("log" if number == 0 else "", f"| {line}")
    yield from _field("manifest", str(result.target.location))


def _field(name: str, value: str) -> Iterator[tuple[str, str]]:
    if value:
        yield "", f"{_INDENT}{name:<9} {value}"


def summary(result: Result) -> str:
    """Return one line that says what is wrong with a workload, and why."""
    cause = result.diagnosis.cause if result.diagnosis else ""
    line = f"{result.target.name} {result.outcome.value}: {result.detail}"
    return f"{line}: {cause}" if cause else line
