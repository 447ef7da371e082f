"""How long symptoms have lasted: what the judge remembers about one object."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from codexctl_tasks.rollout.containers import container_statuses, restart_counts, site_of
from codexctl_tasks.rollout.health import condition_holds
from codexctl_tasks.rollout.symptoms import Baseline, Site, Symptom, Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Object = Mapping[str, Any]

SYMPTOM_MEMORY_S = 10.0
"""A symptom may vanish for this long, between two tries, without its grace beginning anew; a pod
that is ready for so long has recovered."""
RUNS_WELL_S = 30.0
"""So has a container that runs for so long."""

Key = tuple[Site, Trouble]


@dataclass(slots=True)
class Course:
    """One class of symptoms at one site, over time."""

    symptom: Symptom
    """The last one that told its cause."""
    seen_s: float
    since_s: dict[float, float] = field(default_factory=dict)
    """By grace: since when a symptom with this grace has been seen."""
    pardoned_until_s: float = -math.inf
    """What was missing has come to exist: the trouble may last until then."""

    @property
    def first_s(self) -> float:
        """Since when the trouble has lasted."""
        return min(self.since_s.values())

    def note(self, symptom: Symptom, now_s: float) -> None:
        """Take in what is seen now."""
        if not symptom.is_echo:
            self.symptom = symptom
        self.seen_s = now_s
        self.since_s.setdefault(self.symptom.grace_s, now_s)

    @property
    def due_s(self) -> float:
        """The moment at which the trouble has lasted for its grace; a worse text counts as well."""
        grace_s = self.symptom.grace_s
        since_s = min(since for grace, since in self.since_s.items() if grace <= grace_s)
        return max(since_s + grace_s, self.pardoned_until_s)


class Case:
    """What is remembered about one target."""

    def __init__(self, now_s: float, begun: str, pods: Sequence[Object]) -> None:
        """
        Begin now.

        Args:
            now_s: The judge's clock.
            begun: The server's time, as RFC 3339 text; empty: not known.
            pods: Those that are there already: their restarts are not this rollout's fault.
        """
        self.begun_s, self._begun = now_s, begun
        self._restarts = dict(count for pod in pods for count in restart_counts(pod))
        self._courses: dict[Key, Course] = {}
        self._running_s: dict[Site, float] = {}
        self._ready_s: dict[str, float] = {}
        self._pod_ready_s = -math.inf

    def look(self, pods: Sequence[Object], now_s: float) -> None:
        """Note which pods of the new template are well."""
        running = {
            site_of(pod, status["name"])
            for pod in pods
            for status in container_statuses(pod)
            if (status.get("state") or {}).get("running")
        }
        ready = {pod["metadata"]["uid"] for pod in pods if condition_holds(pod, "Ready")}
        self._running_s = {site: self._running_s.get(site, now_s) for site in running}
        self._ready_s = {uid: self._ready_s.get(uid, now_s) for uid in ready}
        # Without a probe a pod that crashes is ready for some seconds after each restart.
        if any(now_s - since_s >= RUNS_WELL_S for since_s in self._ready_s.values()):
            self._pod_ready_s = now_s

    def baseline(self, now_s: float) -> Baseline:
        """Return how things stood when the wait began."""
        return Baseline(
            restarts=self._restarts,
            elapsed_s=now_s - self.begun_s,
            begun=self._begun,
            unready_s=now_s - self._pod_ready_s,
        )

    def take(self, symptoms: Sequence[Symptom], now_s: float) -> list[Course]:
        """Take in what is seen now; return the courses of it, what is due first in front."""
        present: dict[Key, Symptom] = {}
        for symptom in symptoms:
            known = present.setdefault((symptom.site, symptom.trouble), symptom)
            if symptom.grace_s < known.grace_s:
                present[symptom.site, symptom.trouble] = symptom
        self._forget(present, now_s)
        for key, symptom in present.items():
            course = self._courses.setdefault(key, Course(symptom, now_s))
            course.note(symptom, now_s)
        courses = [self._courses[key] for key in present]
        return sorted(courses, key=lambda course: (course.due_s, course.first_s))

    def _forget(self, present: Mapping[Key, Symptom], now_s: float) -> None:
        """Forget what is over: whose container has recovered, or has another trouble by now."""
        sites = {site for site, _ in present}
        for key, course in list(self._courses.items()):
            if key not in present and (
                self._has_recovered(key[0], course, now_s) or key[0] in sites
            ):
                del self._courses[key]

    def _has_recovered(self, site: Site, course: Course, now_s: float) -> bool:
        if site.container:
            running_s = now_s - self._running_s.get(site, now_s)
            ready_s = now_s - self._ready_s.get(site.pod_uid, now_s)
            return running_s >= RUNS_WELL_S or ready_s >= SYMPTOM_MEMORY_S
        return now_s - course.seen_s > SYMPTOM_MEMORY_S
