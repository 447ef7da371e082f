"""Which slots are over: one table of all decisions; when in doubt a slot stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from codexctl_tasks.slots.expiry import Place, Rules, Slot, Thread, decide, span
from codexctl_tasks.slots.record import Record, State

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
RULES = Rules(ttl_s=168 * 3600.0, grace_s=3600.0)
HOLDER = "https://github.com/org/shop/actions/runs/7"


def _ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def _record(**fields: Any) -> Record:
    usual = {"state": State.READY, "issue": 12, "repo": "org/shop", "used": _ago(hours=5)}
    return Record(slot=3, namespace="shop-dev-3", uid="u", **{**usual, **fields})


def _leased(state: State = State.READY, **fields: Any) -> Record:
    lease = {"holder": HOLDER, "lease_until": _ago(hours=3), "heartbeat": _ago(hours=4)}
    return _record(state=state, **{**lease, "used": _ago(hours=4), **fields})


def _slot(record: Record | None, *, exists: bool = True, **fields: Any) -> Slot:
    place = Place(name="shop-dev-3", exists=exists, is_ours=fields.pop("is_ours", exists))
    return Slot(number=3, record=record, place=place, **fields)


def _thread(name: str, is_closed: bool | None) -> Thread:
    return Thread(name=name, is_closed=is_closed)


OPEN = (_thread("Issue 12", is_closed=False),)
CLOSED = (_thread("Issue 12", is_closed=True),)
UNKNOWN = (_thread("Issue 12", is_closed=None),)
BOTH = (*CLOSED, _thread("PR 15", is_closed=True))
ONE_OPEN = (*CLOSED, _thread("PR 15", is_closed=False))
ALIVE = {"lease_until": NOW + timedelta(seconds=20), "heartbeat": NOW}
SILENT = {"lease_until": _ago(minutes=10), "used": _ago(minutes=40), "heartbeat": _ago(minutes=40)}
LEAVING = {"metadata": {"deletionTimestamp": "2026-01-10T11:00:00Z"}}

STAYS = {
    "in use": (_slot(_record(), threads=OPEN), "Issue 12 is open, used 5 h ago"),
    "alive, closed": (_slot(_leased(**ALIVE), threads=CLOSED), f"{HOLDER} works on it"),
    "alive, old": (_slot(_leased(**ALIVE, created=_ago(days=90))), f"{HOLDER} works on it"),
    "alive, taken": (_slot(_leased(State.ALLOCATED, **ALIVE)), f"{HOLDER} works on it"),
    "alive, leaving": (_slot(_leased(State.RELEASING, **ALIVE)), f"{HOLDER} works on it"),
    "alive, nowhere": (_slot(_leased(**ALIVE), exists=False), f"{HOLDER} works on it"),
    "may come back": (
        _slot(_leased(State.ALLOCATED, **SILENT), threads=CLOSED),
        f"{HOLDER} was heard of 10 min ago",
    ),
    "run goes on": (
        _slot(_leased(State.ALLOCATED), threads=CLOSED, is_run_over=False),
        f"{HOLDER} is not over",
    ),
    "preparing": (
        _slot(_leased(State.PREPARING), threads=OPEN),
        "Issue 12 is open, used 3 h ago",
    ),
    "one open": (_slot(_record(pr=15), threads=ONE_OPEN), "PR 15 is open, used 5 h ago"),
    "not found": (_slot(_record(), threads=UNKNOWN), "Issue 12 is not known to GitHub, used 5 h"),
    "for nobody": (_slot(_record(issue=0)), "used 5 h ago"),
    "new, nowhere": (
        _slot(_record(state=State.ALLOCATED, used=_ago(minutes=9)), exists=False),
        "used 9 min ago",
    ),
    "no times": (
        _slot(_record(used=None), exists=False, threads=OPEN),
        "Issue 12 is open, nobody knows since when",
    ),
    "of tomorrow": (_slot(_record(used=NOW + timedelta(days=1)), exists=False), "used 0 s ago"),
    "just in time": (_slot(_record(used=_ago(hours=167))), "used 6 days ago"),
    "damaged": (_slot(None, exists=False, damage="pr is 'x'"), "its record is damaged: pr is 'x'"),
    "deleted by hand": (_slot(_record(source=LEAVING)), "its record is being deleted"),
    "foreign": (_slot(None, is_ours=False), "there is nothing of ours"),
    "made by hand": (
        _slot(None, had_record=False),
        "namespace shop-dev-3 never had a record here",
    ),
}
GOES = {
    "no record": (_slot(None), "namespace shop-dev-3 has no record"),
    "half removed": (
        _slot(_leased(State.RELEASING), threads=OPEN),
        "its removal was begun and not finished",
    ),
    "closed": (_slot(_record(), threads=CLOSED), "Issue 12 is closed"),
    "closed just now": (_slot(_record(used=NOW), threads=CLOSED), "Issue 12 is closed"),
    "closed, no times": (_slot(_record(used=None), threads=CLOSED), "Issue 12 is closed"),
    "both closed": (_slot(_record(pr=15), threads=BOTH), "Issue 12 and PR 15 are closed"),
    "closed, run died": (
        _slot(_leased(**SILENT), threads=CLOSED, is_run_over=True),
        "Issue 12 is closed",
    ),
    "never ready": (
        _slot(_leased(State.ALLOCATED), threads=OPEN),
        "taken and never made ready; its lease ran out 3 h ago",
    ),
    "never ready, run over": (
        _slot(_leased(State.ALLOCATED, **SILENT), threads=OPEN, is_run_over=True),
        "taken and never made ready; its lease ran out 10 min ago",
    ),
    "nowhere": (
        _slot(_record(), exists=False, threads=OPEN),
        "namespace shop-dev-3 does not exist",
    ),
    "old": (_slot(_record(used=_ago(hours=169)), threads=OPEN), "not used for 7 days"),
    "old, not found": (_slot(_record(used=_ago(days=30)), threads=UNKNOWN), "not used for 30 days"),
    "of the Go tool": (
        _slot(_record(state=State.PREPARING, repo="", used=None, created=_ago(days=8))),
        "not used for 8 days",
    ),
}


@pytest.mark.parametrize(("slot", "why"), STAYS.values(), ids=STAYS)
def test_a_slot_stays(slot: Slot, why: str) -> None:
    """It is in use, may be, or nobody can tell: nothing is lost by one more hour."""
    [verdict] = decide([slot], RULES, NOW)

    assert (verdict.goes, verdict.why[: len(why)]) == (False, why)


@pytest.mark.parametrize(("slot", "why"), GOES.values(), ids=GOES)
def test_a_slot_goes(slot: Slot, why: str) -> None:
    """It is over, and the reason says how one knows."""
    [verdict] = decide([slot], RULES, NOW)

    assert (verdict.goes, verdict.why) == (True, why)


@pytest.mark.parametrize("minutes", [59, 61])
def test_a_run_has_its_grace_to_the_minute(minutes: int) -> None:
    """A runner ten minutes late keeps its slot; a dead one does not keep it for ever."""
    until = _ago(minutes=minutes)
    record = _leased(State.ALLOCATED, lease_until=until, heartbeat=until, used=until)

    [verdict] = decide([_slot(record)], RULES, NOW)

    assert verdict.goes is (minutes > 60)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172800, "2 days")],
)
def test_spans_are_as_people_say_them(seconds: float, text: str) -> None:
    """One unit is enough to see whether a slot is old."""
    assert span(seconds) == text
