"""The final report: the same facts as text for people and as JSON for programs."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import DONE, TIMED_OUT, WORKLOAD_FAILED
from codexctl_tasks.rollout.findings import finding_lines
from codexctl_tasks.rollout.wait import Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from codexctl_tasks.errors import CodexctlError
    from codexctl_tasks.stack.manifests import Manifest

SCHEMA_VERSION = 1
"""Of the JSON document; see docs/output.md."""
_ORDER = (Outcome.READY, Outcome.FAILED, Outcome.TIMED_OUT, Outcome.NOT_READY)
_WORDS = {
    DONE: ("HEALTHY", "ready"),
    WORKLOAD_FAILED: ("FAILED", "failed"),
    TIMED_OUT: ("TIMED OUT", "timed out"),
}
_SIGNALS_FROM = 128
"""Exit codes above this tell a signal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How a run ended: all that its reports are made of."""

    exit_code: int
    elapsed_s: float
    timeout_s: float
    results: Sequence[Result] = ()
    skipped: Sequence[Manifest] = ()
    """Objects of waves after one that is not healthy."""
    judged: bool = True
    """Whether there was time to find out how the workloads are."""
    problems: Sequence[CodexctlError] = ()
    """What ended the run before its work was done."""
    applied: str = ""
    """What was done to the objects: ``1 created, 2 unchanged``; empty: nothing."""


def headline(
    results: Sequence[Result],
    skipped: Sequence[Manifest],
    *,
    exit_code: int,
    elapsed_s: float,
    timeout_s: float,
) -> tuple[str, str]:
    """Return the state that colours the report's first line, and the line."""
    word, state = word_of(exit_code)
    took = f"({elapsed_s:.1f} s of {timeout_s:.0f} s)"
    return state, f"{word}  {counts_of(results, skipped)}  {took}"


def word_of(exit_code: int) -> tuple[str, str]:
    """Return the word for how a run ended, and the state that colours it."""
    otherwise = "INTERRUPTED" if exit_code > _SIGNALS_FROM else "STOPPED"
    return _WORDS.get(exit_code, (otherwise, "failed"))


def counts_of(results: Sequence[Result], skipped: Sequence[Manifest]) -> str:
    """Return how many workloads ended how: ``3 ready, 1 failed``."""
    counts = Counter(result.outcome for result in results)
    parts = [f"{counts[outcome]} {outcome.value}" for outcome in _ORDER if counts[outcome]]
    if skipped:
        parts.append(f"{len(skipped)} skipped")
    return ", ".join(parts) or "no workloads"


def text_lines(results: Sequence[Result], skipped: Sequence[Manifest]) -> Iterator[tuple[str, str]]:
    """Yield the lines below the headline, each with the state that colours it."""
    for result in results:
        if result.outcome is not Outcome.READY:
            yield from finding_lines(result)
    for manifest in skipped:
        yield "", f"{manifest.name}  SKIPPED  its wave comes after one that is not healthy"


def as_json(
    results: Sequence[Result], skipped: Sequence[Manifest], *, elapsed_s: float, exit_code: int
) -> dict[str, Any]:
    """
    Return the report as data; docs/output.md describes it.

    ``workloads[]``: ``kind``, ``namespace``, ``name``, ``outcome``, ``beganSeconds``,
    ``afterSeconds``, ``detail``, ``manifest`` (file and line), ``timeline[]`` and, unless ready,
    ``diagnosis``.
    """
    return {
        "version": SCHEMA_VERSION,
        "exitCode": exit_code,
        "elapsedSeconds": round(elapsed_s, 3),
        "workloads": [
            {
                "kind": result.target.name.kind,
                "namespace": result.target.name.namespace,
                "name": result.target.name.name,
                "outcome": result.outcome.value,
                "beganSeconds": round(result.begun_s, 3),
                "afterSeconds": round(result.after_s, 3),
                "detail": result.detail,
                "manifest": str(result.target.location),
                "diagnosis": asdict(result.diagnosis) if result.diagnosis else None,
                "timeline": [
                    {
                        "atSeconds": round(moment.at_s, 3),
                        "kind": moment.kind.value,
                        "text": moment.text,
                    }
                    for moment in result.history
                ],
            }
            for result in results
        ],
        "skipped": [str(manifest.name) for manifest in skipped],
    }
