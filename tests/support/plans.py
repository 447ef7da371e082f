"""Plans and what sends them, against a cluster that is a dictionary."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from codexctl_tasks.apply.applying import Account, apply_stage
from codexctl_tasks.apply.plan import make_plan
from codexctl_tasks.apply.sending import Sender
from tests.support.objects import placed

if TYPE_CHECKING:
    from codexctl_tasks.apply.plan import Plan, Step
    from codexctl_tasks.apply.sending import Applied
    from tests.support.fakes import FakeClock, FakeCluster


def plan_of(text: str, cluster: FakeCluster, **more: Any) -> Plan:
    """Return the plan for the objects of a YAML text."""
    return make_plan(placed(text), cluster, **more)


def step_of(text: str, cluster: FakeCluster, **more: Any) -> Step:
    """Return the plan for the only object of a YAML text."""
    [step] = plan_of(text, cluster, **more).steps
    return step


def sender_of(cluster: FakeCluster, clock: FakeClock, **more: Any) -> Sender:
    """Return a sender with all the time in the world."""
    settings: dict[str, Any] = {
        "force": False,
        "declared": frozenset(),
        "deadline_s": math.inf,
        "tell": lambda _: None,
        **more,
    }
    return Sender(cluster=cluster, clock=clock, **settings)


def apply(text: str, cluster: FakeCluster, clock: FakeClock, **more: Any) -> list[Applied]:
    """Apply the objects of a YAML text as one stage; *more* is for the plan."""
    steps = plan_of(text, cluster, **more).steps
    return apply_stage(steps, sender_of(cluster, clock), Account(steps), tell=lambda _: None)
