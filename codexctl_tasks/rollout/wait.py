"""
Wait until workloads are healthy, or say which are not: a loop over the watches.

Nothing is polled. The loop wakes for every change, and once a second for the graces and the
clock on the screen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING

from codexctl_tasks.console import Row
from codexctl_tasks.errors import ClusterError
from codexctl_tasks.rollout.containers import is_running
from codexctl_tasks.rollout.diagnosis import Diagnosis, diagnose
from codexctl_tasks.rollout.history import History
from codexctl_tasks.rollout.judge import Judge, State, Verdict
from codexctl_tasks.rollout.symptoms import Trouble
from codexctl_tasks.world.cluster import Resource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codexctl_tasks.console import Console
    from codexctl_tasks.rollout.history import Moment
    from codexctl_tasks.rollout.symptoms import Symptom
    from codexctl_tasks.rollout.target import Target
    from codexctl_tasks.rollout.view import View
    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.watching import Feed

TICK_S = 1.0
COLLECT_S = 10.0
"""After the first failure: long enough that one run reports all failures of a bad deploy."""
LOG_LINES = 25
_TROUBLES_WITH_LOG = (Trouble.CRASH, Trouble.POD)


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
    """What the loop keeps about one workload."""

    verdict: Verdict
    since_s: float
    history: History
    told: set[tuple[str, Trouble, str]] = field(default_factory=set)
    log: list[str] = field(default_factory=list)


class Wait:
    """The wait of one run; it may be called for several waves, one after the other."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        feed: Feed,
        view: View,
        clock: Clock,
        console: Console,
        timeout_s: float,
    ) -> None:
        self._cluster, self._feed, self._view = cluster, feed, view
        self._clock, self._console = clock, console
        self._begun_s = clock.now()
        self._deadline_s = self._begun_s + timeout_s
        self._judge = Judge(self._exists)
        self._progress: dict[str, _Progress] = {}
        self.timed_out = False

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began to apply."""
        return self._clock.now() - self._begun_s

    def expect(self, targets: Sequence[Target]) -> None:
        """Add workloads to those that are waited for, and reported, from now on."""
        for target in targets:
            waiting = Verdict(target, State.WAITING, "just applied")
            history = History(self.elapsed_s, waiting.detail)
            self._progress[target.uid] = _Progress(waiting, self._clock.now(), history)

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
            for notice in self._feed.next(min(TICK_S, self._remaining_s())):
                self._view.take(notice)

    def results(self) -> list[Result]:
        """Return what became of every workload seen so far."""
        return [self._result(progress) for progress in self._progress.values()]

    def _look(self) -> None:
        now_s = self._clock.now()
        targets = [progress.verdict.target for progress in self._progress.values()]
        for verdict in self._judge.judge(targets, self._view, now_s):
            progress = self._progress[verdict.target.uid]
            if verdict.state is not progress.verdict.state:
                progress.since_s = now_s
            progress.verdict = verdict
            progress.history.note(verdict, now_s - self._begun_s)
            self._tell_symptoms(progress)
        self._console.progress([_row(p.verdict) for p in self._progress.values()], self.elapsed_s)

    def _decided(self) -> bool | None:
        now_s = self._clock.now()
        states = [progress.verdict.state for progress in self._progress.values()]
        if all(state is State.READY for state in states):
            return True
        failed_since_s = min(
            (p.since_s for p in self._progress.values() if p.verdict.state is State.FAILED),
            default=math.inf,
        )
        if failed_since_s < math.inf and (
            State.WAITING not in states or now_s - failed_since_s >= COLLECT_S
        ):
            return False
        if now_s >= self._deadline_s:
            self.timed_out = True
            return False
        return None

    def _remaining_s(self) -> float:
        return max(self._deadline_s - self._clock.now(), 0.0)

    def _tell_symptoms(self, progress: _Progress) -> None:
        """Say each cause once, when it is first seen; the verdict may be far away."""
        for symptom in progress.verdict.symptoms:
            key = (symptom.site.container, symptom.trouble, symptom.headline)
            if key in progress.told:
                continue
            progress.told.add(key)
            first_log = not progress.log
            self._keep_log(progress, symptom)
            name = str(progress.verdict.target.name)
            lines = progress.log if first_log else []
            self._console.symptom(name, symptom.cause, self.elapsed_s, lines)

    def _keep_log(self, progress: _Progress, symptom: Symptom) -> None:
        """Read the log of a crash at once: a Job that gives up deletes its pods."""
        namespace = progress.verdict.target.name.namespace
        pod = self._view.find("Pod", namespace, symptom.site.pod)
        if symptom.trouble not in _TROUBLES_WITH_LOG or pod is None:
            return
        try:
            lines = self._cluster.logs(
                namespace,
                symptom.site.pod,
                symptom.site.container,
                previous=is_running(pod, symptom.site.container),
                lines=LOG_LINES,
            )
        except ClusterError as error:  # the cause is known without it; a report is worth more
            self._console.warn(f"log of {symptom.site.pod}: {error.what}")
        else:
            progress.log = lines or progress.log

    def _result(self, progress: _Progress) -> Result:
        verdict = progress.verdict
        outcome = {State.READY: Outcome.READY, State.FAILED: Outcome.FAILED}.get(
            verdict.state, Outcome.TIMED_OUT if self.timed_out else Outcome.NOT_READY
        )
        diagnosis = None
        if outcome is not Outcome.READY:
            diagnosis = diagnose(verdict, self._view, progress.log)
        settled = outcome in (Outcome.READY, Outcome.FAILED)
        after_s = progress.since_s - self._begun_s if settled else self.elapsed_s
        history = progress.history.until(self.elapsed_s, timed_out=self.timed_out)
        return Result(
            *(verdict.target, outcome, after_s, verdict.detail, diagnosis),
            begun_s=progress.history.begun_s,
            history=history,
        )

    def _exists(self, namespace: str, kind: str, name: str) -> bool:
        plural = {"Secret": "secrets", "ConfigMap": "configmaps"}[kind]
        resource = Resource("v1", kind, plural, namespaced=True)
        try:
            return self._cluster.get(resource, namespace, name) is not None
        except ClusterError as error:
            if error.status == HTTPStatus.FORBIDDEN:  # usual for CI: believe the kubelet
                return False
            raise


def _row(verdict: Verdict) -> Row:
    return Row(str(verdict.target.name), verdict.state.value, verdict.detail)
