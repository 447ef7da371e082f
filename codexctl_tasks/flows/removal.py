"""
The removal of one slot: destroy, namespace, data directories, record, in this order.

Each step can be repeated. The record goes last, so that a removal that breaks off is found again,
and says of itself how far it has come.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from codexctl_tasks.apply.deleting import Doomed, delete_all
from codexctl_tasks.apply.inventory import Inventory, stack_label
from codexctl_tasks.apply.plan import KEEP_ANNOTATION, is_to_be_kept
from codexctl_tasks.apply.remains import NAMESPACE, what_holds
from codexctl_tasks.errors import DONE, ClusterError, ConfigurationError, DeadlineError
from codexctl_tasks.flows.destroy import destroy
from codexctl_tasks.flows.slot_data import SlotData
from codexctl_tasks.slots.hold import Hold
from codexctl_tasks.slots.ownership import Ownership, ownership_of
from codexctl_tasks.stack.loading import load_stack
from codexctl_tasks.stack.manifests import ObjectName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from codexctl_tasks.requests import DeployRequest
    from codexctl_tasks.slots.record import Record
    from codexctl_tasks.slots.store import Slots
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.outside import Outside

_OBJECTS, _NAMESPACE, _NOTHING = "objects", "namespace", "nothing"
"""Destroy the stack and what follows; delete the namespace and what follows; nothing in it is ours.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """What all removals of a run share."""

    request: DeployRequest
    """Of the stack; each removal sets the slot."""
    outside: Outside
    cluster: Cluster
    slots: Slots
    lease_s: float
    """How long a removal that dies keeps others out."""


@dataclass(kw_only=True, slots=True)
class _Found:
    """What a slot consists of at this moment."""

    namespace: str
    object: Mapping[str, Any] | None = field(repr=False)
    """The Namespace; None: there is none."""
    is_ours: bool
    """Its labels say so."""
    has_inventory: bool
    """This stack was applied in it."""


