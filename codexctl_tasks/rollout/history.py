"""What happened to one workload, moment by moment, as far as a person would want to read it."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from codexctl_tasks.rollout.judge import State

if TYPE_CHECKING:
    from codexctl_tasks.rollout.judge import Verdict
    from codexctl_tasks.rollout.symptoms import Trouble

CURED_AFTER_S = 10.0
"""Symptoms vanish between two tries; one that is away for longer is cured."""
MOST_MOMENTS = 200
"""For each workload: of a longer history the middle is left out."""


class MomentKind(Enum):
    """What kind of thing happened."""

    APPLIED = "applied"
    PROGRESS = "progress"
    SYMPTOM = "symptom"
    CURED = "cured"
    READY = "ready"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    STOPPED = "stopped"
    """Neither ready nor failed when the wait ended for another reason."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened to a workload."""

    at_s: float
    """Seconds from the beginning of the run."""
    kind: MomentKind
    text: str
    """The cause of a symptom; otherwise the detail that was on the screen."""


_OF_STATE = {
    State.WAITING: MomentKind.PROGRESS,
    State.READY: MomentKind.READY,
    State.FAILED: MomentKind.FAILED,
}


@dataclass(slots=True)
class _Course:
    """One class of symptoms in one container, since it was first seen."""

    causes: dict[str, str] = field(default_factory=dict)
    """By headline."""
    absent_since_s: float | None = None
    """None: it was there at the last look."""


class History:
    """Notes what changes from one verdict to the next."""

    def __init__(self, begun_s: float, detail: str) -> None:
        """Begin with the moment, in seconds of the run, at which the workload was applied."""
        self.begun_s = begun_s
        self._moments = [Moment(begun_s, MomentKind.APPLIED, detail)]
        self._courses: dict[tuple[str, Trouble], _Course] = {}
        self._state = State.WAITING
        self._details = ["", detail]

    def note(self, verdict: Verdict, at_s: float) -> None:
        """Take in a verdict, given at this second of the run."""
        if verdict.state is State.READY:
            self._courses.clear()
        news = self._note_symptoms(verdict, at_s)
        if verdict.state is not self._state or not (news or verdict.detail in self._details):
            self._add(Moment(at_s, _OF_STATE[verdict.state], verdict.detail))
        self._state = verdict.state
        if verdict.detail not in self._details:  # what goes to and fro is told once
            self._details = [self._details[1], verdict.detail]

    def until(self, end_s: float, *, timed_out: bool) -> tuple[Moment, ...]:
        """Return everything up to the end of the wait, and that end if it came too early."""
        if self._state is not State.WAITING:
            return tuple(self._moments)
        kind = MomentKind.TIMED_OUT if timed_out else MomentKind.STOPPED
        return (*self._moments, Moment(end_s, kind, self._details[1]))

    def _note_symptoms(self, verdict: Verdict, at_s: float) -> bool:
        """Note symptoms that came and went; return whether one came."""
        present, news = set(), False
        for symptom in verdict.symptoms:
            if symptom not in verdict.told:
                continue
            key = (symptom.site.container, symptom.trouble)
            present.add(key)
            course = self._courses.setdefault(key, _Course())
            course.absent_since_s = None
            if symptom.headline not in course.causes:
                course.causes[symptom.headline] = symptom.cause
                self._add(Moment(at_s, MomentKind.SYMPTOM, symptom.cause))
                news = True
        for key in [key for key in self._courses if key not in present]:
            self._note_absence(key, at_s)
        return news

    def _note_absence(self, key: tuple[str, Trouble], at_s: float) -> None:
        course = self._courses[key]
        if course.absent_since_s is None:
            course.absent_since_s = at_s
        if at_s - course.absent_since_s > CURED_AFTER_S:
            del self._courses[key]
            for cause in course.causes.values():
                self._add(Moment(course.absent_since_s, MomentKind.CURED, cause))

    def _add(self, moment: Moment) -> None:
        insort(self._moments, moment, key=lambda each: each.at_s)
        if len(self._moments) > MOST_MOMENTS:
            del self._moments[MOST_MOMENTS // 2]
