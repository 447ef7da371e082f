"""Permissions that this stack needs: to apply, wait, prune and destroy; nothing is changed."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from codexctl_tasks.apply import preflight
from codexctl_tasks.apply.inventory import Inventory
from codexctl_tasks.apply.placement import find_places, place
from codexctl_tasks.apply.plan import Action, Leaving, Plan, Step, make_plan
from codexctl_tasks.checks.finding import Finding, doubt, failures, ok, skipped
from codexctl_tasks.errors import ClusterError, CombinedError
from codexctl_tasks.rollout.target import is_awaited, scopes_for
from codexctl_tasks.stack.manifests import namespace_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from codexctl_tasks.apply.placement import Placed
    from codexctl_tasks.checks.subject import Subject
    from codexctl_tasks.errors import Location
    from codexctl_tasks.world.cluster import Cluster


def check_permissions(subject: Subject) -> Iterator[Finding]:
    """
    Compare what the account may do with what the desired objects need, a line for what is missing.

    Without the right to delete, everything works but pruning and ``destroy``: a warning.
    """
    if not subject.manifests:
        yield skipped("stack", "no objects are known")
        return
    cluster = subject.connect()
    placed, problems = find_places(subject.manifests, cluster)
    namespaces = _Namespaces(subject, placed, cluster)
    found = [
        *(finding for problem in problems for finding in failures(problem)),
        *namespaces.findings(),
        *_lacking(subject, placed, namespaces.missing_step, cluster),
        *_undeletable(placed, cluster),
    ]
    yield from found
    if not found:
        objects = "1 object needs" if len(placed) == 1 else f"{len(placed)} objects need"
        yield ok(f"namespace {namespaces.own}", f"this account may do all that {objects}")


def _lacking(
    subject: Subject, placed: Sequence[Placed], namespace: Step | None, cluster: Cluster
) -> Iterator[Finding]:
    """Yield what a deploy would be refused, also of objects that are as desired at the moment."""
    inventory = _inventory(subject, cluster)
    plan = make_plan(
        placed,
        cluster,
        label=inventory.label if inventory else "",
        applied_before=sorted(inventory.names) if inventory else (),
    )
    # An object that may not be read is perhaps not there: then it has to be created.
    steps = [
        replace(step, action=Action.CREATE if step.live is None else Action.CHANGE)
        for step in plan.steps
    ]
    if namespace is not None and namespace.name not in {step.name for step in steps}:
        steps.insert(0, namespace)
    awaited = [(p.name, p.resource) for p in placed if is_awaited(p.name, p.manifest.body)]
    errors = preflight.check_permissions(
        replace(plan, steps=steps),
        cluster,
        prunes=True,
        watched=scopes_for(awaited),
        inventory=inventory.address if inventory else None,
    )
    if errors:
        yield from failures(CombinedError(errors))


def _inventory(subject: Subject, cluster: Cluster) -> Inventory | None:
    """Return what the stack has applied; None: nothing is remembered, or it may not be read."""
    if not subject.stack_name:
        return None
    namespace = subject.namespace or cluster.default_namespace
    inventory = Inventory(cluster, subject.stack_name, namespace)
    try:
        inventory.read()
    except ClusterError as error:
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        return None  # a deploy goes on without, and warns
    return inventory


def _undeletable(placed: Sequence[Placed], cluster: Cluster) -> Iterator[Finding]:
    places = {str(each.name): each.manifest.location for each in placed}
    doomed = [Leaving(name=each.name, resource=each.resource) for each in placed]
    for error in preflight.check_permissions(Plan(steps=(), leaving=doomed), cluster, prunes=True):
        fix = "destroy and pruning need it: ask for this permission"
        yield doubt(places.get(error.where, error.where), error.what, fix)


class _Namespaces:
    """The namespaces of a stack: are they there, or may they be made?"""

    def __init__(self, subject: Subject, placed: Sequence[Placed], cluster: Cluster) -> None:
        self.own = subject.namespace or cluster.default_namespace
        self.missing_step: Step | None = None
        """What creates the stack's own namespace; None: it exists."""
        self._subject, self._cluster = subject, cluster
        self._declared = {p.name.name for p in placed if p.name.kind == "Namespace"}
        self._places: dict[str, Location | str] = {}
        if subject.stack_name and placed:  # what is remembered lives there
            self._places[self.own] = subject.origin
        for each in placed:
            if each.name.namespace:
                self._places.setdefault(each.name.namespace, each.manifest.location)

    def findings(self) -> Iterator[Finding]:
        """Yield what is odd about them."""
        for name, where in self._places.items():
            own = namespace_manifest(name, self._subject.origin)
            [placed] = place([own], self._cluster)
            try:
                found = self._cluster.get(placed.resource, "", name)
            except ClusterError as error:
                if error.status == HTTPStatus.FORBIDDEN:
                    continue  # usual for accounts of one namespace
                raise
            if found is None and name == self.own:
                self.missing_step = Step(placed=placed, body=own.body, action=Action.CREATE)
            elif found is None and name not in self._declared:
                what, fix = f"namespace {name} does not exist", "create it, or declare it"
                yield from failures(ClusterError(where, what, fix))
            elif found is not None and found["metadata"].get("deletionTimestamp"):
                what = f"namespace {name} is being deleted"
                yield doubt(where, what, "a deploy waits until it is gone")