class Removal:
    """One slot that is to go."""

    def __init__(self, site: Site, record: Record) -> None:
        """
        Look at everything; nothing is changed.

        Raises:
            CodexctlError: What keeps the slot from being removed, in one line.
        """
        self._site, self._record = site, record
        self._console, self._cluster = site.outside.console, site.cluster
        self._request = self._request_for(record)
        self._hold = Hold(site.slots, record, holder=self._request.holder, lease_s=site.lease_s)
        self._found = self._look()
        self._check_place()
        self._data = SlotData(self._request.source, self._request.cluster, site.outside)

    def plan(self) -> list[str]:
        """Return what `run` would do, in lines."""
        found, lines = self._found, []
        if self._owed() == _OBJECTS:
            lines.append(f"destroy the stack in namespace {found.namespace}")
        if found.object is not None:
            why = self._why_kept(found.object)
            line = f"namespace {found.namespace}"
            lines.append(f"keep {line}: {why}" if why else f"delete {line}")
        lines += [f"remove {path}" for path in self._data.directories]
        return [*lines, f"delete the record of slot {self._record.slot}"]

    def run(self, *, force: bool = False, before_record: Callable[[], None] | None = None) -> None:
        """
        Remove the slot.

        Args:
            force: Although another run holds a live lease on it.
            before_record: What else has to succeed before the record goes.

        Raises:
            DeadlineError: Another run works on it, or something is still there at the end.
            CodexctlError: What failed; the record stays, and the next removal goes on.
        """
        self._hold.take(self._owed(), force=force)
        try:
            if self._owed() == _OBJECTS:
                self._destroy()
            if self._delete_namespace():
                self._data.remove(self._deadline_s())
            if before_record:
                before_record()
        except BaseException:
            with suppress(ClusterError):  # a server that does not answer: the lease ends by itself
                self._hold.give_back()
            raise
        self._hold.delete()
        self._console.step("cleanup", f"slot {self._record.slot} is free")

    # ---- before anything is changed -------------------------------------------------------------

    def _request_for(self, record: Record) -> DeployRequest:
        """Return how the environment of the slot is loaded."""
        source = replace(
            self._site.request.source,
            env=record.env or self._site.request.source.env,
            slot=record.slot,
            namespace="",
        )
        repository = record.repo or self._site.request.repository
        loaded = load_stack(source)
        self._where = f"slot {record.slot}"
        if record.project and record.project != loaded.stack.project:
            what = f"belongs to project {record.project}, not to {loaded.stack.project}"
            raise ConfigurationError(self._where, what, "run this where its services.yaml is")
        self._usual = loaded.context.namespace
        if record.namespace and record.namespace != self._usual:
            source = replace(source, namespace=record.namespace)
        name = ".".join(filter(None, (loaded.stack.project, source.env, str(record.slot))))
        self._stack = name
        return replace(
            self._site.request, source=source, repository=repository, output="text", stack=""
        )

    def _look(self) -> _Found:
        name = self._record.namespace or self._usual
        found = self._cluster.get(NAMESPACE, "", name) if name else None
        inventory = Inventory(self._cluster, self._stack, name)
        if found is not None:
            inventory.read()
        return _Found(
            namespace=name,
            object=found,
            is_ours=found is not None and ownership_of(found) == self._ownership(name),
            has_inventory=bool(inventory.names),
        )

    def _ownership(self, namespace: str) -> Ownership:
        label = stack_label(self._stack, namespace)
        repository = self._request.repository
        return Ownership.of(slot=self._record.slot, repository=repository, stack=label)

    def _check_place(self) -> None:
        """Refuse a namespace that only a typing error can have brought into the record."""
        found = self._found
        if found.namespace == self._usual or found.is_ours:
            return
        raise ConfigurationError(
            self._where,
            f"its record names namespace {found.namespace}, services.yaml names {self._usual}, "
            "and the labels of the former do not say that it is this slot's",
            f"correct ConfigMap {self._site.slots.namespace}/"
            f"{self._site.slots.prefix}{self._record.slot}",
        )

    # ---- the steps ------------------------------------------------------------------------------

    def _owed(self) -> str:
        """Return what is to be done; the record knows what an earlier removal has left."""
        if self._hold.owed in (_OBJECTS, _NAMESPACE):
            return self._hold.owed
        if self._found.object is None:
            return _NAMESPACE
        is_known = self._found.is_ours or self._found.has_inventory
        return _OBJECTS if is_known else _NOTHING

    def _destroy(self) -> None:
        exit_code = destroy(self._request, self._site.outside)
        if exit_code != DONE:
            what = "its objects are not gone yet"
            raise DeadlineError(self._where, what, "mend what holds them, and repeat the cleanup")
        self._hold.note(_NAMESPACE)

    def _delete_namespace(self) -> bool:
        """Return whether nothing of the slot is in use any more."""
        name = self._found.namespace
        found = self._cluster.get(NAMESPACE, "", name) if name else None
        if found is None:
            return True
        if why := self._why_kept(found):
            self._console.warn(f"Namespace {name} is kept: {why}")
            return self._owed() != _NOTHING and not is_to_be_kept(found)
        doomed = Doomed(
            name=ObjectName("v1", "Namespace", "", name),
            resource=NAMESPACE,
            uid=str(found["metadata"]["uid"]),
            where=f"Namespace {name}",
        )
        left = delete_all(
            [[doomed]],
            self._cluster,
            self._site.outside.clock,
            deadline_s=self._deadline_s(),
            tell=lambda each: self._console.step("cleanup", f"deleted {each.name}"),
        )
        if left:
            what = f"is still being deleted: {what_holds(name, self._cluster)}"
            fix = "mend what holds it, and repeat the cleanup"
            raise DeadlineError(f"Namespace {name}", what, fix)
        return True

    def _why_kept(self, found: Mapping[str, Any]) -> str:
        """Return why a namespace is not deleted; empty: it was made for this slot."""
        wanted = self._ownership(str(found["metadata"]["name"]))
        if ownership_of(found) != wanted:
            labels = " ".join(f"{name}={value}" for name, value in wanted.labels.items())
            return f"it lacks the labels of this slot, {labels}"
        if is_to_be_kept(found):
            return f"its annotation {KEEP_ANNOTATION} says so"
        return ""

    def _deadline_s(self) -> float:
        return self._site.outside.clock.now() + self._request.wait_timeout_s
