"""
The verdict on each object: readiness and symptoms, weighed over time.

A symptom is told at once and fails its object late, when it has lasted for its grace. Time comes
in as a number, so that a recorded rollout can be replayed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from codexctl_tasks.rollout.courses import Case, Course
from codexctl_tasks.rollout.examination import beside, find_symptoms, new_pods
from codexctl_tasks.rollout.health import Health, assess, is_current
from codexctl_tasks.rollout.pods import fails_liveness
from codexctl_tasks.rollout.settling import Runs
from codexctl_tasks.rollout.symptoms import (
    GRACE_GONE_S,
    GRACE_PERMANENT_S,
    NEVER_S,
    Missing,
    Symptom,
    Trouble,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from codexctl_tasks.rollout.target import Target
    from codexctl_tasks.rollout.view import View

    Object = Mapping[str, Any]

GRACE_AFTER_CURE_S = 150.0
"""Once a missing object exists: volume mounts are retried with gaps of up to 122 s."""
ADDRESS_S = 30.0
"""Load balancers give an address within this time, or nobody knows when."""
STATUS_S = 10.0
"""An operator that is at work sets a first status within this time."""

ANSWER_S = 0.1
"""A question to the server is answered by then, usually."""

Ask = Callable[[str, str, str], str | None]
"""Given namespace, kind and name: the UID of that object; empty: there is none; None: the answer
is not there yet."""


class State(Enum):
    """Where an object stands."""

    WAITING = "waiting"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known about one object at one moment."""

    target: Target
    state: State
    detail: str
    """In a few words, for one line."""
    symptoms: tuple[Symptom, ...] = ()
    """The decisive one first."""
    told: frozenset[Symptom] = frozenset()
    """Those that have lasted long enough to be told to a person."""
    warning: str = ""
    """What a person should know although it is ready."""
    due_s: float = math.inf
    """The moment at which time alone may change the verdict."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """What is seen, and when."""

    view: View
    now_s: float
    server: datetime | None


class Judge:
    """Remembers symptoms over time; everything else is in the arguments."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._cases: dict[str, Case] = {}
        self._runs = Runs()

    def judge(
        self, targets: Sequence[Target], view: View, now_s: float, server: datetime | None = None
    ) -> list[Verdict]:
        """
        Return a verdict for each target.

        Args:
            targets: What is waited for.
            view: What the watches have shown; it must be complete.
            now_s: The moment, in seconds.
            server: The same moment as the cluster tells it; None: not known.
        """
        moment = _Moment(view, now_s, server)
        return [self._verdict(target, moment) for target in targets]

    def _verdict(self, target: Target, moment: _Moment) -> Verdict:
        name, view, now_s = target.name, moment.view, moment.now_s
        if view.is_hidden(name.kind, name.namespace):
            hidden = "exists: this account may not watch its kind"
            return Verdict(target, State.READY, hidden, warning=hidden)
        found = view.find(name.kind, name.namespace, name.name)
        is_there = found is not None and found["metadata"]["uid"] == target.uid
        pods = new_pods(found, view) if found is not None and is_there else []
        case = self._case(target, pods, moment)
        if found is None or not is_there:
            return self._absent(target, case, found, moment)
        if not is_current(target, found):
            # What is seen may still be what our apply replaced: no reason to judge.
            return Verdict(target, State.WAITING, assess(target, found).detail)
        case.look(pods, now_s)
        health = assess(target, found, beside(found, view))
        settled_s = now_s
        if health.ready:
            left_s, why = self._settles_in_s(target, case, found, pods, moment)
            if left_s > 0:
                health, settled_s = Health(ready=False, detail=why), now_s + left_s
        elif target.name.kind == "Service" and not target.ready_when:
            health, settled_s = _without_address(case, health, now_s)
        if health.ready:
            return Verdict(target, State.READY, health.detail, warning=health.warning)
        symptoms = find_symptoms(target, found, view, case.baseline(now_s))
        verdict = self._weighed(target, case, symptoms, health.detail, now_s)
        if settled_s > now_s:
            return replace(verdict, due_s=min(verdict.due_s, settled_s))
        return verdict

    def _case(self, target: Target, pods: Sequence[Object], moment: _Moment) -> Case:
        case = self._cases.get(target.uid)
        if case is None:
            begun = moment.server.strftime("%Y-%m-%dT%H:%M:%SZ") if moment.server else ""
            case = self._cases[target.uid] = Case(moment.now_s, begun, pods)
        return case

    def _absent(self, target: Target, case: Case, found: Object | None, moment: _Moment) -> Verdict:
        """Judge an object that is gone, or that somebody has replaced."""
        removed = moment.view.removed(target.uid)
        if removed is not None and _has_ended_well(target, removed):
            return Verdict(target, State.READY, "complete, and removed since")
        is_bare_pod = target.name.kind == "Pod" and removed is not None
        what = "was deleted" if found is None else "was replaced by another object of this name"
        gone = Symptom(
            trouble=Trouble.GONE,
            headline=what,
            cause=f"{target.name} {what} after it was applied",
            grace_s=GRACE_PERMANENT_S if is_bare_pod else GRACE_GONE_S,
            tell_after_s=NEVER_S,  # only once it is confirmed: a watch may lag behind
            hint="find out who else manages it",
            missing=Missing(target.name.kind, target.name.name, target.uid),
        )
        return self._weighed(target, case, [gone], "just applied", moment.now_s)

    def _settles_in_s(
        self, target: Target, case: Case, found: Object, pods: Sequence[Object], moment: _Moment
    ) -> tuple[float, str]:
        """Return after how long a ready object is to be believed (0 or less: now), and why."""
        if target.runs_pods and not target.ready_when and not found["spec"].get("minReadySeconds"):
            doubted = [p["metadata"]["uid"] for p in pods if fails_liveness(p, moment.view)]
            left_s = self._runs.settles_in_s(pods, moment.now_s, moment.server, doubted)
            return left_s, "watching whether it stays up, as it has no readiness probe"
        if target.is_custom and target.is_changed and not found.get("status"):
            return case.begun_s + STATUS_S - moment.now_s, "no status yet"
        return 0.0, ""

    def _weighed(
        self,
        target: Target,
        case: Case,
        symptoms: Sequence[Symptom],
        detail: str,
        now_s: float,
    ) -> Verdict:
        courses = case.take(symptoms, now_s)
        outlasted = [(course, self._has_outlasted(target, course, now_s)) for course in courses]
        fatal = [course for course, is_certain in outlasted if is_certain]
        is_asking = any(is_certain is None for _, is_certain in outlasted)
        rest = [course for course in courses if course not in fatal]
        told = {c.symptom for c in courses if c in fatal or _lasts_long_enough(c, now_s)}
        shown = tuple(course.symptom for course in (*fatal, *rest))
        worst = next((symptom for symptom in shown if symptom in told), None)
        if worst is not None:
            detail = worst.headline if fatal else f"{detail}: {worst.headline}"
        later = (m for c in courses for m in (c.due_s, c.first_s + c.symptom.tell_after_s))
        return Verdict(
            target,
            State.FAILED if fatal else State.WAITING,
            detail,
            shown,
            told=frozenset(told),
            due_s=(
                now_s + ANSWER_S
                if is_asking
                else min((moment for moment in later if moment > now_s), default=math.inf)
            ),
        )

    def _has_outlasted(self, target: Target, course: Course, now_s: float) -> bool | None:
        """
        Tell whether a symptom has lasted for its grace, and what it misses is still missing.

        None: the answer of the server is not there yet.
        """
        if now_s < course.due_s:
            return False
        missing = course.symptom.missing
        if missing is None:
            return True
        uid = self._ask(target.name.namespace, missing.kind, missing.name)
        if uid is None:
            return None
        if missing.uid:
            return uid != missing.uid
        if uid and course.pardoned_until_s == -math.inf:
            # Who tried in vain for long tries less often by now.
            lasted_s = now_s - course.first_s
            course.pardoned_until_s = now_s + max(GRACE_AFTER_CURE_S, lasted_s)
            return False
        return True


def _lasts_long_enough(course: Course, now_s: float) -> bool:
    return now_s - course.first_s >= course.symptom.tell_after_s


def _has_ended_well(target: Target, removed: Object) -> bool:
    ends = target.name.kind == "Job" or (removed.get("status") or {}).get("phase") == "Succeeded"
    return bool(ends and assess(target, removed).ready)


def _without_address(case: Case, health: Health, now_s: float) -> tuple[Health, float]:
    """Give up waiting for a load balancer: many clusters have none, and the rest is fine."""
    until_s = case.begun_s + ADDRESS_S
    if now_s < until_s:
        return health, until_s
    return replace(health, ready=True, warning="no address from a load balancer"), now_s
