"""A record in the hands of a run that takes its slot down: taken, changed, and deleted at last."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from codexctl_tasks.errors import ClusterError, DeadlineError
from codexctl_tasks.slots.record import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from codexctl_tasks.slots.record import Record
    from codexctl_tasks.slots.store import Slots

OWED_KEY = "removal"
"""In the record: what an interrupted removal has left to do, in a word of its own."""
_ATTEMPTS = 5  # each sees the newest version: others write a record rarely


class Hold:
    """One record, whose newest version is `record`."""

    def __init__(self, slots: Slots, record: Record, *, holder: str, lease_s: float) -> None:
        """Prepare; nothing is sent yet."""
        self.record = record
        self._slots, self._holder, self._lease_s = slots, holder, lease_s
        self._where = f"slot {record.slot}"

    @property
    def owed(self) -> str:
        """What an earlier removal has left to do; empty: there was none."""
        if self.record.state is not State.RELEASING:
            return ""
        return str((self.record.source.get("data") or {}).get(OWED_KEY) or "")

    def take(self, owed: str, *, force: bool) -> None:
        """
        Make the record ours, and write into it that its slot is on its way out.

        Args:
            owed: What there is to do.
            force: Although another run holds a live lease.

        Raises:
            DeadlineError: Another run works on the slot.
            ClusterError: It was given to somebody else in this moment.
        """
        before = self.record
        for _ in range(_ATTEMPTS):
            now = self._slots.now()
            if self.record.is_held_by_another(self._holder, now) and not force:
                raise _busy(self._where, self.record)
            held = self.record.held(self._holder, now, self._lease_s)
            held = replace(held, state=State.RELEASING, fingerprint="")
            if self._write(_owing(held, owed)):
                return
            newest = self._slots.get(before.slot)
            if newest is None or (newest.uid, newest.owner) != (before.uid, before.owner):
                what = "was given to somebody else, or removed, in this moment"
                raise ClusterError(self._where, what, "look with codexctl slots, and repeat it")
            self.record = newest
        raise self._restless()

    def note(self, owed: str) -> None:
        """Write into the record what is left to do now."""
        self._change(lambda record: _owing(record, owed))

    def give_back(self) -> None:
        """Let another removal go on at once."""
        self._change(lambda record: record.given_back(self._slots.now()))

    def delete(self) -> None:
        """Delete the record; one that is gone is fine."""
        for _ in range(_ATTEMPTS):
            if self._slots.delete(self.record) or not self._refresh():
                return
        raise self._restless()

    def _change(self, change: Callable[[Record], Record]) -> None:
        """Write a change; our own lease may be renewed in the same moment."""
        for _ in range(_ATTEMPTS):
            if self._write(change(self.record)):
                return
            if not self._refresh():
                raise ClusterError(self._where, "its record is gone", "see who has removed it")
        raise self._restless()

    def _write(self, record: Record) -> bool:
        written = self._slots.replace(record)
        self.record = written or self.record
        return written is not None

    def _refresh(self) -> bool:
        """
        Read the record anew; False: it is gone.

        Raises:
            ClusterError: It is not ours any more.
        """
        newest = self._slots.get(self.record.slot)
        if newest is None or newest.uid != self.record.uid:
            return False
        if newest.holder != self._holder:
            what = f"was taken over by {newest.holder or 'another run'}"
            raise ClusterError(self._where, what, "leave the rest to that run")
        self.record = newest
        return True

    def _restless(self) -> ClusterError:
        what = f"its record changed {_ATTEMPTS} times while it was written"
        return ClusterError(self._where, what, "find out who else writes it")


def _busy(where: str, record: Record) -> DeadlineError:
    until = f" until {record.lease_until:%H:%M:%S} UTC" if record.lease_until else ""
    what = f"{record.holder} works on it{until}"
    return DeadlineError(where, what, "wait for that run, or end it; --force does not wait")


def _owing(record: Record, owed: str) -> Record:
    data = {**(record.source.get("data") or {}), OWED_KEY: owed}
    return replace(record, source={**record.source, "data": data})
