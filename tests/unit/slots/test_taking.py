"""Which slot a run gets, and what happens when others take one in the same moment."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import ClusterError, DeadlineError, UsageError
from codexctl_tasks.slots.choosing import in_order
from codexctl_tasks.slots.record import DamagedRecord, Owner, Record, State

if TYPE_CHECKING:
    from tests.unit.slots.conftest import Bench

LEASE_S = 60.0


def test_a_free_slot_is_recorded(bench: Bench) -> None:
    """An Issue gets a number within maxSlots; the record says for whom and until when."""
    taken = bench.taking(7, branch="codex/issue-7").take(0)
    record = taken.record
    assert (taken.created, taken.recreated) == (True, False)
    assert record.slot in (1, 2, 3)
    [(number, data)] = bench.data().items()
    assert number == str(record.slot)
    assert data == {
        "slot": number,
        "env": "ai",
        "namespace": f"shop-dev-{number}",
        "project": "shop",
        "repo": "acme/shop",
        "issue": "7",
        "branch": "codex/issue-7",
        "state": "allocated",
        "holder": "run 1",
        "lease-until": "2026-01-02T12:01:00.000Z",
        "heartbeat": "2026-01-02T12:00:00.000Z",
        "created": "2026-01-02T12:00:00.000Z",
        "used": "2026-01-02T12:00:00.000Z",
    }


def test_few_requests(bench: Bench) -> None:
    """A slot costs four requests: look, create, look for twins, confirm."""
    bench.taking(7).take(0)
    verbs = [call.split()[0] for call in bench.cluster.calls]
    assert verbs == ["list", "create", "list", "replace"]


def test_the_same_run_gets_its_slot_again(bench: Bench) -> None:
    """A later job of the same workflow run goes on in the same slot, although the lease lives."""
    first = bench.taking(7).take(0).record
    bench.clock.pass_time(30)
    again = bench.taking(7, branch="b").take(0)
    assert (again.record.slot, again.created, again.recreated) == (first.slot, False, False)
    assert again.record.branch == "b"
    assert again.record.lease_left_s(bench.cluster.now()) == LEASE_S
    assert len(bench.data()) == 1


def test_another_run_waits_for_the_lease_of_its_issue(bench: Bench) -> None:
    """Two events for one Issue: the second run gets the same slot once the first is done."""
    first = bench.taking(7).take(0).record
    again = bench.taking(7, "run 2").take(600)
    assert again.record.slot == first.slot
    assert again.record.holder == "run 2"
    assert bench.clock.time >= LEASE_S
    assert "held by run 1" in bench.told[0]


def test_not_waiting_names_the_holder(bench: Bench) -> None:
    """Without --slot-wait a run ends at once with 70, and says who holds the Issue's slot."""
    bench.taking(7).take(0)
    with pytest.raises(DeadlineError) as refused:
        bench.taking(7, "run 2").take(0)
    assert "allocated since 2026-01-02 12:00 UTC, held by run 1 for 60s more" in str(refused.value)
    assert refused.value.exit_code == 70


def test_all_taken_names_everybody(bench: Bench) -> None:
    """At the end of --slot-wait it is told who holds which slot since when, in one line."""
    for issue in (1, 2, 3):
        record = bench.taking(issue, f"run {issue}").take(0).record
        assert bench.slots.replace(replace(record, state=State.READY))
    with pytest.raises(DeadlineError) as refused:
        bench.taking(9, "run 9").take(120)
    text = str(refused.value)
    assert "all 3 slots are taken" in text
    assert all(f"Issue {issue} of acme/shop, ready since" in text for issue in (1, 2, 3))
    assert "\n" not in text
    assert 120 <= bench.clock.time < 125
    full, short = bench.told
    assert full.startswith("waiting: all 3 slots are taken: slot 1: Issue ")
    assert short == "waiting: all 3 slots are taken, for 60s by now"


def test_waiting_ends_when_a_slot_is_freed(bench: Bench) -> None:
    """Who waits gets the slot that another one has cleaned up."""
    records = [bench.taking(issue, f"run {issue}").take(0).record for issue in (1, 2, 3)]
    ready = [bench.slots.replace(replace(record, state=State.READY)) for record in records]
    gone = ready[1]
    assert gone
    bench.clock.at(40, lambda: bench.slots.delete(gone))
    assert bench.taking(9, "run 9").take(600).record.slot == gone.slot
    assert bench.clock.time < 45


def test_a_dead_run_loses_what_it_never_used(bench: Bench) -> None:
    """A run that died right after it got a slot holds nobody up longer than lease and grace."""
    for issue in (1, 2, 3):
        bench.taking(issue, f"run {issue}").take(0)
    taken = bench.taking(9, "run 9").take(600)
    assert (taken.created, taken.recreated) == (False, True)
    assert LEASE_S * 4 / 3 <= bench.clock.time < LEASE_S * 4 / 3 + 5
    assert taken.record.owner == Owner(repo="acme/shop", issue=9)
    assert len(bench.data()) == 3


