"""
Find out what would be refused, before anything is changed: permissions, and a rehearsal.

The rehearsal applies with the server's dry run: strict validation, admission, conflicts, immutable
fields. Objects that exist are all rehearsed. Of many new ones only the first of each shape is: a
misspelt field or a wrong type shows in any of them, and a large first deploy takes half the time.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from codexctl_tasks.apply.permissions import Need, described, missing
from codexctl_tasks.apply.placement import definition_of
from codexctl_tasks.apply.plan import Action
from codexctl_tasks.apply.refusals import explained
from codexctl_tasks.apply.sending import Applied, Change, is_immutable, may_be_replaced
from codexctl_tasks.errors import ClusterError, CodexctlError, Patience, TransientClusterError
from codexctl_tasks.world.cluster import CONNECTIONS, Resource
from codexctl_tasks.world.parallel import in_parallel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from codexctl_tasks.apply.live import Address
    from codexctl_tasks.apply.plan import Plan, Step
    from codexctl_tasks.apply.sending import Sender
    from codexctl_tasks.errors import Location
    from codexctl_tasks.stack.manifests import ObjectName
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.watching import Scope

ALL_NEW_UP_TO = 100
"""So many new objects are all rehearsed, which takes a fraction of a second."""

_FREE_MAPS = frozenset({"labels", "annotations", "data", "binaryData", "stringData"})

_MISSES = re.compile(
    r'"([^"]+)" not found|/([^/\s]+): not found'
    r"|no PriorityClass with name (\S+) was found|exceeded quota: ([^,\s]+)"
)
"""How the server says which other object an object needs, or needs to be larger."""
_REVIEW = Resource(
    "authorization.k8s.io/v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews", namespaced=False
)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What the server said to the dry runs."""

    applied: Sequence[Applied]
    """As it would be; not every object was asked for."""
    problems: Sequence[CodexctlError]


def check_permissions(
    plan: Plan,
    cluster: Cluster,
    *,
    prunes: bool,
    watched: Sequence[Scope] = (),
    inventory: Address | None = None,
) -> list[CodexctlError]:
    """
    Return what the account may not do, a line per kind and namespace.

    One review per namespace tells all rules of the account. Where the server cannot tell (webhook
    authorizers), nothing is missing: the answers to the real requests will tell.

    Args:
        plan: What will be done.
        cluster: Where.
        prunes: Whether objects that left the stack are deleted afterwards.
        watched: What must be watched to wait for the workloads.
        inventory: What is written first; None: nothing is remembered.
    """
    needs = [*_needs(plan, prunes=prunes), *_watches(watched)]
    if inventory is not None and any(s.action is not Action.UNCHANGED for s in plan.steps):
        where = f"{inventory.resource.kind} {inventory.namespace}/{inventory.name}"
        needs += [(where, _need(verb, *inventory)) for verb in ("create", "patch")]
    places = {need: where for where, need in needs}
    if not places:
        return []
    lacking: list[Need] = []
    for namespace in sorted({need.namespace for need in places}):
        there = [need for need in places if need.namespace == namespace]
        lacking += _missing(there, _review(namespace or "default", cluster))
    kinds: dict[tuple[str, str, str], list[Need]] = defaultdict(list)
    for need in lacking:
        kinds[need.plural, need.group, need.namespace].append(need)
    return [
        ClusterError(
            places[alike[0]],
            f"this account {described(alike)[0]}",
            "ask for this permission, or use other credentials",
            status=HTTPStatus.FORBIDDEN,
        )
        for alike in kinds.values()
    ]


def _missing(needs: Sequence[Need], review: Mapping[str, Any]) -> list[Need]:
    """Return what is not granted; rules that name single objects are looked at only if needed."""
    kinds = dict.fromkeys(replace(need, name="") for need in needs)
    refused = set(missing(kinds, review))
    return missing([need for need in needs if replace(need, name="") in refused], review)


def rehearse(plan: Plan, sender: Sender, *, thoroughly: bool = False) -> Rehearsal:
    """
    Ask the server what applying the plan would do.

    Args:
        plan: Unchanged objects are not asked for.
        sender: How objects are sent.
        thoroughly: Every new object, however many there are.
    """
    chosen = list(_worth_rehearsing(plan.steps, thoroughly=thoroughly))
    pending = _Pending(step.name for step in plan.steps if step.action is not Action.UNCHANGED)

    def ask(numbered: tuple[int, Step]) -> Applied | list[ClusterError]:
        _, step = numbered
        try:
            return sender.rehearse(step)
        except TransientClusterError as error:
            if error.patience is Patience.WEBHOOK:  # its pods may be part of this very set
                return []
            raise
        except ClusterError as error:
            if is_immutable(error) and may_be_replaced(step):
                return Applied(step=step, change=Change.REPLACED, found=step.live or {})
            if _passes_by_itself(error, step, pending):
                return []
            return explained(error, step.placed)

    answers: dict[int, Applied | list[ClusterError]] = {}
    for (number, _), answer in in_parallel(ask, list(enumerate(chosen)), limit=CONNECTIONS):
        answers[number] = answer
    in_order = [answers[number] for number in sorted(answers)]
    return Rehearsal(
        applied=[a for a in in_order if isinstance(a, Applied)],
        problems=[problem for a in in_order if isinstance(a, list) for problem in a],
    )


