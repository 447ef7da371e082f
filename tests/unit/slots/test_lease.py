"""A run keeps its slot while it works, and stops when the slot is another's."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import ClusterError, DeadlineError
from codexctl_tasks.slots.lease import SlotLease
from codexctl_tasks.slots.record import State

if TYPE_CHECKING:
    from codexctl_tasks.slots.record import Record
    from tests.unit.slots.conftest import Bench

LEASE_S = 60.0


def _lease(
    bench: Bench,
    record: Record,
    holder: str = "run 1",
    lease_s: float = LEASE_S,
    *,
    force: bool = False,
) -> SlotLease:
    return SlotLease(
        *(bench.slots, record, bench.clock),
        holder=holder,
        lease_s=lease_s,
        announce=bench.told.append,
        force=force,
    )


def test_state_is_written_and_the_lease_renewed(bench: Bench) -> None:
    """What a run finds out about its slot is in the record at once."""
    record = bench.taking(7).take(0).record
    bench.clock.pass_time(30)
    with _lease(bench, record) as lease:
        lease.change(state=State.READY, fingerprint="f")
        lease.check()
    [data] = bench.data().values()
    assert (data["state"], data["fingerprint"]) == ("ready", "f")
    assert data["lease-until"] == "2026-01-02T12:01:30.000Z"


def test_a_check_after_a_long_sleep_renews(bench: Bench) -> None:
    """A machine that was asleep makes sure that the slot is still its own before it goes on."""
    with _lease(bench, bench.taking(7).take(0).record) as lease:
        bench.clock.pass_time(50)
        lease.check()
        assert lease.record.lease_left_s(bench.cluster.now()) == LEASE_S


def test_what_others_write_meanwhile_stays(bench: Bench) -> None:
    """A PR that somebody notes in the record is no loss of the slot, and is kept."""
    with _lease(bench, bench.taking(7).take(0).record) as lease:
        assert bench.slots.replace(replace(lease.record, pr=8))
        lease.change(state=State.READY)
    [data] = bench.data().values()
    assert (data["pr"], data["state"]) == ("8", "ready")


def test_a_slot_that_was_taken_over_ends_the_work(bench: Bench) -> None:
    """A run that slept too long changes nothing any more, and says whose the slot is."""
    with _lease(bench, bench.taking(7).take(0).record) as lease:
        other = replace(lease.record, issue=9).held("run 9", bench.cluster.now(), LEASE_S)
        assert bench.slots.replace(other)
        with pytest.raises(ClusterError, match=r"it is Issue 9 of acme/shop's now"):
            lease.change(state=State.READY)
        with pytest.raises(ClusterError):
            lease.check()
    lease.give_back()
    [data] = bench.data().values()
    assert (data["holder"], data["state"]) == ("run 9", "allocated")


def test_a_deleted_record_is_not_made_anew(bench: Bench) -> None:
    """Who cleans a slot up ends the work in it."""
    with _lease(bench, bench.taking(7).take(0).record) as lease:
        assert bench.slots.delete(lease.record)
        with pytest.raises(ClusterError, match="somebody deleted its record"):
            lease.change(state=State.READY)
    assert bench.data() == {}


def test_another_run_is_kept_out(bench: Bench) -> None:
    """Only one run at a time works on a slot, unless it is forced."""
    record = bench.taking(7).take(0).record
    with (
        pytest.raises(DeadlineError, match="held by run 1 for 60s more"),
        _lease(bench, record, "run 2"),
    ):
        pass
    with _lease(bench, record, "run 2", force=True) as lease:
        assert lease.record.holder == "run 2"


def test_force_takes_the_lease_although_it_is_renewed_in_this_moment(bench: Bench) -> None:
    """Who forces a slot need not catch the moment in which nobody writes its record."""
    record = bench.taking(7).take(0).record
    renewed = record.held("run 1", bench.cluster.now(), LEASE_S)
    bench.cluster.before["replace"] = [lambda: bench.slots.replace(renewed)]
    with _lease(bench, record, "run 2", force=True) as lease:
        assert lease.record.holder == "run 2"
        again = lease.record.held("run 1", bench.cluster.now(), LEASE_S)
        assert bench.slots.replace(again)  # it was forced, too: ours is lost
        with pytest.raises(ClusterError, match="held by run 1"):
            lease.change(state=State.READY)


def test_what_is_given_back_is_free_at_once(bench: Bench) -> None:
    """The next run need not wait for the end of the lease."""
    with _lease(bench, bench.taking(7).take(0).record) as lease:
        lease.give_back()
    again = bench.taking(7, "run 2").take(0)
    assert again.record.holder == "run 2"


def test_the_lease_is_renewed_by_itself(bench: Bench) -> None:
    """However long a deploy takes, nobody else gets the slot meanwhile."""
    renewed = threading.Event()
    with _lease(bench, bench.taking(7).take(0).record, lease_s=0.03):
        bench.cluster.before["replace"] = [lambda: None, lambda: None, renewed.set]
        assert renewed.wait(20)
