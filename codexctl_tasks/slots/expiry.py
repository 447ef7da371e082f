"""
Which slots are over, and why (pure).

When in doubt a slot stays: the next run comes in an hour, and what was deleted does not come back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from codexctl_tasks.slots.record import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from codexctl_tasks.slots.record import Record

_DAY_S, _HOUR_S, _MINUTE_S = 86400, 3600, 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Thread:
    """An Issue or a pull request that a slot is for."""

    name: str
    """``Issue 12`` or ``PR 12``."""
    is_closed: bool | None
    """None: GitHub shows nothing of that number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """The namespace of a slot."""

    name: str
    exists: bool
    is_ours: bool
    """Its labels name this slot, repository and stack."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """What was found of one slot."""

    number: int
    record: Record | None
    """None: there is none, or it is damaged."""
    place: Place
    threads: tuple[Thread, ...] = ()
    is_run_over: bool | None = None
    """Whether the run is over that the record names as its holder; None: nobody knows."""
    damage: str = ""
    """What makes no sense in its record."""
    had_record: bool = True
    """Of one without a record: there was one, where records are looked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """When a slot is over although its Issue is open."""

    ttl_s: float
    """Not used for so long."""
    grace_s: float
    """For so long after its last sign a run may come back, and a namespace may yet be made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What is to become of one slot."""

    slot: Slot
    goes: bool
    why: str


def decide(slots: Sequence[Slot], rules: Rules, now: datetime) -> list[Verdict]:
    """
    Judge all slots.

    Args:
        slots: All that have a record, or a namespace with our labels.
        rules: How long they are left alone.
        now: By the API server's clock, as all times of records.
    """
    return [_verdict(slot, rules, now) for slot in slots]


def _verdict(slot: Slot, rules: Rules, now: datetime) -> Verdict:
    if why := next(_reasons_to_stay(slot, rules, now), ""):
        return Verdict(slot=slot, goes=False, why=why)
    why = next(_reasons_to_go(slot, rules, now), "")
    return Verdict(slot=slot, goes=bool(why), why=why or _use(slot, now))


def _reasons_to_stay(slot: Slot, rules: Rules, now: datetime) -> Iterator[str]:
    """Yield what keeps a slot whatever else is true of it."""
    record = slot.record
    if slot.damage:
        yield f"its record is damaged: {slot.damage}"
    if record is None:
        if not (slot.place.exists and slot.place.is_ours):
            yield "there is nothing of ours"
        elif not slot.had_record:
            yield f"namespace {slot.place.name} never had a record here"
        return
    if record.is_leaving:
        yield "its record is being deleted"
    if record.lease_left_s(now) > 0:
        yield f"{record.holder} works on it"
    if record.holder and slot.is_run_over is False:
        yield f"{record.holder} is not over"
    silent_s = _silent_s(record, now)
    is_young = silent_s is not None and silent_s < rules.grace_s
    if record.holder and is_young and not slot.is_run_over:
        yield f"{record.holder} was heard of {span(silent_s or 0.0)} ago"


def _reasons_to_go(slot: Slot, rules: Rules, now: datetime) -> Iterator[str]:
    """Yield why a slot is over that nothing keeps."""
    record = slot.record
    if record is None:
        yield f"namespace {slot.place.name} has no record"
        return
    if record.state is State.RELEASING:
        yield "its removal was begun and not finished"
    if slot.threads and all(thread.is_closed for thread in slot.threads):
        yield _closed(slot.threads)
    silent_s = _silent_s(record, now)
    if silent_s is None:
        return
    if record.state is State.ALLOCATED and record.holder:
        yield f"taken and never made ready; its lease ran out {span(silent_s)} ago"
    if not slot.place.exists and silent_s >= rules.grace_s:
        yield f"namespace {slot.place.name} does not exist"
    if silent_s >= rules.ttl_s:
        yield f"not used for {span(silent_s)}"


def _silent_s(record: Record, now: datetime) -> float | None:
    """Return for how long nobody has shown to be there, at least 0; None: no time is known."""
    times = (record.lease_until, record.heartbeat, record.used, record.created)
    known = [time for time in times if time is not None]
    return max((now - max(known)).total_seconds(), 0.0) if known else None


def _closed(threads: Sequence[Thread]) -> str:
    names = " and ".join(thread.name for thread in threads)
    return f"{names} {'are' if len(threads) > 1 else 'is'} closed"


def _use(slot: Slot, now: datetime) -> str:
    """Say of a slot that stays what it is there for."""
    record = slot.record
    words = [
        f"{thread.name} is {_STATES[thread.is_closed]}"
        for thread in slot.threads
        if not thread.is_closed
    ]
    silent_s = _silent_s(record, now) if record else None
    words.append("nobody knows since when" if silent_s is None else f"used {span(silent_s)} ago")
    return ", ".join(words)


_STATES = {False: "open", None: "not known to GitHub"}


def span(seconds: float) -> str:
    """Return a time that has passed, as people say it: ``3 days``, ``5 h``, ``12 min``."""
    passed = timedelta(seconds=max(seconds, 0.0)).total_seconds()
    if passed >= 2 * _DAY_S:
        return f"{passed // _DAY_S:.0f} days"
    if passed >= 2 * _HOUR_S:
        return f"{passed // _HOUR_S:.0f} h"
    if passed >= 2 * _MINUTE_S:
        return f"{passed // _MINUTE_S:.0f} min"
    return f"{passed:.0f} s"