def test_a_slot_with_something_in_it_is_not_taken_over(bench: Bench) -> None:
    """What was deployed stays its Issue's, however long its run has been dead."""
    for issue, state in ((1, State.PREPARING), (2, State.UNHEALTHY), (3, State.RELEASING)):
        record = bench.taking(issue, f"run {issue}").take(0).record
        assert bench.slots.replace(replace(record, state=state))
    bench.clock.pass_time(86400)
    with pytest.raises(DeadlineError):
        bench.taking(9, "run 9").take(0)


def test_own_dead_record_is_taken_at_once(bench: Bench) -> None:
    """A run may give what its own dead job took to another Issue without the grace."""
    for issue in (1, 2, 3):
        bench.taking(issue, "run 1").take(0)
    bench.clock.pass_time(LEASE_S)
    assert bench.taking(9, "run 1").take(0).recreated
    with pytest.raises(DeadlineError):
        bench.taking(8, "run 2").take(0)


# ---- races --------------------------------------------------------------------------------------


def _rival(bench: Bench, slot: int, issue: int = 7) -> Record:
    record = Record(
        slot=slot,
        env="ai",
        namespace=f"shop-dev-{slot}",
        project="shop",
        repo="acme/shop",
        issue=issue,
        holder="rival",
        created=bench.cluster.now(),
    )
    made = bench.slots.create(record.held("rival", bench.cluster.now(), LEASE_S))
    assert made
    return made


def _claim(bench: Bench, slot: int, issue: int = 7) -> Record:
    made = _rival(bench, slot, issue)
    claim = bench.slots.replace(replace(made, heartbeat=None))
    assert claim
    return claim


def test_a_number_lost_to_another_issue_costs_another_try(bench: Bench) -> None:
    """When somebody else is faster, the next number is tried after a new look."""
    [first, *_] = in_order([1, 2, 3], Owner(repo="acme/shop", issue=7))
    bench.cluster.before["create"] = [lambda: _rival(bench, first, issue=1)]
    taken = bench.taking(7).take(0)
    assert taken.record.slot != first
    assert len(bench.data()) == 2


def test_a_confirmed_twin_wins(bench: Bench) -> None:
    """Another run of the same Issue was sure of a slot first: this one gives its own up."""
    [first, second, _] = in_order([1, 2, 3], Owner(repo="acme/shop", issue=7))
    bench.cluster.before["create"] = [lambda: _rival(bench, second)]
    taken = bench.taking(7).take(600)
    assert taken.record.slot == second
    assert list(bench.data()) == [str(second)]
    assert first != second


@pytest.mark.parametrize("twin", [1, 2, 3])
def test_of_two_claims_the_lower_stays(bench: Bench, twin: int) -> None:
    """Two runs of one Issue that create two numbers at once end in one slot."""
    mine = next(n for n in in_order([1, 2, 3], Owner(repo="acme/shop", issue=7)) if n != twin)
    bench.cluster.before["create"] = [lambda: _claim(bench, twin)]
    if in_order([1, 2, 3], Owner(repo="acme/shop", issue=7))[0] == twin:
        mine = twin  # both want the same number: then the server decides
    taken = bench.taking(7).take(600)
    assert taken.record.slot == min(mine, twin)
    assert list(bench.data()) == [str(min(mine, twin))]


def test_a_twin_that_is_confirmed_meanwhile_is_not_deleted(bench: Bench) -> None:
    """The higher claim was confirmed between look and deletion: it stays, the lower goes."""
    [first, *_] = in_order([1, 2, 3], Owner(repo="acme/shop", issue=7))
    twin = 3 if first != 3 else 4
    claims: list[Record] = []
    bench.cluster.before["create"] = [lambda: claims.append(_claim(bench, twin))]

    def confirm() -> None:
        assert bench.slots.replace(claims[0].held("rival", bench.cluster.now(), LEASE_S))

    bench.cluster.before["delete"] = [confirm]
    taken = bench.taking(7).take(600)
    assert taken.record.slot == twin
    assert list(bench.data()) == [str(twin)]


def test_a_claim_that_a_winner_deleted_is_not_confirmed(bench: Bench) -> None:
    """The run whose claim was deleted starts again and finds the slot of the winner."""
    [first, *_] = in_order([1, 2, 3], Owner(repo="acme/shop", issue=7))
    other = 2 if first != 2 else 1

    def win() -> None:
        bench.cluster.objects.pop(("ConfigMap", "shop-system", f"shop-slot-{first}"))
        _rival(bench, other)

    bench.cluster.before["replace"] = [win]
    taken = bench.taking(7).take(600)
    assert taken.record.slot == other
    assert list(bench.data()) == [str(other)]


def test_an_answer_that_was_lost_is_no_second_slot(bench: Bench) -> None:
    """The server created the record, the answer was lost, the request was repeated: one slot."""
    taking = bench.taking(7, "rival")
    [first, *_] = in_order([1, 2, 3], Owner(repo="acme/shop", issue=7))
    bench.cluster.before["create"] = [lambda: _claim(bench, first)]
    taken = taking.take(0)
    assert (taken.record.slot, taken.created) == (first, True)
    assert list(bench.data()) == [str(first)]


