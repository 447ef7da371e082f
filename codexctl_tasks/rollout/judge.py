"""
The verdict on each workload: readiness and symptoms, weighed over time.

A symptom is told at once and fails its workload late, when it has lasted for its grace. Time
comes in as a number, so that a recorded rollout can be replayed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from codexctl_tasks.rollout.containers import restart_counts
from codexctl_tasks.rollout.examination import find_symptoms, new_pods
from codexctl_tasks.rollout.health import assess, is_current
from codexctl_tasks.rollout.symptoms import Baseline, Site, Symptom, Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codexctl_tasks.rollout.target import Target
    from codexctl_tasks.rollout.view import View

SYMPTOM_MEMORY_S = 10.0
"""A symptom may vanish for this long, between two tries, without its grace beginning anew."""
GRACE_AFTER_CURE_S = 150.0
"""Once a missing object exists: volume mounts are retried with gaps of up to 122 s."""

Exists = Callable[[str, str, str], bool]
"""Tells whether the object of this namespace, kind and name exists now."""


class State(Enum):
    """Where a workload stands."""

    WAITING = "waiting"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known about one workload at one moment."""

    target: Target
    state: State
    detail: str
    """In a few words, for one line."""
    symptoms: tuple[Symptom, ...] = ()
    """The decisive one first."""


@dataclass(slots=True)
class _Course:
    """How long one symptom has been seen."""

    since_s: float
    absent_since_s: float | None = None
    """When it was first looked for in vain; None: it was there at the last look."""


class Judge:
    """Remembers symptoms over time; everything else is in the arguments."""

    def __init__(self, exists: Exists) -> None:
        self._exists = exists
        self._courses: dict[tuple[str, Site, Trouble], _Course] = {}
        self._restarts: dict[Site, int] = {}
        self._begun: dict[str, float] = {}

    def judge(self, targets: Sequence[Target], view: View, now_s: float) -> list[Verdict]:
        """Return a verdict for each target; *view* must be complete."""
        return [self._verdict(target, view, now_s) for target in targets]

    def _verdict(self, target: Target, view: View, now_s: float) -> Verdict:
        name = target.name
        found = view.find(name.kind, name.namespace, name.name)
        removed = view.last_of_job(target.uid)
        if found is None and removed is not None and assess(target, removed).ready:
            return Verdict(
                target, State.READY, "complete, and removed since (ttlSecondsAfterFinished)"
            )
        health = assess(target, found)
        if health.ready or found is None or not is_current(target, found):
            # What is seen may still be what our apply replaced: no reason to judge.
            return Verdict(target, State.READY if health.ready else State.WAITING, health.detail)
        begun_s = self._begun.setdefault(target.uid, now_s)
        if begun_s == now_s:
            self._remember_restarts(target, view)
        baseline = Baseline(self._restarts, now_s - begun_s)
        symptoms = find_symptoms(target, found, view, baseline)
        symptoms.sort(key=lambda symptom: symptom.grace_s)
        self._note_absences(target, symptoms, now_s)
        fatal = [s for s in symptoms if self._outlasted(target, s, now_s)]
        if fatal:
            rest = [s for s in symptoms if s not in fatal]
            return Verdict(target, State.FAILED, fatal[0].headline, (*fatal, *rest))
        detail = f"{health.detail}: {symptoms[0].headline}" if symptoms else health.detail
        return Verdict(target, State.WAITING, detail, tuple(symptoms))

    def _remember_restarts(self, target: Target, view: View) -> None:
        found = view.find(target.name.kind, target.name.namespace, target.name.name)
        for pod in new_pods(found, view) if found else ():
            self._restarts.update(restart_counts(pod))

    def _note_absences(self, target: Target, symptoms: Sequence[Symptom], now_s: float) -> None:
        present = {(target.uid, symptom.site, symptom.trouble) for symptom in symptoms}
        for key, course in self._courses.items():
            if key[0] == target.uid and key not in present and course.absent_since_s is None:
                course.absent_since_s = now_s

    def _outlasted(self, target: Target, symptom: Symptom, now_s: float) -> bool:
        """Tell whether a symptom has lasted for its grace; keeps the books on the way."""
        key = (target.uid, symptom.site, symptom.trouble)
        course = self._courses.setdefault(key, _Course(now_s))
        if course.absent_since_s is not None and now_s - course.absent_since_s > SYMPTOM_MEMORY_S:
            course.since_s = now_s
        course.absent_since_s = None
        if now_s - course.since_s < symptom.grace_s:
            return False
        if symptom.missing and self._exists(target.name.namespace, *symptom.missing):
            course.since_s = now_s + GRACE_AFTER_CURE_S - symptom.grace_s
            return False
        return True