def shape_of(value: Any) -> Any:
    """Return the fields and types of an object without its values; equal shapes are comparable."""
    if isinstance(value, dict):
        return tuple(sorted((str(key), shape_of(inner)) for key, inner in value.items()))
    if isinstance(value, list):
        return tuple(sorted({shape_of(inner) for inner in value}, key=repr))
    return type(value).__name__


def _worth_rehearsing(steps: Sequence[Step], *, thoroughly: bool) -> Iterator[Step]:
    new = [step for step in steps if step.action is Action.CREATE]
    everything = thoroughly or len(new) <= ALL_NEW_UP_TO
    seen = set()
    for step in steps:
        if step.action is Action.CREATE and not everything:
            shape = (step.name.api_version, step.name.kind, _shape_of_body(step.body))
            if shape in seen:
                continue
            seen.add(shape)
        if step.action is not Action.UNCHANGED:
            yield step


def _shape_of_body(body: Mapping[str, Any]) -> Any:
    """Leave out the keys of maps that may hold any key: each would be a shape of its own."""

    def without_keys(parent: Mapping[str, Any]) -> dict[str, Any]:
        return {
            key: list(value.values()) if key in _FREE_MAPS and isinstance(value, dict) else value
            for key, value in parent.items()
        }

    return shape_of({**without_keys(body), "metadata": without_keys(body["metadata"])})


def _passes_by_itself(error: ClusterError, step: Step, pending: _Pending) -> bool:
    """
    Tell whether a refusal is caused by what this run has not applied yet.

    Args:
        error: What the server said to the dry run.
        step: Of the object that was sent.
        pending: Everything that this run creates or changes.
    """
    if "does not support dry run" in error.what:  # a webhook with side effects
        return True
    if "because it is being terminated" in error.what or "is being deleted" in error.what:
        return True
    if definition_of(step.placed.resource) in pending.definitions:
        return True  # its kind, or a field, is not known yet
    missed = (name for found in _MISSES.findall(error.what) for name in found if name)
    return any(pending.has_another(name, than=step.name) for name in missed)


class _Pending:
    """What this run creates or changes; asked for each of many objects."""

    def __init__(self, names: Iterable[ObjectName]) -> None:
        kept = list(names)
        self.definitions = {n.name for n in kept if n.kind == "CustomResourceDefinition"}
        self._counts = Counter(name.name for name in kept)

    def has_another(self, name: str, *, than: ObjectName) -> bool:
        """Tell whether an object of this name, besides *than*, is pending."""
        return self._counts[name] > (than.name == name)


def _needs(plan: Plan, *, prunes: bool) -> Iterator[tuple[Location | str, Need]]:
    for step in plan.steps:
        if step.action is Action.UNCHANGED:
            continue
        verbs = ("create", "patch") if step.action is Action.CREATE else ("patch",)
        for verb in verbs:
            need = _need(verb, step.placed.resource, step.name.namespace, step.name.name)
            yield step.placed.manifest.location, need
    for leaving in plan.leaving:
        if prunes and leaving.resource is not None and not leaving.kept:
            name = leaving.name
            yield str(name), _need("delete", leaving.resource, name.namespace, name.name)


def _watches(scopes: Sequence[Scope]) -> Iterator[tuple[str, Need]]:
    for scope in scopes:
        if not scope.optional:
            for verb in ("list", "watch"):
                yield scope.resource.plural, _need(verb, scope.resource, scope.namespace, "")


def _need(verb: str, resource: Resource, namespace: str, name: str) -> Need:
    group, slash, _ = resource.api_version.rpartition("/")
    return Need(
        verb=verb,
        group=group if slash else "",
        plural=resource.plural,
        namespace=namespace,
        name=name,
    )


def _review(namespace: str, cluster: Cluster) -> Mapping[str, Any]:
    body = {
        "apiVersion": _REVIEW.api_version,
        "kind": _REVIEW.kind,
        "metadata": {},
        "spec": {"namespace": namespace},
    }
    try:
        status = cluster.create(_REVIEW, "", body).get("status")
    except ClusterError as error:
        if error.status == HTTPStatus.FORBIDDEN:
            return {"incomplete": True}
        raise
    return status if isinstance(status, dict) else {"incomplete": True}