# ---- what is there already ----------------------------------------------------------------------


def _go_record(slot: int, **data: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"shop-slot-{slot}", "namespace": "shop-system"},
        "data": {"slot": str(slot), "env": "ai", "owner": "4711", **data},
    }


def _put(bench: Bench, body: dict[str, object]) -> None:
    from codexctl_tasks.slots.record import CONFIG_MAP

    bench.cluster.apply(CONFIG_MAP, "shop-system", body)


def test_a_slot_of_the_go_tool_is_taken_on(bench: Bench) -> None:
    """An Issue keeps the slot that the Go tool gave it; the record is completed."""
    _put(bench, _go_record(2, issue="7", pr="0", createdAt="2026-01-01T00:00:00Z"))
    taken = bench.taking(7).take(0)
    assert (taken.record.slot, taken.created) == (2, False)
    data = bench.data()["2"]
    assert data["repo"] == "acme/shop"
    assert data["namespace"] == "shop-dev-2"
    assert data["owner"] == "4711"
    assert data["created"] == "2026-01-01T00:00:00.000Z"


def test_two_slots_of_the_go_tool_are_told_of(bench: Bench) -> None:
    """Where the Go tool has given an Issue two slots, one is used and the other is named."""
    for slot in (1, 3):
        _put(bench, _go_record(slot, issue="7"))
    assert bench.taking(7).take(0).record.slot == 1
    assert "has more than one slot: 1 is used; clean up 3" in bench.told[0]


def test_a_damaged_record_is_busy_and_disturbs_nobody(bench: Bench) -> None:
    """A record edited into nonsense blocks its own number only."""
    _put(bench, _go_record(1, issue="seven"))
    slots = {bench.taking(issue, f"run {issue}").take(0).record.slot for issue in (7, 8)}
    assert slots == {2, 3}
    with pytest.raises(DeadlineError, match="slot 1: damaged record"):
        bench.taking(9).take(0)


def test_an_issue_whose_record_is_damaged_gets_no_second_slot(bench: Bench) -> None:
    """It still says for whom it is: it has to be mended, not forgotten."""
    damaged = _go_record(1, issue="7")
    damaged["data"]["lease-until"] = "tomorrow"
    _put(bench, damaged)
    with pytest.raises(DamagedRecord, match="shop-slot-1: lease-until is 'tomorrow'"):
        bench.taking(7).take(600)
    assert list(bench.data()) == ["1"]
    assert bench.taking(8).take(0).record.slot != 1


def test_another_environment_is_refused(bench: Bench) -> None:
    """An Issue's slot is not silently used for another environment."""
    slot = bench.taking(7).take(0).record.slot
    with pytest.raises(UsageError, match=f"has slot {slot} in 'ai', not in 'ai-repair'"):
        bench.taking(7, env="ai-repair").take(0)


def test_an_interrupted_cleanup_is_not_taken_for_a_deployed_slot(bench: Bench) -> None:
    """An Issue that was reopened gets its half-removed slot back to deploy anew."""
    record = bench.taking(7).take(0).record
    assert bench.slots.replace(replace(record, state=State.RELEASING, fingerprint="x"))
    again = bench.taking(7).take(0).record
    assert (again.state, again.fingerprint) == (State.PREPARING, "")


def test_without_a_limit_low_numbers_are_used(bench: Bench) -> None:
    """Without maxSlots the numbers stay low, and there is always one."""
    found = [bench.taking(n, f"run {n}", most=0).take(0).record.slot for n in range(1, 21)]
    assert len(set(found)) == 20
    assert max(found) < 31


# ---- what is refused ----------------------------------------------------------------------------


def test_no_permission_stops_at_once(bench: Bench) -> None:
    """A refusal is no busy slot: it ends the run with its own class, and nothing was tried."""
    bench.cluster.forbidden_kinds.add("ConfigMap")
    with pytest.raises(ClusterError) as refused:
        bench.taking(7).take(600)
    assert refused.value.exit_code == 4
    assert bench.cluster.calls == ["list ConfigMap"]


def test_the_namespace_of_the_records_is_made(bench: Bench) -> None:
    """The first slot of a cluster needs no preparation."""
    bench.cluster.strict_namespaces = True
    bench.taking(7).take(0)
    assert ("Namespace", "", "shop-system") in bench.cluster.objects


def test_a_record_that_is_being_deleted_is_waited_for(bench: Bench) -> None:
    """A record that a finalizer holds up is neither re-entered nor taken over."""
    record = bench.taking(7).take(0).record
    bench.cluster.objects["ConfigMap", "shop-system", f"shop-slot-{record.slot}"]["metadata"][
        "deletionTimestamp"
    ] = "2026-01-02T12:00:00Z"
    with pytest.raises(DeadlineError, match="is being deleted"):
        bench.taking(7).take(10)
