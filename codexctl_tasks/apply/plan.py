"""
What a run would do: compare the desired objects with the live ones, change nothing.

An object is left alone only if that is proved (`proof`); in doubt it is sent, and the server finds
that nothing changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from codexctl_tasks.apply.bodies import STACK_LABEL, autoscaled, body_of, with_live_replicas
from codexctl_tasks.apply.live import Address, address_of, read_live
from codexctl_tasks.apply.ownership import has_former_manager, is_ours, owns
from codexctl_tasks.apply.placement import definition_of, identity_of
from codexctl_tasks.apply.proof import is_unchanged
from codexctl_tasks.world.cluster import FIELD_MANAGER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from codexctl_tasks.apply.live import Live
    from codexctl_tasks.apply.placement import Placed
    from codexctl_tasks.stack.manifests import ObjectName
    from codexctl_tasks.world.cluster import Cluster, Resource

KEEP_ANNOTATION = "codexctl/keep"
"""``"true"`` on a live object: it is neither pruned nor destroyed."""
PROTECTED_KINDS = frozenset({"PersistentVolumeClaim", "Namespace", "CustomResourceDefinition"})
"""Pruned only on request: with them goes what nobody has written down anywhere."""


class Action(Enum):
    """What a run does with an object."""

    CREATE = "create"
    CHANGE = "change"
    ADOPT = "adopt"
    """It exists, and was never applied by codexctl."""
    UNCHANGED = "unchanged"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One desired object, and what is to be done about it."""

    placed: Placed
    body: Mapping[str, Any] = field(repr=False)
    """What is sent."""
    action: Action
    live: Mapping[str, Any] | None = field(default=None, repr=False)
    """The object as it was read; None: it does not exist, or may not be read."""
    former_stack: str = ""
    """Label of another stack that has applied the object so far."""

    @property
    def name(self) -> ObjectName:
        """Identity of the object, with the namespace it really lives in."""
        return self.placed.name


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaving:
    """An object that an earlier run applied and that the stack has no more."""

    name: ObjectName
    resource: Resource | None = None
    """None: the cluster does not know its kind."""
    uid: str = ""
    kept: str = ""
    """Why it stays all the same; empty: it is pruned."""
    is_foreign: bool = False
    """It belongs to somebody else by now, and is not remembered any longer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Everything a run would do."""

    steps: Sequence[Step]
    """In the order of the manifests."""
    leaving: Sequence[Leaving] = ()


def make_plan(
    objects: Sequence[Placed],
    cluster: Cluster,
    *,
    label: str = "",
    applied_before: Iterable[ObjectName] = (),
    prune_protected: bool = False,
) -> Plan:
    """
    Compare desired objects with what exists.

    Args:
        objects: What is desired.
        cluster: Where.
        label: Value of the stack's label; empty: the objects get none.
        applied_before: Names from the inventory; what of it is not desired any more is leaving.
        prune_protected: Let objects of `PROTECTED_KINDS` go as well.
    """
    desired = {identity_of(placed.name) for placed in objects}
    gone = [name for name in applied_before if identity_of(name) not in desired]
    served = {_kind_of(each.api_version, each.kind): each for each in cluster.resources().values()}
    found_kinds = {name: served.get(_kind_of(name.api_version, name.kind)) for name in gone}
    left = {name: resource for name, resource in found_kinds.items() if resource is not None}
    absent = [name for name, resource in found_kinds.items() if resource is None]
    live = read_live(
        [
            *(address_of(placed.name, placed.resource) for placed in objects),
            *(address_of(name, resource) for name, resource in left.items()),
        ],
        cluster,
    )
    bodies = [body_of(placed, label) for placed in objects]
    scaled = autoscaled([b for b in bodies if b.get("kind") == "HorizontalPodAutoscaler"])
    steps = [
        _step(placed, body, live, label, is_scaled=_scale_key(placed.name) in scaled)
        for placed, body in zip(objects, bodies, strict=True)
    ]
    return Plan(
        steps=_with_doubts(steps),
        leaving=[
            *(
                found
                for name, resource in sorted(left.items())
                if (found := _leaving(name, resource, live, label, prune_protected=prune_protected))
            ),
            # An API that is away for a moment must not make us forget what we have in it.
            *(Leaving(name=name, kept="the cluster does not know its kind now") for name in absent),
        ],
    )


