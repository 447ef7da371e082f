"""
A run keeps its slot while it works on it: its lease is renewed every third of it.

Between the steps of a workflow nobody renews, so that a lease lasts long. At the end it is left to
run out, because the next step of the same run goes on with it, or given back.
"""

from __future__ import annotations

import math
import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from codexctl_tasks.errors import ClusterError, CodexctlError, DeadlineError
from codexctl_tasks.slots.choosing import occupation

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from codexctl_tasks.slots.record import Record
    from codexctl_tasks.slots.store import Slots
    from codexctl_tasks.world.clock import Clock

RENEWALS = 3
"""Within the time of a lease; two may fail."""
_ATTEMPTS = 5  # each sees the newest version: others change it rarely


class SlotLease:
    """
    The right of a run to work on a slot, kept by a thread.

    As a context manager it stops renewing at the end; `give_back` lets others have the slot at
    once.
    """

    def __init__(
        self,
        slots: Slots,
        record: Record,
        clock: Clock,
        *,
        holder: str,
        lease_s: float,
        announce: Callable[[str], None],
        force: bool = False,
    ) -> None:
        """
        Prepare; nothing is sent yet.

        Args:
            slots: Where the records are.
            record: As it was read.
            clock: Measures how old the lease is.
            holder: This run.
            lease_s: From each renewal on.
            announce: Receives a line when somebody should know.
            force: Take the lease also of a run that lives.
        """
        self._slots, self._record, self._clock = slots, record, clock
        self._holder, self._lease_s, self._announce = holder, lease_s, announce
        self._force, self._proven_s = force, -math.inf
        self._lost = ""
        self._writing = threading.RLock()
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        """
        Take the lease, and keep it from now on.

        Raises:
            DeadlineError: Another run has it.
            ClusterError: The record is gone, or was changed in this moment.
        """
        if not self._force:
            refuse_if_held(self._record, self._holder, self._slots.now())
        self.change()
        threading.Thread(target=self._keep, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    @property
    def record(self) -> Record:
        """The record as it was written last."""
        return self._record

    def check(self) -> None:
        """
        Return if this run may go on working on the slot; any thread may ask.

        Raises:
            ClusterError: Another run has it, or somebody deleted the record.
        """
        if self._clock.now() - self._proven_s > self._lease_s / 2:
            self.change()  # the thread was late: this process, or the whole machine, was asleep
        self._refuse_if_lost()

    def change(self, **fields: Any) -> Record:
        """
        Write fields of the record, such as ``state``, and renew the lease.

        Raises:
            ClusterError: The slot is not this run's any more.
        """
        with self._writing:
            for _ in range(_ATTEMPTS):
                self._refuse_if_lost()
                begun_s = self._clock.now()
                wanted = replace(self._record, **fields)
                held = wanted.held(self._holder, self._slots.now(), self._lease_s)
                if written := self._slots.replace(held):
                    self._record, self._proven_s = written, begun_s
                    return written
                self._read_again()
        what = f"changed {_ATTEMPTS} times while its lease was renewed"
        raise ClusterError(self._where, what, "find out who else writes it")

    def give_back(self) -> None:
        """Let other runs have the slot; the environment stays. Nothing happens if it is lost."""
        self._ended.set()
        with self._writing:
            for _ in range(_ATTEMPTS):
                if self._lost or self._slots.replace(self._record.given_back(self._slots.now())):
                    return
                self._read_again()

    def _keep(self) -> None:
        """Renew the lease until the end or its loss; the next check may be far away."""
        while not self._ended.wait(self._lease_s / RENEWALS):
            with suppress(CodexctlError), self._writing:
                if not self._ended.is_set():
                    self.change()
            if self._lost and not self._ended.is_set():
                self._announce(f"{self._where} is lost: {self._lost}")
                return

    def _read_again(self) -> None:
        """Take in what somebody else has written, or find that the slot is lost."""
        found = self._slots.get(self._record.slot)
        if found is None or found.uid != self._record.uid or found.is_leaving:
            self._lost = "somebody deleted its record while this run worked on it"
        elif not found.is_for(self._record.owner) and found.owner != self._record.owner:
            self._lost = f"it is {found.owner}'s now"
        elif found.is_held_by_another(self._holder, self._slots.now()) and not self._is_forcing:
            self._lost = f"it is {occupation(found, self._slots.now())}"
        else:
            self._record = found

    @property
    def _is_forcing(self) -> bool:
        """Whether the lease is yet to be taken from whoever has it."""
        return self._force and self._proven_s == -math.inf

    def _refuse_if_lost(self) -> None:
        if self._lost:
            raise ClusterError(
                self._where, self._lost, "nothing more is done; run again when it is free"
            )

    @property
    def _where(self) -> str:
        return f"slot {self._record.slot} of {self._record.owner}"


def refuse_if_held(
    record: Record,
    holder: str,
    now: datetime,
    fix: str = "wait for that run or end it; --force goes on all the same",
) -> None:
    """
    Return if no other run is working on a slot.

    *fix*: What can be done about it.

    Raises:
        DeadlineError: One is: who, since when, for how long at most.
    """
    if record.is_held_by_another(holder, now):
        raise DeadlineError(
            f"slot {record.slot} of {record.owner}",
            f"is {occupation(record, now)}",
            fix,
        )
