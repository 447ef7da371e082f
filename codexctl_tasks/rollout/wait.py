"""
Wait until workloads are healthy, or say which are not: a loop over the watches.

Nothing is polled. The loop wakes for every change, and once a second for the graces and the
clock on the screen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from codexctl_tasks.console import Row
from codexctl_tasks.errors import CodexctlError
from codexctl_tasks.rollout.containers import is_running
from codexctl_tasks.rollout.diagnosis import Diagnosis, diagnose
from codexctl_tasks.rollout.history import History
from codexctl_tasks.rollout.inquiry import Aside, Inquiry, Reading, in_background
from codexctl_tasks.rollout.judge import Judge, State, Verdict
from codexctl_tasks.rollout.symptoms import WITH_LOG, Symptom, Trouble
from codexctl_tasks.world.cluster import Resource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from codexctl_tasks.console import Console
    from codexctl_tasks.rollout.history import Moment
    from codexctl_tasks.rollout.symptoms import Site
    from codexctl_tasks.rollout.target import Target
    from codexctl_tasks.rollout.view import View
    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.watching import Feed, Scope

TICK_S = 1.0
SHORTEST_TICK_S = 0.05
COLLECT_S = 10.0
"""After the first failure: long enough that one run reports all failures of a bad deploy."""
STALE_S = 5.0
"""Watches that are broken for longer show what is old: nothing is concluded from it."""
AFTER_OUTAGE_S = 15.0
"""When the API server is back the nodes need some time to report; until then nothing fails."""
LOG_PATIENCE_S = 1.5
"""A crash is told together with the log of the container, if that is there by then."""
_POD = Resource("v1", "Pod", "pods", namespaced=True)


class Outcome(Enum):
    """How the wait for one workload ended."""

    READY = "ready"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    NOT_READY = "not ready"
    """Neither ready nor failed when the wait ended for another reason."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one workload."""

    target: Target
    outcome: Outcome
    after_s: float
    """Seconds from the beginning of the wait to the outcome."""
    detail: str
    diagnosis: Diagnosis | None = None
    """For everything that is not ready."""
    begun_s: float = 0.0
    """Seconds from the beginning of the run to the moment at which the workload was applied."""
    history: tuple[Moment, ...] = ()
    """What happened to it, in the order of time; begins when it was applied."""


@dataclass(slots=True)
class _Progress:
    """What the loop keeps about one object."""

    verdict: Verdict
    since_s: float
    history: History
    deadline_s: float
    """The moment at which its own time is over; infinity: it has none."""
    is_expired: bool = False
    told: set[tuple[str, Trouble, str]] = field(default_factory=set)
    readings: dict[tuple[str, Trouble, str], Reading] = field(default_factory=dict)
    """The logs that belong to what is told, the newest last."""

    @property
    def log(self) -> Sequence[str]:
        """The last lines that were read, of whichever container."""
        return next((r.lines for r in reversed(self.readings.values()) if r.lines), ())

    @property
    def is_bad(self) -> bool:
        """Whether it has failed, or run out of its own time."""
        return self.verdict.state is State.FAILED or self.is_expired


