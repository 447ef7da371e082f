"""Apply a plan, stage by stage, and keep account of what was done."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from codexctl_tasks.apply.deleting import what_blocks
from codexctl_tasks.apply.refusals import explained
from codexctl_tasks.apply.sending import LOOK_S, Applied
from codexctl_tasks.errors import (
    ClusterError,
    CodexctlError,
    CombinedError,
    DeadlineError,
    TransientClusterError,
)
from codexctl_tasks.world.cluster import CONNECTIONS, Resource
from codexctl_tasks.world.parallel import in_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from codexctl_tasks.apply.plan import Step
    from codexctl_tasks.apply.sending import Sender
    from codexctl_tasks.errors import Location
    from codexctl_tasks.stack.manifests import ObjectName
    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.cluster import Cluster

ESTABLISH_TIMEOUT_S = 30.0
"""A CustomResourceDefinition is served a second or two after it was accepted."""
REFUSED_AFTER_S = 10.0
"""Names that another definition has stay refused until that one is gone."""
_ESTABLISH_LOOK_S = 0.2
_NAMESPACE = Resource("v1", "Namespace", "namespaces", namespaced=False)
_DEFINITION = Resource(
    "apiextensions.k8s.io/v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    namespaced=False,
)


class Account:
    """What became of every object of a plan so far; an interrupted run tells it."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.applied: list[Applied] = []
        self.steps = steps
        self._sent: set[ObjectName] = set()
        self._settled: set[ObjectName] = set()

    def begin(self, step: Step) -> None:
        """Note that an object is being sent."""
        self._sent.add(step.name)

    def finish(self, step: Step, applied: Applied | None) -> None:
        """Note the outcome; None: it was refused."""
        self._settled.add(step.name)
        if applied is not None:
            self.applied.append(applied)

    def replan(self, steps: Sequence[Step]) -> None:
        """Go on with another plan."""
        self.steps = steps

    @property
    def total(self) -> int:
        """How many objects the plan has."""
        return len(self.steps)

    @property
    def in_flight(self) -> list[ObjectName]:
        """Objects that were sent and whose answer never came: nobody knows."""
        return [s.name for s in self.steps if s.name in self._sent - self._settled]

    @property
    def not_sent(self) -> list[ObjectName]:
        """Objects whose turn never came."""
        return [s.name for s in self.steps if s.name not in self._sent]

    @property
    def uids(self) -> set[str]:
        """The objects that this run has applied, or found unchanged."""
        return {str(each.found["metadata"]["uid"]) for each in self.applied}


def apply_stage(
    steps: Sequence[Step],
    sender: Sender,
    account: Account,
    *,
    tell: Callable[[Applied], None],
    check: Callable[[], None] = lambda: None,
) -> list[Applied]:
    """
    Apply objects side by side.

    Args:
        steps: Objects that do not need each other.
        sender: How each is sent.
        account: Keeps what became of them.
        tell: Called for each object as soon as it is applied.
        check: Called before each object; raises when this run must not go on.

    Raises:
        CombinedError: What the server refused; the rest of the stage was applied, unless the last
            of the problems is one that ends the run: no connection, no time, no lease.
    """

    def send(numbered: tuple[int, Step]) -> Applied | Sequence[CodexctlError]:
        _, step = numbered
        check()
        sender.check_time(step)
        account.begin(step)
        return _sent(step, sender)

    applied: list[Applied] = []
    problems: dict[int, Sequence[CodexctlError]] = {}
    ended_by: CodexctlError | None = None
    try:
        for (number, step), answer in in_parallel(send, list(enumerate(steps)), limit=CONNECTIONS):
            if isinstance(answer, Applied):
                account.finish(step, answer)
                tell(answer)
                applied.append(answer)
            else:
                account.finish(step, None)
                problems[number] = answer
    except CodexctlError as error:
        ended_by = error
    found = [each for number in sorted(problems) for each in problems[number]]
    if ended_by is not None:
        raise CombinedError([*found, ended_by]) if found else ended_by
    if found:
        raise CombinedError(found)
    return applied