def _step(placed: Placed, body: dict[str, Any], live: Live, label: str, *, is_scaled: bool) -> Step:
    address = Address(placed.resource, placed.name.namespace, placed.name.name)
    found = live.find(address)
    if is_scaled:
        owned = found is not None and owns(found, "spec", "replicas")
        body = with_live_replicas(body, found, owned=owned)
    if found is None:
        action = Action.CREATE if live.is_known(address) else Action.CHANGE
        return Step(placed=placed, body=body, action=action)
    if is_unchanged(body, found, FIELD_MANAGER) and not has_former_manager(found):
        return Step(placed=placed, body=body, action=Action.UNCHANGED, live=found)
    former = str((found["metadata"].get("labels") or {}).get(STACK_LABEL) or "")
    return Step(
        placed=placed,
        body=body,
        action=Action.CHANGE if is_ours(found) else Action.ADOPT,
        live=found,
        former_stack=former if label and former != label else "",
    )


def _leaving(
    name: ObjectName, resource: Resource, live: Live, label: str, *, prune_protected: bool
) -> Leaving | None:
    """Return what becomes of an object that left the stack; None when it is gone already."""
    address = address_of(name, resource)
    found = live.find(address)
    if found is None:
        if live.is_known(address):
            return None
        return Leaving(name=name, resource=resource, uid="", kept="it may not be read")
    foreign = why_foreign(found, label)
    kept = foreign
    if not kept and is_to_be_kept(found):
        kept = f"its annotation {KEEP_ANNOTATION} says so"
    if not kept and name.kind in PROTECTED_KINDS and not prune_protected:
        kept = f"a {name.kind} is pruned only with --prune-protected"
    uid = str(found["metadata"]["uid"])
    return Leaving(name=name, resource=resource, uid=uid, kept=kept, is_foreign=bool(foreign))


def why_foreign(found: Mapping[str, Any], label: str) -> str:
    """Return whose an object is that the inventory names; empty: the stack's with this label."""
    metadata = found["metadata"]
    owner = (metadata.get("labels") or {}).get(STACK_LABEL)
    if owner != label:
        return f"it belongs to stack {owner}" if owner else "it has lost the label of the stack"
    if metadata.get("ownerReferences"):
        reference = metadata["ownerReferences"][0]
        return f"it belongs to {reference.get('kind')} {reference.get('name')}"
    return ""


def is_to_be_kept(found: Mapping[str, Any]) -> bool:
    """Tell whether somebody has marked the object as not to be deleted."""
    annotations = found["metadata"].get("annotations") or {}
    return str(annotations.get(KEEP_ANNOTATION, "")).lower() == "true"


def _kind_of(api_version: str, kind: str) -> tuple[str, str]:
    """Return group and kind: any version that is served shows the same objects."""
    group, slash, _ = api_version.rpartition("/")
    return (group if slash else "", kind)


def _with_doubts(steps: Sequence[Step]) -> list[Step]:
    """Send the objects of a kind whose definition changes: it may divide their fields anew."""
    changing = {
        step.name.name
        for step in steps
        if step.name.kind == "CustomResourceDefinition" and step.action is not Action.UNCHANGED
    }
    return [
        replace(step, action=Action.CHANGE)
        if step.action is Action.UNCHANGED and definition_of(step.placed.resource) in changing
        else step
        for step in steps
    ]


def _scale_key(name: ObjectName) -> tuple[str, str, str]:
    return (name.namespace, name.kind, name.name)