class Wait:
    """The wait of one run; it may be called for several waves, one after the other."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        feed: Feed,
        scopes: Sequence[Scope],
        view: View,
        clock: Clock,
        console: Console,
        timeout_s: float,
        aside: Aside = in_background,
    ) -> None:
        self._cluster, self._feed, self._view = cluster, feed, view
        self._clock, self._console, self._aside = clock, console, aside
        self._begun_s = clock.now()
        self._deadline_s = self._begun_s + timeout_s
        self._inquiry = Inquiry(cluster, clock, scopes, aside)
        self._judge = Judge(self._inquiry.uid)
        self._progress: dict[str, _Progress] = {}
        self._replaced: dict[str, str] = {}
        self._warned: set[tuple[str, str]] = set()
        self._trusted_from_s = -math.inf
        self.timed_out = False

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began to apply."""
        return self._clock.now() - self._begun_s

    def expect(self, targets: Sequence[Target]) -> None:
        """Add objects to those that are waited for, and reported, from now on."""
        now_s = self._clock.now()
        for target in targets:
            waiting = Verdict(target, State.WAITING, "just applied")
            history = History(self.elapsed_s, waiting.detail)
            deadline_s = now_s + target.timeout_s
            self._progress[target.uid] = _Progress(waiting, now_s, history, deadline_s)

    def until_healthy(self) -> bool:
        """Return True once all are ready; False when some failed or the time ran out."""
        while True:
            if self._view.complete:
                self._look()
                if (healthy := self._decided()) is not None:
                    return healthy
            elif self._clock.now() >= self._deadline_s:
                self.timed_out = True
                return False
            for notice in self._feed.next(self._pause_s()):
                self._view.take(notice)

    def results(self) -> list[Result]:
        """Return what became of every object seen so far."""
        return [self._result(progress) for progress in self._progress.values()]

    def _look(self) -> None:
        now_s = self._clock.now()
        if self._feed.lost_s > STALE_S:
            self._trusted_from_s = now_s + AFTER_OUTAGE_S
            self._console.progress([_row(p) for p in self._progress.values()], self.elapsed_s)
            return
        targets = [progress.verdict.target for progress in self._progress.values()]
        for verdict in self._judge.judge(targets, self._view, now_s, self._cluster.now()):
            progress = self._progress[verdict.target.uid]
            new = self._unblocked(self._trusted(verdict, now_s))
            if new.state is not progress.verdict.state and not progress.is_expired:
                progress.since_s = now_s
            progress.verdict = new
            self._check_time(progress, now_s)
            progress.history.note(new, now_s - self._begun_s)
            self._tell_symptoms(progress)
            self._tell_warning(progress.verdict)
        if any(p.verdict.state is not State.READY for p in self._progress.values()):
            self._feed.widen()
        self._console.progress([_row(p) for p in self._progress.values()], self.elapsed_s)

    def _trusted(self, verdict: Verdict, now_s: float) -> Verdict:
        """Take a failure back that may be what the nodes reported before an outage."""
        if verdict.state is State.FAILED and now_s < self._trusted_from_s:
            return replace(verdict, state=State.WAITING, due_s=self._trusted_from_s)
        return verdict

    def _check_time(self, progress: _Progress, now_s: float) -> None:
        """Note when an object that has a time of its own has not become ready within it."""
        over = now_s >= progress.deadline_s and progress.verdict.state is State.WAITING
        if over and not progress.is_expired:
            progress.since_s = now_s
        progress.is_expired = over

    def _decided(self) -> bool | None:
        now_s = self._clock.now()
        progress = self._progress.values()
        if all(each.verdict.state is State.READY for each in progress):
            return True
        bad_since_s = min((each.since_s for each in progress if each.is_bad), default=math.inf)
        undecided = any(p.verdict.state is State.WAITING and not p.is_expired for p in progress)
        if bad_since_s < math.inf and (not undecided or now_s - bad_since_s >= COLLECT_S):
            return False
        if now_s >= self._deadline_s:
            self.timed_out = True
            return False
        return None

    def _pause_s(self) -> float:
        """Return how long nothing happens if no notice comes: until a grace is over, at most."""
        now_s = self._clock.now()
        due = (
            moment for p in self._progress.values() for moment in (p.verdict.due_s, p.deadline_s)
        )
        soonest_s = min((moment for moment in due if moment > now_s), default=math.inf)
        pause_s = min(TICK_S, max(soonest_s - now_s, SHORTEST_TICK_S))
        return max(min(pause_s, self._deadline_s - now_s), 0.0)

    def _tell_symptoms(self, progress: _Progress) -> None:
        """Say each cause once, when it is first seen; the verdict may be far away."""
        for symptom in progress.verdict.symptoms:
            key = (symptom.site.container, symptom.trouble, symptom.headline)
            if key in progress.told or symptom not in progress.verdict.told:
                continue
            reading = self._reading(progress, key, symptom)
            waited_s = self._clock.now() - reading.asked_s if reading else math.inf
            if reading is None or reading.is_done or waited_s >= LOG_PATIENCE_S:
                progress.told.add(key)
                self._tell(progress, symptom, reading)

    def _tell(self, progress: _Progress, symptom: Symptom, reading: Reading | None) -> None:
        name = str(progress.verdict.target.name)
        is_first = sum(bool(each.lines) for each in progress.readings.values()) == 1
        wants_log = reading is not None and symptom.trouble in WITH_LOG and is_first
        lines = reading.lines if reading is not None and wants_log else ()
        self._console.symptom(name, symptom.cause, self.elapsed_s, lines)
        if reading is not None and reading.complaint:
            self._console.warn(f"log of {symptom.site.pod}: {reading.complaint}")

    def _reading(
        self, progress: _Progress, key: tuple[str, Trouble, str], symptom: Symptom
    ) -> Reading | None:
        """Read the log that explains a symptom at once: a Job that gives up deletes its pods."""
        if symptom.trouble not in WITH_LOG and symptom.trouble is not Trouble.PROBE:
            return None
        if key not in progress.readings:
            namespace = progress.verdict.target.name.namespace
            pod = self._view.find("Pod", namespace, symptom.site.pod)
            if pod is None:
                return None
            site = _with_container(symptom.site, pod)
            previous = symptom.trouble in WITH_LOG and is_running(pod, site.container)
            progress.readings[key] = self._inquiry.log(namespace, site, previous=previous)
        return progress.readings[key]

    def _tell_warning(self, verdict: Verdict) -> None:
        key = (verdict.target.uid, verdict.warning)
        if verdict.warning and key not in self._warned:
            self._warned.add(key)
            self._console.warn(f"{verdict.target.name}: {verdict.warning}")

    def _unblocked(self, verdict: Verdict) -> Verdict:
        """Delete a broken pod that keeps a StatefulSet from going on, if its manifest allows."""
        is_blocked = verdict.symptoms and verdict.symptoms[0].trouble is Trouble.BLOCKED
        if verdict.state is not State.FAILED or not is_blocked or not verdict.target.replaces_pods:
            return verdict
        site = verdict.symptoms[0].site
        if site.pod_uid not in self._replaced:
            self._replaced[site.pod_uid] = ""
            pod = f"Pod {verdict.target.name.namespace}/{site.pod}"
            self._console.step("wait", f"deleting {pod}: {verdict.symptoms[0].cause}")
            self._aside(lambda: self._delete_pod(verdict.target.name.namespace, site))
        if self._replaced[site.pod_uid]:
            return verdict
        return replace(verdict, state=State.WAITING, detail=f"replacing pod {site.pod}")

    def _delete_pod(self, namespace: str, site: Site) -> None:
        try:
            self._cluster.delete(_POD, namespace, site.pod, site.pod_uid, propagation="Background")
        except CodexctlError as error:
            self._replaced[site.pod_uid] = str(error)
            self._console.warn(f"pod {site.pod} was not deleted: {error}")

    def _result(self, progress: _Progress) -> Result:
        verdict = progress.verdict
        outcome = {State.READY: Outcome.READY, State.FAILED: Outcome.FAILED}.get(
            verdict.state,
            Outcome.TIMED_OUT if self.timed_out or progress.is_expired else Outcome.NOT_READY,
        )
        diagnosis = None
        if outcome is not Outcome.READY:
            diagnosis = diagnose(verdict, self._view, progress.log)
        is_settled = outcome in (Outcome.READY, Outcome.FAILED) or progress.is_expired
        after_s = progress.since_s - self._begun_s if is_settled else self.elapsed_s
        timed_out = outcome is Outcome.TIMED_OUT
        history = progress.history.until(self.elapsed_s, timed_out=timed_out)
        return Result(
            *(verdict.target, outcome, after_s, verdict.detail, diagnosis),
            begun_s=progress.history.begun_s,
            history=history,
        )


def _with_container(site: Site, pod: Mapping[str, Any]) -> Site:
    """Name a container where the symptom names none: the API asks for one if there are several."""
    containers = pod["spec"].get("containers") or ()
    if site.container or not containers:
        return site
    return replace(site, container=containers[0]["name"])


def _row(progress: _Progress) -> Row:
    verdict = progress.verdict
    state = "failed" if progress.is_expired else verdict.state.value
    detail = f"not ready in time: {verdict.detail}" if progress.is_expired else verdict.detail
    return Row(str(verdict.target.name), state, detail)
