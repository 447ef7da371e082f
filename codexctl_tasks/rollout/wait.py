"""
Wait until workloads are healthy, or say which are not: a loop over the watches.

Nothing is polled. The loop wakes for every change, and once a second for the graces and the
clock on the screen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from codexctl_tasks.console import Row
from codexctl_tasks.rollout.diagnosis import Diagnosis, diagnose
from codexctl_tasks.rollout.history import History
from codexctl_tasks.rollout.inquiry import Aside, Inquiry, in_background
from codexctl_tasks.rollout.judge import Judge, State, Verdict
from codexctl_tasks.rollout.telling import Teller
from codexctl_tasks.rollout.unblocking import Unblocker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codexctl_tasks.console import Console
    from codexctl_tasks.rollout.history import Moment
    from codexctl_tasks.rollout.target import Target
    from codexctl_tasks.rollout.view import View
    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.watching import Feed, Scope

TICK_S = 1.0
SHORTEST_TICK_S = 0.05
COLLECT_S = 10.0
"""After the first failure: long enough that one run reports all failures of a bad deploy."""
LONGEST_COLLECT_S = 15.0
"""The same while another verdict is about to come."""
STALE_S = 5.0
"""Watches that are broken for longer show what is old: nothing is concluded from it."""
AFTER_OUTAGE_S = 15.0
"""When the API server is back the nodes need some time to report; until then nothing fails."""


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
    """Seconds from the beginning of the wait to the outcome; 0: nobody waited."""
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
        self._clock, self._console = clock, console
        self._begun_s = clock.now()
        self._deadline_s = self._begun_s + timeout_s
        inquiry = Inquiry(cluster, clock, scopes, aside)
        self._judge = Judge(inquiry.uid)
        self._teller = Teller(view, inquiry, clock, console)
        self._unblocker = Unblocker(cluster, console, aside)
        self._progress: dict[str, _Progress] = {}
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

    def extend_time(self, seconds: float) -> None:
        """Give back time in which others were at work."""
        self._deadline_s += seconds
        for progress in self._progress.values():
            progress.deadline_s += seconds

    def look(self, seconds: float) -> None:
        """Find out how everything is, for about so many seconds at most."""
        end_s = self._clock.now() + seconds
        while self._clock.now() < end_s and self.advance() is None:
            pass

    def forget(self, target: Target) -> None:
        """Wait no longer for an object, and report nothing of it."""
        self._progress.pop(target.uid, None)

    def until_healthy(self) -> bool:
        """Return True once all are ready; False when some failed or the time ran out."""
        while (healthy := self.advance()) is None:
            pass
        return healthy

    def advance(self) -> bool | None:
        """
        Look once; if nothing is decided, take in what happens next.

        Returns:
            True: all are ready; False: some failed or the time ran out; None: go on.
        """
        if self._view.complete:
            self._look()
            healthy = self._decided()
            if healthy is not None and (healthy or not self._teller.is_waiting):
                return healthy
        elif self._clock.now() >= self._deadline_s:
            self.timed_out = True
            return False
        for notice in self._feed.next(self._pause_s()):
            self._view.take(notice)
        return None

    def results(self) -> list[Result]:
        """Return what became of every object seen so far."""
        return [self._result(progress) for progress in self._progress.values()]

    def _look(self) -> None:
        now_s = self._clock.now()
        if self._feed.lost_s >= STALE_S:
            self._trusted_from_s = now_s + AFTER_OUTAGE_S
            self._console.progress([_row(p) for p in self._progress.values()], self.elapsed_s)
            return
        targets = [progress.verdict.target for progress in self._progress.values()]
        for verdict in self._judge.judge(targets, self._view, now_s, self._cluster.now()):
            progress = self._progress[verdict.target.uid]
            new = self._unblocker.unblocked(self._trusted(verdict, now_s))
            if new.state is not progress.verdict.state and not progress.is_expired:
                progress.since_s = now_s
            progress.verdict = new
            self._check_time(progress, now_s)
            progress.history.note(new, now_s - self._begun_s)
            self._teller.tell(new, self.elapsed_s)
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
        undecided = [p for p in progress if p.verdict.state is State.WAITING and not p.is_expired]
        is_due = any(p.verdict.due_s <= bad_since_s + LONGEST_COLLECT_S for p in undecided)
        collects_s = LONGEST_COLLECT_S if is_due else COLLECT_S
        if not undecided or now_s - bad_since_s >= collects_s:
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
        if self._teller.is_waiting:
            return SHORTEST_TICK_S
        pause_s = min(TICK_S, max(soonest_s - now_s, SHORTEST_TICK_S))
        return max(min(pause_s, self._deadline_s - now_s), 0.0)

    def _result(self, progress: _Progress) -> Result:
        verdict = progress.verdict
        outcome = {State.READY: Outcome.READY, State.FAILED: Outcome.FAILED}.get(
            verdict.state,
            Outcome.TIMED_OUT if self.timed_out or progress.is_expired else Outcome.NOT_READY,
        )
        diagnosis = None
        if outcome is not Outcome.READY:
            diagnosis = diagnose(verdict, self._view, self._teller.log_of(verdict.target.uid))
        is_settled = outcome in (Outcome.READY, Outcome.FAILED) or progress.is_expired
        after_s = progress.since_s - self._begun_s if is_settled else self.elapsed_s
        timed_out = outcome is Outcome.TIMED_OUT
        history = progress.history.until(self.elapsed_s, timed_out=timed_out)
        return Result(
            *(verdict.target, outcome, after_s, verdict.detail, diagnosis),
            begun_s=progress.history.begun_s,
            history=history,
        )


def _row(progress: _Progress) -> Row:
    verdict = progress.verdict
    state = "failed" if progress.is_expired else verdict.state.value
    detail = f"not ready in time: {verdict.detail}" if progress.is_expired else verdict.detail
    return Row(str(verdict.target.name), state, detail)