def _sent(step: Step, sender: Sender) -> Applied | Sequence[CodexctlError]:
    """Send an object; return what is wrong with it alone, raise what stops everything."""
    try:
        return sender.send(step)
    except DeadlineError as error:
        return [error]
    except ClusterError as error:
        if isinstance(error, TransientClusterError) and error.status == 0:
            raise  # it was tried for long: nobody else gets through either
        return explained(error, step.placed)


def await_definitions(
    applied: Sequence[Applied], cluster: Cluster, clock: Clock, needed: Collection[str]
) -> None:
    """
    Return when the CustomResourceDefinitions among *applied* are served.

    Args:
        applied: What was applied just now.
        cluster: Where.
        clock: For the looks.
        needed: Names of those whose resources follow; the others are judged with the rollout.

    Raises:
        ClusterError: One is not served in time, with what the server says about why.
    """
    definitions = [
        a
        for a in applied
        if a.name.kind == _DEFINITION.kind
        and a.name.name in needed
        and not _condition(a.found, "Established")[0]
    ]
    deadline_s = clock.now() + ESTABLISH_TIMEOUT_S
    for definition in definitions:
        _await_definition(definition, cluster, clock, deadline_s)
    if definitions:
        cluster.resources(refresh=True)


def _await_definition(
    definition: Applied, cluster: Cluster, clock: Clock, deadline_s: float
) -> None:
    begun_s = clock.now()
    while True:
        found = cluster.get(_DEFINITION, "", definition.name.name) or {}
        if _condition(found, "Established")[0]:
            return
        accepted, why = _condition(found, "NamesAccepted")
        refused = bool(why) and not accepted and clock.now() - begun_s >= REFUSED_AFTER_S
        if refused or clock.now() >= deadline_s:
            what = f"is not accepted: {why}" if refused else "is not served"
            raise ClusterError(
                definition.placed.manifest.location,
                f"{definition.name} {what} after {clock.now() - begun_s:.0f} s",
                "look at its conditions: kubectl describe",
            )
        clock.sleep(_ESTABLISH_LOOK_S)


def await_namespace(
    name: str,
    where: Location | str,
    cluster: Cluster,
    clock: Clock,
    *,
    deadline_s: float,
    tell: Callable[[str], None],
) -> bool:
    """
    Return whether a namespace exists, after waiting for one that is being deleted to be gone.

    Args:
        name: Of the namespace.
        where: Who wants it.
        cluster: Where.
        clock: For the looks, one per second.
        deadline_s: When to give up.
        tell: Receives a line when it must be waited for.

    Raises:
        DeadlineError: It is still there, with what Kubernetes says about why.
    """
    told = False
    while True:
        try:
            found = cluster.get(_NAMESPACE, "", name)
        except ClusterError as error:
            if error.status == HTTPStatus.FORBIDDEN:
                return True  # usual for accounts of one namespace: if it does not, apply will tell
            raise
        if found is None or not found["metadata"].get("deletionTimestamp"):
            return found is not None
        if not told:
            tell(f"Namespace {name} is being deleted: waiting until it is gone")
            told = True
        if clock.now() >= deadline_s:
            raise DeadlineError(
                where,
                f"Namespace {name} is still being deleted: {what_blocks(found)}",
                "look at what is left in it, or allow more with --wait-timeout",
            )
        clock.sleep(LOOK_S)


def _condition(definition: Mapping[str, Any], name: str) -> tuple[bool, str]:
    """Return whether a condition holds, and what the server says about it."""
    for each in (definition.get("status") or {}).get("conditions") or ():
        if each["type"] == name:
            return each["status"] == "True", str(each.get("message") or each.get("reason") or "")
    return False, ""
