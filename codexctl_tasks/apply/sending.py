"""
Send one object, and do what its refusal asks for.

Trouble of the connection and of the server is repeated below (`world.retrying`). Here is what
needs knowledge of the object: fields of earlier tools are taken over, an object that is being
deleted is awaited, a Job that cannot be changed is replaced.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from codexctl_tasks.apply.bodies import with_live_replicas
from codexctl_tasks.apply.ownership import hand_over, is_ours, may_be_taken
from codexctl_tasks.apply.placement import definition_of
from codexctl_tasks.apply.plan import Action
from codexctl_tasks.errors import ClusterError, DeadlineError, TransientClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from codexctl_tasks.apply.placement import Placed
    from codexctl_tasks.apply.plan import Step
    from codexctl_tasks.errors import Conflict
    from codexctl_tasks.stack.manifests import ObjectName
    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.cluster import Answer, Cluster

REPLACE_ANNOTATION = "codexctl/replace"
"""``"true"`` in a manifest: what cannot be changed is deleted and created anew."""
APPEAR_TIMEOUT_S = 30.0
"""How long a namespace or kind that this very set declares may be unknown to the server."""
LOOK_S = 1.0
_HAND_OVER_ATTEMPTS = 5
_IMMUTABLE = re.compile(
    r"is immutable|may not be (?:changed|updated)|cannot change roleRef"
    r"|updates to \w+ spec for fields other than|Forbidden: may not change once set"
)
_TERMINATING = re.compile(r"because it is being terminated|is being deleted")


class Change(Enum):
    """What applying an object did to it."""

    CREATED = "created"
    CHANGED = "changed"
    ADOPTED = "adopted"
    """It was there, and is managed by codexctl from now on."""
    REPLACED = "replaced"
    """It could not be changed, and was deleted and created anew."""
    UNCHANGED = "unchanged"


_CHANGES = {
    Action.CREATE: Change.CREATED,
    Action.CHANGE: Change.CHANGED,
    Action.ADOPT: Change.ADOPTED,
    Action.UNCHANGED: Change.UNCHANGED,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Applied:
    """An object as the server has it after apply."""

    step: Step
    change: Change
    found: Mapping[str, Any]
    """The object; only ``metadata`` is sure to be there."""
    taken: tuple[Conflict, ...] = ()
    """Fields that were taken over from other managers."""
    warnings: tuple[str, ...] = ()
    """Of the server."""

    @property
    def placed(self) -> Placed:
        """The manifest, and where its object lives."""
        return self.step.placed

    @property
    def name(self) -> ObjectName:
        """Identity of the object."""
        return self.step.name


@dataclass(frozen=True, kw_only=True, slots=True)
class Sender:
    """Sends objects of one run."""

    cluster: Cluster
    clock: Clock
    force: bool
    """Take over fields whoever owns them."""
    declared: Collection[ObjectName]
    """What the whole set declares: only its own namespaces and kinds are waited for."""
    deadline_s: float
    """When the time of the run is over."""
    tell: Callable[[str], None]
    """Receives a line when something is waited for."""

    def send(self, step: Step) -> Applied:
        """
        Apply one object; an unchanged one costs nothing.

        Raises:
            ClusterError: It was refused.
            DeadlineError: The time ran out before it could be sent, or while waiting.
        """
        if step.action is Action.UNCHANGED and step.live is not None:
            return Applied(step=step, change=Change.UNCHANGED, found=step.live)
        first_s, stopped_by = self.clock.now(), "it was not sent"
        while True:
            self.check_time(step, stopped_by)
            try:
                applied = self._apply(step)
            except TransientClusterError:
                raise  # it was retried for long: nobody else gets through either
            except ClusterError as error:
                stopped_by, waited_s = error.what, self.clock.now() - first_s
                if _TERMINATING.search(error.what):
                    step = self._await_deletion(step, error)
                elif is_immutable(error) and may_be_replaced(step):
                    return self._replace(step)
                elif self._may_appear(step, error) and waited_s < APPEAR_TIMEOUT_S:
                    self.clock.sleep(LOOK_S)
                else:
                    raise
            else:
                if not applied.found["metadata"].get("deletionTimestamp"):
                    return applied
                # The server takes what is applied to it, and forgets it together with the object.
                step = self._await_end(step, applied.found)

    def rehearse(self, step: Step) -> Applied:
        """Ask what applying the object would do; nothing is changed."""
        answer, taken, step = self._patch(step, dry_run=True)
        applied = self._applied(step, answer, taken)
        # A dry run answers with the version that the object has, changed or not.
        is_same = (
            step.live is not None
            and not hand_over(step.live)
            and _content(step.live) == _content(answer.object)
        )
        change = Change.UNCHANGED if is_same else _CHANGES[step.action]
        return replace(applied, change=change)

    def _apply(self, step: Step) -> Applied:
        step = self._handed_over(step)
        answer, taken, step = self._patch(step, dry_run=False)
        return self._applied(step, answer, taken)

    def _patch(self, step: Step, *, dry_run: bool) -> tuple[Answer, tuple[Conflict, ...], Step]:
        """Apply; by force only what has to yield, or what was asked for, so that it can be told."""
        placed = step.placed

        def patch(*, force: bool) -> Answer:
            return self.cluster.apply(
                placed.resource, placed.name.namespace, step.body, force=force, dry_run=dry_run
            )

        try:
            return patch(force=False), (), step
        except ClusterError as error:
            conflicts = error.conflicts
            if not conflicts:
                raise
            if not self.force and not may_be_taken(conflicts):
                if not any(map(_is_autoscaled, conflicts)):
                    raise
                # The autoscaler is not in this set: replicas are its own.
                body = with_live_replicas(dict(step.body), {}, owned=False)
                return self._patch(replace(step, body=body), dry_run=dry_run)
        return patch(force=True), conflicts, step

    def _applied(self, step: Step, answer: Answer, taken: tuple[Conflict, ...]) -> Applied:
        change = _CHANGES[step.action]
        if step.live is not None:
            before, after = step.live["metadata"], answer.object["metadata"]
            if before.get("resourceVersion") == after.get("resourceVersion"):
                change = Change.UNCHANGED
        return Applied(
            step=step, change=change, found=answer.object, taken=taken, warnings=answer.warnings
        )

    def _handed_over(self, step: Step) -> Step:
        """Make what earlier tools applied ours, so that what they set and we do not goes away."""
        placed = step.placed
        for _ in range(_HAND_OVER_ATTEMPTS):
            if step.live is None or not (operations := hand_over(step.live)):
                return step
            try:
                self.cluster.patch(
                    placed.resource, placed.name.namespace, placed.name.name, operations
                )
            except ClusterError as error:
                if error.status not in (HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND):
                    raise
                step = replace(step, live=self._find(step))  # it has changed since it was read
            else:
                return step
        return step

    def _replace(self, step: Step) -> Applied:
        """Delete the object that cannot be changed, exactly this one, and create it anew."""
        found = self._find(step)
        if found is not None:
            placed = step.placed
            self.tell(f"{placed.name} cannot be changed: deleting it to create it anew")
            uid = str(found["metadata"]["uid"])
            self.cluster.delete(placed.resource, placed.name.namespace, placed.name.name, uid)
            self._await_gone(step, uid)
        applied = self.send(replace(step, live=None, action=Action.CREATE))
        return replace(applied, change=Change.REPLACED)

    def _await_deletion(self, step: Step, error: ClusterError) -> Step:
        """Wait until what is being deleted is gone; return what is to be done then."""
        found = self._find(step)
        if found is not None and found["metadata"].get("deletionTimestamp"):
            return self._await_end(step, found)
        if "namespace" in error.what:
            raise error  # it was awaited before anything was sent: somebody deletes it now
        self.clock.sleep(LOOK_S)
        return replace(step, live=found)

    def _await_end(self, step: Step, found: Mapping[str, Any]) -> Step:
        """Wait until the object is gone; return what is to be done then."""
        self.tell(f"{step.name} is being deleted: waiting until it is gone")
        self._await_gone(step, str(found["metadata"]["uid"]))
        return replace(step, live=None, action=Action.CREATE)

    def _await_gone(self, step: Step, uid: str) -> None:
        while (found := self._find(step)) is not None and found["metadata"]["uid"] == uid:
            blockers = ", ".join(found["metadata"].get("finalizers") or ())
            held = f"finalizer {blockers} holds it" if blockers else "it is still being deleted"
            self.check_time(step, held)
            self.clock.sleep(LOOK_S)

    def check_time(self, step: Step, what: str = "it was not sent") -> None:
        """Raise `DeadlineError` when the time of the run is over."""
        if self.clock.now() >= self.deadline_s and step.action is not Action.UNCHANGED:
            raise DeadlineError(
                step.placed.manifest.location,
                f"{step.name}: the time ran out: {what}",
                "allow more with --wait-timeout, or repeat the run: it goes on where it stopped",
            )

    def _find(self, step: Step) -> Mapping[str, Any] | None:
        placed = step.placed
        return self.cluster.get(placed.resource, placed.name.namespace, placed.name.name)

    def _may_appear(self, step: Step, error: ClusterError) -> bool:
        """Tell whether the namespace or kind is missing, and this set has just applied it."""
        awaited = {
            ("Namespace", step.name.namespace),
            ("CustomResourceDefinition", definition_of(step.placed.resource)),
        }
        return error.status == HTTPStatus.NOT_FOUND and any(
            (name.kind, name.name) in awaited for name in self.declared
        )


def _content(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object without what changes by itself, the times of the managers among it."""
    metadata = found["metadata"]
    managers = [
        {key: value for key, value in entry.items() if key != "time"}
        for entry in metadata.get("managedFields") or ()
    ]
    managers.sort(key=lambda entry: (entry.get("manager", ""), entry.get("operation", "")))
    varying = {"apiVersion", "kind", "status", "metadata"}
    return {
        **{key: value for key, value in found.items() if key not in varying},
        "metadata": {**metadata, "managedFields": managers, "resourceVersion": ""},
    }


def may_be_replaced(step: Step) -> bool:
    """Tell whether an object may be deleted to be created anew: Jobs, and what is annotated so."""
    if step.name.kind == "Job" and step.name.api_version.startswith("batch/"):
        return (
            step.live is None
            or is_ours(step.live)
            or not step.live["metadata"].get("ownerReferences")
        )
    annotations = step.body["metadata"].get("annotations") or {}
    return str(annotations.get(REPLACE_ANNOTATION, "")).lower() == "true"


def is_immutable(error: ClusterError) -> bool:
    """Tell whether a field was refused because it can be set only once."""
    return error.status == HTTPStatus.UNPROCESSABLE_ENTITY and bool(_IMMUTABLE.search(error.what))


def _is_autoscaled(conflict: Conflict) -> bool:
    return conflict.field == ".spec.replicas" and conflict.subresource == "scale"
