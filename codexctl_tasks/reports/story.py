"""
What every document tells of a run: plain texts in the order in which they are told.

Masking and cleaning happen here, once, before anything is escaped: an escaped secret is not
recognised any more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codexctl_tasks.errors import Location
from codexctl_tasks.reports.report import counts_of, word_of
from codexctl_tasks.reports.timeline import Phase, spans_of
from codexctl_tasks.rollout.diagnosis import Diagnosis
from codexctl_tasks.rollout.findings import LOG_LINES_SHOWN
from codexctl_tasks.rollout.history import Moment
from codexctl_tasks.rollout.wait import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from codexctl_tasks.reports.report import Ending
    from codexctl_tasks.rollout.wait import Result
    from codexctl_tasks.stack.manifests import Manifest

SKIPPED_BECAUSE = "its wave comes after one that is not healthy"
_ORDER = (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.NOT_READY, Outcome.READY)
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?")
_NOT_XML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, and what would reach into the text before: colours, the screen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """One workload, its texts masked."""

    name: str
    """Kind, namespace and name."""
    kind: str
    namespace: str
    outcome: Outcome
    begun_s: float
    after_s: float
    detail: str
    place: Location
    """Where its manifest is written."""
    diagnosis: Diagnosis
    """Empty when it is ready."""
    history: tuple[Moment, ...]

    @property
    def is_broken(self) -> bool:
        """Whether it is to blame for an exit code that is not 0."""
        return self.outcome in (Outcome.FAILED, Outcome.TIMED_OUT)

    @property
    def is_suspect(self) -> bool:
        """Whether it is worth a look: it broke, or was in trouble when the wait ended."""
        spans = spans_of(self.history, self.after_s)
        in_trouble = bool(spans) and spans[-1].phase is Phase.TROUBLE
        return self.is_broken or (self.outcome is Outcome.NOT_READY and in_trouble)

    @property
    def took_s(self) -> float:
        """Seconds from its apply to its outcome."""
        return max(self.after_s - self.begun_s, 0.0)

    @property
    def reason(self) -> str:
        """The cause, or as much as is known."""
        return self.diagnosis.cause or self.detail


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """An object that was skipped, or a problem that ended the run."""

    text: str
    place: Location | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """One run."""

    title: str
    """Stack, environment or namespace."""
    word: str
    """``healthy``, ``failed``, ``timed out``, ``stopped``, ``interrupted`` or ``applied``."""
    counts: str
    """How many workloads ended how; empty when nobody looked."""
    applied: str
    """What was done to the objects; empty: nothing."""
    exit_code: int
    elapsed_s: float
    timeout_s: float
    begun_at: datetime
    run: str
    """Which run this was, in the words of its holder."""
    workloads: tuple[Workload, ...]
    """The broken ones first."""
    skipped: tuple[Note, ...]
    problems: tuple[Note, ...]

    @property
    def broken(self) -> tuple[Workload, ...]:
        """What failed, then what timed out."""
        return tuple(workload for workload in self.workloads if workload.is_broken)

    @property
    def suspects(self) -> tuple[Workload, ...]:
        """What is worth a look: what broke, then what was in trouble when the wait ended."""
        return tuple(workload for workload in self.workloads if workload.is_suspect)

    @property
    def end_s(self) -> float:
        """The last second that any history speaks of; more than 0."""
        moments = [moment.at_s for each in self.workloads for moment in each.history]
        return max(self.elapsed_s, *moments, 0.1)


def tell_story(
    ending: Ending, *, title: str, begun_at: datetime, run: str, mask: Callable[[str], str]
) -> Story:
    """Return what the documents tell; *mask* hides secrets in a text."""
    clean = _Cleaning(mask)
    results = sorted(ending.results, key=lambda result: _ORDER.index(result.outcome))
    word, _ = word_of(ending.exit_code)
    if not ending.judged and not ending.exit_code:
        word = "APPLIED"
    return Story(
        title=clean.text(title),
        word=word.lower(),
        counts=counts_of(ending.results, ending.skipped) if ending.judged else "",
        applied=ending.applied,
        exit_code=ending.exit_code,
        elapsed_s=ending.elapsed_s,
        timeout_s=ending.timeout_s,
        begun_at=begun_at,
        run=clean.text(run),
        workloads=tuple(clean.workload(result) for result in results),
        skipped=tuple(clean.skipped(manifest) for manifest in ending.skipped),
        problems=tuple(
            Note(text=clean.text(str(problem)), place=clean.place(problem.location))
            for problem in ending.problems
        ),
    )


class _Cleaning:
    """Everything that may come from outside, without secrets and without control characters."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        self._mask = mask

    def text(self, text: str) -> str:
        # Control characters may be a part of a secret, or stand inside of one.
        return self._mask(_NOT_XML.sub("", _ESCAPES.sub("", self._mask(text))))

    def texts(self, texts: Iterable[str]) -> tuple[str, ...]:
        return tuple(map(self.text, texts))

    def place(self, place: Location | None) -> Location | None:
        return Location(self.text(place.file), place.line) if place else None

    def workload(self, result: Result) -> Workload:
        name, found = result.target.name, result.diagnosis or Diagnosis()
        location = result.target.location
        return Workload(
            name=self.text(str(name)),
            kind=name.kind,
            namespace=self.text(name.namespace),
            outcome=result.outcome,
            begun_s=result.begun_s,
            after_s=result.after_s,
            detail=self.text(result.detail),
            place=Location(self.text(location.file), location.line),
            diagnosis=Diagnosis(
                cause=self.text(found.cause),
                where=self.text(found.where),
                hint=self.text(found.hint),
                events=self.texts(found.events),
                log=self.texts(found.log[-LOG_LINES_SHOWN:]),
            ),
            history=tuple(Moment(m.at_s, m.kind, self.text(m.text)) for m in result.history),
        )

    def skipped(self, manifest: Manifest) -> Note:
        return Note(text=self.text(str(manifest.name)), place=self.place(manifest.location))
