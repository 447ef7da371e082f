"""
One run on one stack: what is desired, where, whose turn it is, and what is to be done.

The phases that `deploy`, `plan` and `destroy` share. A run changes nothing before `Run.check` has
found no problem; a run of a named stack holds a lease from `Run.take_turn` on.
"""

from __future__ import annotations

import math
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Self

from codexctl_tasks.apply.applying import await_namespace
from codexctl_tasks.apply.inventory import Inventory
from codexctl_tasks.apply.lease import RunLease
from codexctl_tasks.apply.placement import find_places, place
from codexctl_tasks.apply.plan import Action, Plan, Step, make_plan
from codexctl_tasks.apply.preflight import check_permissions, rehearse
from codexctl_tasks.apply.sending import Sender
from codexctl_tasks.errors import ClusterError, CodexctlError, CombinedError, DeadlineError
from codexctl_tasks.flows.environment import load_applicable
from codexctl_tasks.flows.hooking import hooks_of, prepare_hooks
from codexctl_tasks.flows.tenancy import Tenancy
from codexctl_tasks.stack.manifests import namespace_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codexctl_tasks.apply.placement import Placed
    from codexctl_tasks.apply.preflight import Rehearsal
    from codexctl_tasks.errors import Location
    from codexctl_tasks.requests.runs import DeployRequest
    from codexctl_tasks.stack.manifests import ObjectName
    from codexctl_tasks.world.outside import Outside
    from codexctl_tasks.world.watching import Scope


