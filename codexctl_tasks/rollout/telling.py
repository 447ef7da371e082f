"""What is told while an object is waited for: each cause once, with the log that explains it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from codexctl_tasks.rollout.containers import is_running
from codexctl_tasks.rollout.symptoms import WITH_LOG, Site, Symptom, Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from codexctl_tasks.console import Console
    from codexctl_tasks.rollout.inquiry import Inquiry, Reading
    from codexctl_tasks.rollout.judge import Verdict
    from codexctl_tasks.rollout.view import View
    from codexctl_tasks.world.clock import Clock

MOST_ANSWERS = 3
"""So many different answers of one probe are told: first nothing listens, then it is 404."""
LOG_PATIENCE_S = 1.0
"""A crash is told together with the log of the container, if that is there by then."""

Key = tuple[str, Trouble, str]
"""Container, class and headline: pods of one workload that show the same are told once."""


@dataclass(slots=True)
class _Story:
    """What was told about one object."""

    told: dict[Key, set[str]] = field(default_factory=dict)
    """The causes."""
    readings: dict[Key, Reading] = field(default_factory=dict)
    """The logs that belong to what is told, the newest last."""
    warnings: set[str] = field(default_factory=set)

    def knows(self, key: Key, symptom: Symptom) -> bool:
        """Tell whether a symptom has been told; what a probe answers may be worth another line."""
        causes = self.told.get(key, set())
        if symptom.trouble is not Trouble.PROBE:
            return bool(causes)
        return symptom.cause in causes or len(causes) >= MOST_ANSWERS


class Teller:
    """Tells the console what is new in verdicts."""

    def __init__(self, view: View, inquiry: Inquiry, clock: Clock, console: Console) -> None:
        self._view, self._inquiry = view, inquiry
        self._clock, self._console = clock, console
        self._stories: dict[str, _Story] = defaultdict(_Story)

    def tell(self, verdict: Verdict, elapsed_s: float) -> None:
        """Say what was not said before, at this second of the run."""
        story = self._stories[verdict.target.uid]
        for symptom in verdict.symptoms:
            key = (symptom.site.container, symptom.trouble, symptom.headline)
            if symptom not in verdict.told or story.knows(key, symptom):
                continue
            reading = self._reading(verdict, story, key, symptom)
            if reading is None or not self._is_worth_waiting_for(reading):
                story.told.setdefault(key, set()).add(symptom.cause)
                self._tell_symptom(verdict, story, symptom, reading, elapsed_s)
        if verdict.warning and verdict.warning not in story.warnings:
            story.warnings.add(verdict.warning)
            self._console.warn(f"{verdict.target.name}: {verdict.warning}")

    def log_of(self, uid: str) -> Sequence[str]:
        """Return the last lines that were read of a container of an object; empty: none were."""
        readings = reversed(self._stories[uid].readings.values())
        return next((reading.lines for reading in readings if reading.lines), ())

    @property
    def is_waiting(self) -> bool:
        """Whether a log that was asked for may still come."""
        readings = (r for story in self._stories.values() for r in story.readings.values())
        return any(map(self._is_worth_waiting_for, readings))

    def _is_worth_waiting_for(self, reading: Reading) -> bool:
        waited_s = self._clock.now() - reading.asked_s
        return not reading.is_done and waited_s < LOG_PATIENCE_S

    def _tell_symptom(
        self,
        verdict: Verdict,
        story: _Story,
        symptom: Symptom,
        reading: Reading | None,
        elapsed_s: float,
    ) -> None:
        is_first = sum(bool(each.lines) for each in story.readings.values()) == 1
        wants_log = reading is not None and symptom.trouble in WITH_LOG and is_first
        lines = reading.lines if reading is not None and wants_log else ()
        self._console.symptom(str(verdict.target.name), symptom.cause, elapsed_s, lines)
        if reading is not None and reading.complaint:
            self._console.warn(f"log of {symptom.site.pod}: {reading.complaint}")

    def _reading(
        self, verdict: Verdict, story: _Story, key: Key, symptom: Symptom
    ) -> Reading | None:
        """Read the log that explains a symptom at once: a Job that gives up deletes its pods."""
        if symptom.trouble not in WITH_LOG and symptom.trouble is not Trouble.PROBE:
            return None
        if key not in story.readings:
            namespace = verdict.target.name.namespace
            pod = self._view.find("Pod", namespace, symptom.site.pod)
            if pod is None:
                return None
            site = _with_container(symptom.site, pod)
            previous = symptom.trouble in WITH_LOG and is_running(pod, site.container)
            story.readings[key] = self._inquiry.log(namespace, site, previous=previous)
        return story.readings[key]


def _with_container(site: Site, pod: Mapping[str, Any]) -> Site:
    """Name a container where the symptom names none: the API asks for one if there are several."""
    containers = pod["spec"].get("containers") or ()
    if site.container or not containers:
        return site
    return replace(site, container=containers[0]["name"])
