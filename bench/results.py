"""What was measured, as tables, and what `codexctl apply` must reach beside its peers."""

from __future__ import annotations

import resource
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compare import Run
from mixed import KINDS
from peers import STEPS

if TYPE_CHECKING:
    from peers import Tool

_SMALL, _LARGE = 400, 2000
_MEGABYTE = 1000 * 1000 / 1024 / 1024


@dataclass(frozen=True)
class Sample(Run):
    """One measured step, and its requests."""

    requests: int


Samples = dict[tuple[int, str, str], list[Sample]]
"""By number of objects, program and step."""


@dataclass(frozen=True)
class Goal:
    """
    A ratio of two wall times, and its limit.

    Attributes:
        step: the step of codexctl.
        peer: whom it is compared with.
        peer_step: the peer's step.
        limit: the largest ratio that is good enough.
        sizes: numbers of objects it is a goal for.

    """

    step: str
    peer: str
    peer_step: str
    limit: float
    sizes: tuple[int, ...] = (_LARGE,)


_GOALS = (
    Goal("new", "bare", "new", 2, (_SMALL,)),
    Goal("new", "bare", "new", 1.5),
    *(
        Goal("new", peer, "new", 1, (_SMALL, _LARGE))
        for peer in ("kubectl-ssa", "kubectl", "helm3", "helm4")
    ),
    Goal("unchanged", "kubectl-ssa", "unchanged", 1 / 6),
    Goal("changed", "codexctl", "unchanged", 1.3),
    Goal("removed", "kubectl-ssa", "removed", 1 / 20),
)


def print_tables(samples: Samples, tools: list[Tool], sizes: list[int]) -> None:
    """Print what was measured: medians, with the smallest and the largest."""
    print(", ".join(f"{tool.name} {tool.version}" for tool in tools))
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"medians (smallest to largest); memory is the largest, and {own:.0f} MiB are the least")
    for objects in sizes:
        print(f"\n| {objects:,} objects, wall s | new | unchanged | one changed | 10 % removed |")
        print("|---|---|---|---|---|")
        for tool in tools:
            cells = [_seconds(samples[objects, tool.name, step]) for step in STEPS]
            print(f"| {tool.name} | {' | '.join(cells)} |")
        print("\n| CPU s / MiB / requests | new | unchanged | one changed | 10 % removed |")
        print("|---|---|---|---|---|")
        for tool in tools:
            cells = [_use(samples[objects, tool.name, step]) for step in STEPS]
            print(f"| {tool.name} | {' | '.join(cells)} |")


def _seconds(found: list[Sample]) -> str:
    walls = [each.wall_s for each in found]
    if not walls:
        return "-"
    return f"{statistics.median(walls):.2f} ({min(walls):.2f} to {max(walls):.2f})"


def _use(found: list[Sample]) -> str:
    if not found:
        return "-"
    cpu = statistics.median(each.cpu_s for each in found)
    memory = max(each.memory_mib for each in found)
    requests = statistics.median(each.requests for each in found)
    return f"{cpu:.2f} / {memory:.0f} / {requests:,.0f}"


def print_goals(samples: Samples, sizes: list[int]) -> None:
    """Print each goal with what was measured; other numbers of objects get no verdict."""
    for objects in sizes:
        counts = objects in {_SMALL, _LARGE}
        print(f"\n| {objects:,} objects: codexctl against | goal | measured | |")
        print("|---|---|---|---|")
        for goal in _GOALS:
            if counts and objects not in goal.sizes:
                continue
            ours = [each.wall_s for each in samples[objects, "codexctl", goal.step]]
            theirs = [each.wall_s for each in samples[objects, goal.peer, goal.peer_step]]
            title = f"{goal.step} / {goal.peer} {goal.peer_step}, wall"
            if not ours or not theirs:
                print(f"| {title} | {goal.limit:.3g} | - | |")
                continue
            ratio = statistics.median(ours) / statistics.median(theirs)
            pairs = [our / their for our, their in zip(ours, theirs, strict=False)]
            measured = f"{ratio:.3g} ({min(pairs):.3g} to {max(pairs):.3g})"
            mark = _mark(ratio <= goal.limit, counts)
            print(f"| {title} | {goal.limit:.3g} | {measured} | {mark} |")
        _print_counts(samples, objects)


def _print_counts(samples: Samples, objects: int) -> None:
    """Print the goals that need no peer."""
    unchanged = samples[objects, "codexctl", "unchanged"]
    every = [each for step in STEPS for each in samples[objects, "codexctl", step]]
    rows = (
        ("requests, unchanged", 3 * len(KINDS), [each.requests for each in unchanged]),
        ("memory, MB", 200, [each.memory_mib / _MEGABYTE for each in every]),
    )
    for title, limit, values in rows:
        measured, mark = "-", ""
        if values:
            measured = f"{max(values):.0f}"
            mark = _mark(max(values) <= limit, objects == _LARGE)
        print(f"| {title} | {limit} | {measured} | {mark} |")


def _mark(good: bool, counts: bool) -> str:
    """Return the verdict; none where the goal is for another number of objects."""
    if not counts:
        return ""
    return "reached" if good else "**missed**"