class Run:
    """One run on one stack in one namespace."""

    def __init__(self, request: DeployRequest, outside: Outside) -> None:
        """Load what is desired and find out where it belongs; nothing is changed."""
        self.outside, self.console, self.clock = outside, outside.console, outside.clock
        self.desired = load_applicable(request.source, self.console)
        self.request = request.with_defaults(self.desired.defaults)
        prepared = prepare_hooks(self.desired, self.console) if request.runs_hooks else []
        self.cluster = outside.connect(self.request.cluster, self.clock, self.console.retrying)
        self._begin_time()
        self.stack = self.request.stack or self.desired.stack
        self.namespace = self.desired.namespace or self.cluster.default_namespace
        self._tenancy = Tenancy.of(
            slot=self.request.source.slot,
            repository=self.request.repository,
            stack=self.stack,
            namespace=self.desired.namespace,
        )
        manifests = self.desired.manifests
        if self._tenancy:
            manifests = self._tenancy.labelled(manifests)
        self.objects, self._problems = find_places(manifests, self.cluster)
        self.inventory: Inventory | None = None
        self.lease: RunLease | None = None
        if self.stack:
            self.inventory = Inventory(self.cluster, self.stack, self.namespace)
            self.lease = RunLease(
                self.cluster,
                self.clock,
                namespace=self.namespace,
                name=self.inventory.name,
                holder=self.request.holder,
                announce=lambda line: self.console.step("lease", line),
            )
        self.hooks = hooks_of(
            prepared,
            self.desired,
            (self.request.source, self.request.cluster),
            outside,
            stack_name=self.stack,
            connect=lambda: self.cluster,
            check=self.check_turn,
        )
        self.is_namespace_gone = False
        """Deleted by this run, and with it the lease."""
        self._missing_namespace: Step | None = None
        self._may_take_turn = False
        self.plan = Plan(steps=())

    def _begin_time(self) -> None:
        """Let the time of the run begin now."""
        self.begun_s = self.clock.now()
        self.deadline_s = self.begun_s + self.request.wait_timeout_s
        self.cluster.deadline_s = self.deadline_s

    def extend_time(self, seconds: float) -> None:
        """Give back what others have used of the run's time."""
        self.deadline_s += seconds
        self.cluster.deadline_s = self.deadline_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.lease:
            self.lease.release()

    @property
    def declared(self) -> list[ObjectName]:
        """The names of all desired objects."""
        return [placed.name for placed in self.objects]

    def await_namespaces(self) -> None:
        """Wait for namespaces that are being deleted; note whether the stack's own is missing."""
        self._look_at_namespaces(deadline_s=self.deadline_s)

    def look_at_namespaces(self) -> None:
        """Note whether the stack's own namespace is missing; wait for none to be gone."""
        try:
            self._look_at_namespaces(deadline_s=-math.inf)
        except DeadlineError as error:
            self.console.warn(f"{error.where}: {error.what}: a deploy waits for that")

    def _look_at_namespaces(self, *, deadline_s: float) -> None:
        wanted: dict[str, Location | str] = {}
        if self.stack and self.objects:
            wanted[self.namespace] = self.desired.origin
        wanted |= {p.name.namespace: p.manifest.location for p in reversed(self.objects)}
        exists = {
            name: await_namespace(
                *(name, where, self.cluster, self.clock),
                deadline_s=deadline_s,
                tell=lambda line: self.console.step("apply", line),
            )
            for name, where in wanted.items()
            if name
        }
        self.check_tenancy()
        self._may_take_turn = exists.get(self.namespace, True)
        if not self._may_take_turn:
            own = namespace_manifest(self.namespace, self.desired.origin)
            if self._tenancy:
                [own] = self._tenancy.labelled([own])
            [placed] = place([own], self.cluster)
            self._missing_namespace = Step(placed=placed, body=own.body, action=Action.CREATE)

    @property
    def namespace_step(self) -> Step | None:
        """What creates the stack's own namespace, declared or not; None: it existed."""
        own = self._missing_namespace
        if own is None:
            return None
        return next((step for step in self.plan.steps if step.name == own.name), own)

    @property
    def steps(self) -> list[Step]:
        """Everything that is to be done, also what nobody has declared."""
        own, planned = self.namespace_step, self.plan.steps
        return [*planned] if own is None or own in planned else [own, *planned]

    def take_turn(self) -> bool:
        """
        Wait until no other run is changing the stack.

        Returns:
            Whether another run was: what was read before may be stale. A namespace that does not
            exist yet has no lease; nobody else is at work in it. An empty set changes nothing.
        """
        if self.lease is None or not self._may_take_turn or not self.objects:
            return False
        waited = self.lease.acquire(self.deadline_s)
        if waited:  # the time is for this run, not for the other one
            self._begin_time()
        return waited

    def take_turn_in_existing_namespace(self) -> None:
        """Do the same as `take_turn`, unless there is no namespace: then there is nothing in it."""
        if self.lease is not None:
            try:
                self.lease.acquire(self.deadline_s)
            except ClusterError as error:
                # Of one that is being deleted, too, somebody may still want to see the end.
                if error.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN):
                    raise

    def take_turn_in_new_namespace(self) -> bool:
        """Do the same as `take_turn` as soon as the namespace exists, if that was not before."""
        if self._may_take_turn:
            return False
        self._may_take_turn = True
        if self.take_turn():
            return True
        self.read_inventory()  # another run may have come and gone since the namespace was missing
        return self.inventory is not None and bool(self.inventory.names)

    def check_turn(self) -> None:
        """
        Return if this run may go on changing the stack.

        Raises:
            ClusterError: Another run has the lease, or somebody deleted it.
        """
        if self.lease and not self.is_namespace_gone:
            self.lease.check()

    def check_tenancy(self) -> None:
        """
        Return if the namespace is not that of another slot.

        Raises:
            ClusterError: Its labels say whose it is.
        """
        if self._tenancy:
            self._tenancy.check(self.cluster)

    def claim_namespace(self) -> None:
        """Label the namespace of a slot, where this stack was applied before there were labels."""
        if self._tenancy and self.inventory and self.inventory.names:
            self._tenancy.claim(self.cluster, self.console.warn)

    def read_inventory(self) -> None:
        """Read what earlier runs of the stack have applied; without that right, forget about it."""
        if self.inventory is None:
            return
        try:
            self.inventory.read()
        except ClusterError as error:
            if error.status != HTTPStatus.FORBIDDEN:
                raise
            self.console.warn(
                f"ConfigMap {self.namespace}/{self.inventory.name}: this account may not read it: "
                "what is applied is not remembered, and nothing is pruned"
            )
            self.inventory = None

    def compare(self) -> None:
        """Find out what is to be done."""
        self.read_inventory()
        applied_before = sorted(self.inventory.names) if self.inventory else []
        self.plan = make_plan(
            self.objects,
            self.cluster,
            label=self.inventory.label if self.inventory else "",
            applied_before=() if self.desired.is_partial else applied_before,
            prune_protected=self.request.prune_protected,
        )

    def check(self, *, prunes: bool, watched: Sequence[Scope]) -> None:
        """
        Find everything that would be refused, and say it all at once.

        Raises:
            CombinedError: What would be refused; nothing has been changed.
        """
        _, problems = self.rehearse(prunes=prunes, watched=watched)
        if problems:
            raise CombinedError(problems)

    def rehearse(
        self, *, prunes: bool, watched: Sequence[Scope] = (), thoroughly: bool = False
    ) -> tuple[Rehearsal, list[CodexctlError]]:
        """Return what the server says to the plan, and everything that it would refuse."""
        plan = replace(self.plan, steps=self.steps)
        lacking = check_permissions(
            plan,
            self.cluster,
            prunes=prunes,
            watched=watched,
            inventory=self.inventory.address if self.inventory else None,
        )
        rehearsal = rehearse(plan, self.sender(), thoroughly=thoroughly)
        said = [p for p in rehearsal.problems if not (lacking and _is_about_permission(p))]
        return rehearsal, [*self._problems, *lacking, *said]

    def sender(self) -> Sender:
        """Return what sends the objects of this run."""
        return Sender(
            cluster=self.cluster,
            clock=self.clock,
            force=self.request.force_conflicts,
            declared=frozenset(self.declared),
            deadline_s=self.deadline_s,
            tell=lambda line: self.console.step("apply", line),
        )

    def steps_of(self, objects: Sequence[Placed]) -> list[Step]:
        """Return the steps of these objects."""
        steps = {step.name: step for step in self.plan.steps}
        return [steps[placed.name] for placed in objects]


def _is_about_permission(problem: CodexctlError) -> bool:
    return " cannot " in problem.what and isinstance(problem, ClusterError)
