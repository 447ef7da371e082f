"""
The removal of one slot: destroy, namespace, data directories, record, in this order.

Each step can be repeated. The record goes last, so that a removal that breaks off is found again,
and says of itself how far it has come.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from codexctl_tasks.apply.deleting import Doomed, delete_all, what_blocks
from codexctl_tasks.apply.plan import is_to_be_kept
from codexctl_tasks.apply.remains import NAMESPACE, what_holds
from codexctl_tasks.errors import DONE, ClusterError, DeadlineError
from codexctl_tasks.flows.destroy import destroy
from codexctl_tasks.flows.slots.data import SlotData
from codexctl_tasks.flows.slots.environment import find_environment
from codexctl_tasks.slots.lease import SlotLease, refuse_if_held
from codexctl_tasks.slots.record import State
from codexctl_tasks.stack.manifests import ObjectName

if TYPE_CHECKING:
    from collections.abc import Callable

    from codexctl_tasks.flows.slots.site import Site
    from codexctl_tasks.slots.record import Record

_OBJECTS, _NAMESPACE, _NOTHING = "objects", "namespace", "nothing"
"""
What is left to do, as `Record.removal` says it: destroy and all that follows; the namespace and
all that follows; nothing there is the slot's.
"""
_ATTEMPTS = 5  # others write a record rarely
_FAREWELL_S = 3.0
"""A removal that is over does not wait longer for a server that does not answer."""


class Removal:
    """One slot that is to go."""

    def __init__(self, site: Site, record: Record) -> None:
        """
        Look at everything; nothing is changed.

        Raises:
            CodexctlError: What keeps the slot from being removed, in one line.
        """
        self._site, self._record = site, record
        self._console, self._clock = site.outside.console, site.outside.clock
        self._where = f"slot {record.slot}"
        self.place = find_environment(site, record)
        self._data = SlotData(self.place.request.source, site.request.cluster, site.outside)

    def check_holder(self) -> None:
        """
        Return if no other run works on the slot.

        Raises:
            ClusterError: One does: who, and until when.
        """
        refuse_if_held(self._record, self._site.holder, self._site.slots.now())

    def plan(self) -> list[str]:
        """Return what `run` would do, in lines."""
        place, lines = self.place, []
        if self._owed() == _OBJECTS:
            lines.append(f"destroy the stack in namespace {place.namespace}")
        if place.exists:
            verb = "delete" if place.is_ours else "keep"
            lines.append(f"{verb} namespace {place.namespace}")
        if self._owed() != _NOTHING:
            lines += [f"remove {path}" for path in self._data.directories]
        return [*lines, f"delete the record of slot {self._record.slot}"]

    def run(
        self,
        record: Record,
        *,
        force: bool = False,
        before_record: Callable[[], None] | None = None,
    ) -> None:
        """
        Remove the slot.

        Args:
            record: As it is now; it may have got a lease since the look.
            force: Although another run holds a live lease on it.
            before_record: What else has to succeed before the record goes.

        Raises:
            DeadlineError: Something is still there at the end.
            CodexctlError: What failed; the record stays, and the next removal goes on.
        """
        lease = SlotLease(
            self._site.slots,
            record,
            self._clock,
            holder=self._site.holder,
            lease_s=self._site.lease_s,
            announce=lambda line: self._console.step("cleanup", line),
            force=force,
        )
        with lease:
            try:
                # Between the look and the lease another run may have been at work.
                self._record, self.place = lease.record, find_environment(self._site, lease.record)
                self._take_down(lease)
                if before_record:
                    before_record()
                lease.check()
            except BaseException:
                self._give_back(lease)
                raise
        self._delete_record(lease.record)

    def _take_down(self, lease: SlotLease) -> None:
        self._note(lease, self._owed())
        if self._owed() == _OBJECTS:
            self._destroy()
            self._note(lease, _NAMESPACE)
        lease.check()
        if self._delete_namespace():
            lease.check()
            self._data.remove(self._deadline_s())

    def _owed(self) -> str:
        """Return what is to be done; the record knows what an earlier removal has left."""
        place, owed = self.place, self._record.removal
        is_foreign = place.exists and not place.is_known
        if self._record.state is State.RELEASING and owed in (_OBJECTS, _NAMESPACE):
            # Once a stack is destroyed, or when its namespace is another by now, there is nothing
            # in it that is the slot's.
            return _NAMESPACE if is_foreign else owed
        if is_foreign:
            return _NOTHING
        return _OBJECTS if place.exists else _NAMESPACE

    def _note(self, lease: SlotLease, owed: str) -> None:
        """Write into the record that the slot is on its way out, and what is left to do."""
        lease.change(state=State.RELEASING, fingerprint="", removal=owed)

    def _destroy(self) -> None:
        if destroy(self.place.request, self._site.outside) != DONE:
            what = "objects of it are still there"
            raise DeadlineError(self._where, what, "mend what holds them, and repeat the cleanup")

    def _delete_namespace(self) -> bool:
        """Return whether nothing of the slot is in use any more."""
        name, cluster = self.place.namespace, self._site.cluster
        found = cluster.get(NAMESPACE, "", name) if name else None
        if found is None:
            return True
        if why := self.place.why_kept(found):
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
            cluster,
            self._clock,
            deadline_s=self._deadline_s(),
            tell=lambda each: self._console.step("cleanup", f"deleted {each.name}"),
        )
        if left:
            what = f"is still being deleted: {what_holds(name, cluster)}"
            fix = "mend what holds it, and repeat the cleanup"
            raise DeadlineError(f"Namespace {name}", what, fix)
        return True

    def _give_back(self, lease: SlotLease) -> None:
        """Let the next removal begin at once; if nobody can be told, the lease ends by itself."""
        cluster = self._site.cluster
        before_s, cluster.deadline_s = cluster.deadline_s, self._clock.now() + _FAREWELL_S
        try:
            with suppress(ClusterError):
                lease.give_back()
        finally:
            cluster.deadline_s = before_s

    def _delete_record(self, record: Record) -> None:
        """Delete the record; a last renewal of our own lease may be on its way."""
        slots = self._site.slots
        for _ in range(_ATTEMPTS):
            slots.delete(record)
            newest = slots.get(record.slot)
            if newest is None or newest.uid != record.uid:
                self._console.step("cleanup", f"{self._where} is free")
                return
            if newest.is_leaving:
                what = f"its record is still being deleted: {what_blocks(newest.source)}"
                raise DeadlineError(self._where, what, "mend what holds it, and repeat the cleanup")
            if newest.holder != self._site.holder:
                what = f"{newest.holder or 'somebody'} has taken it over at the end"
                raise ClusterError(self._where, what, "leave the rest to that run")
            record = newest
        what = f"its record changed {_ATTEMPTS} times while it was deleted"
        raise ClusterError(self._where, what, "find out who else writes it")

    def _deadline_s(self) -> float:
        return self._clock.now() + self._site.request.wait_timeout_s
