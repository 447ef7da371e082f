"""
Which slot an Issue or a PR gets, from a picture of all slots (pure).

The same Issue or PR tries free numbers in the same order, whichever run asks: two runs that ask at
the same moment mostly meet at one number, where the API server lets one go first. Different Issues
have different orders, so that they do not all run after the same number.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from itertools import count, islice
from typing import TYPE_CHECKING

from codexctl_tasks.slots.record import LARGEST_SLOT, Owner, Record, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from codexctl_tasks.slots.store import Listing

GRACE = 1 / 3
"""Of a lease, after its end: a holder that is late by one renewal is not dead."""
CHOICES_WITHOUT_LIMIT = 10
"""So many free numbers are considered where ``maxSlots`` sets no limit."""
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_NAMED = 10
"""Holders in one line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """Who wants a slot."""

    owner: Owner
    """With an Issue or a PR."""
    env: str
    project: str
    branch: str
    """Empty: not known; what the record says stays."""
    holder: str
    """The run, the same for all its jobs."""
    lease_s: float
    most: int
    """Slots are numbered from 1 to this; 0: there is no limit."""
    namespace_of: Callable[[int], str]
    """Return the namespace of a slot."""


class How(Enum):
    """How a slot is taken."""

    CREATE = "create"
    REENTER = "re-enter"
    """It is that of the same Issue or PR."""
    TAKE_OVER = "take over"
    """It was another's, whose run has died before it deployed anything."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What can be tried now."""

    how: How
    slot: int
    record: Record | None
    """What is there; None: nothing."""


def choose(listing: Listing, wish: Wish, now: datetime) -> Choice | None:
    """Return what can be tried; None: nothing, until a slot is freed or a lease ends."""
    if own := own_record(listing, wish.owner):
        is_open = not own.is_held_by_another(wish.holder, now) and not own.is_leaving
        return Choice(How.REENTER, own.slot, own) if is_open else None
    for slot in in_order(free_slots(listing, wish), wish.owner):
        return Choice(How.CREATE, slot, None)
    abandoned = {
        each.slot: each for each in _candidates(listing, wish) if _left_s(each, wish, now) <= 0
    }
    for slot in in_order(list(abandoned), wish.owner):
        return Choice(How.TAKE_OVER, slot, abandoned[slot])
    return None


def own_record(listing: Listing, owner: Owner) -> Record | None:
    """
    Return the slot of an Issue or a PR.

    Of several, which only races or the Go tool leave behind, it is the one that a run was sure of,
    then the lowest.

    Raises:
        DamagedRecord: Its record makes no sense: that it has none must not be believed.
    """
    if found := listing.of(owner):
        return min(found, key=lambda record: (record.is_claim, record.slot))
    for damaged in listing.damaged:
        if damaged.is_for(owner):
            raise damaged
    return None


def next_change_s(listing: Listing, wish: Wish, now: datetime) -> float:
    """Return after how many seconds `choose` may answer otherwise although nothing was changed."""
    if own := own_record(listing, wish.owner):
        return own.lease_left_s(now) or math.inf  # what is leaving is not held up by a lease
    return min((_left_s(each, wish, now) for each in _candidates(listing, wish)), default=math.inf)


def free_slots(listing: Listing, wish: Wish) -> list[int]:
    """Return numbers without a record, from the lowest; all of them if there is a limit."""
    limit, busy = wish.most or LARGEST_SLOT, listing.busy
    free = (slot for slot in range(1, limit + 1) if slot not in busy)
    return list(free if wish.most else islice(free, CHOICES_WITHOUT_LIMIT))


def in_order(slots: list[int], owner: Owner) -> list[int]:
    """Return numbers in the order in which an Issue or a PR tries them."""
    dice = random.Random(f"{owner.repo.lower()} {owner.issue} {owner.pr}")  # noqa: S311 - no secret
    weights = {slot: dice.random() for slot in islice(count(1), max(slots, default=0))}
    return sorted(slots, key=lambda slot: weights[slot])


def _candidates(listing: Listing, wish: Wish) -> Iterator[Record]:
    """Yield slots in which nothing was deployed: others are up to their own Issue, and to gc."""
    for record in listing.records:
        in_range = not wish.most or record.slot <= wish.most
        if in_range and record.state is State.ALLOCATED and not record.is_leaving:
            yield record


def _left_s(record: Record, wish: Wish, now: datetime) -> float:
    """Return in how many seconds a slot may be taken over; 0 or less: it may be."""
    ended = record.lease_until or record.used or record.created or _LONG_AGO
    grace_s = 0.0 if record.holder == wish.holder else wish.lease_s * GRACE
    return (ended - now).total_seconds() + grace_s


def obstacle(listing: Listing, wish: Wish, now: datetime) -> str:
    """Say in one line what is waited for: who holds which slot since when."""
    if own := own_record(listing, wish.owner):
        return f"slot {own.slot} of {own.owner} is {occupation(own, now)}"
    told = [f"slot {each.slot}: {each.owner}, {occupation(each, now)}" for each in listing.records]
    told += [f"slot {each.slot}: damaged record" for each in listing.damaged]
    rest = f"; and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
    return f"all {wish.most or LARGEST_SLOT} slots are taken: {'; '.join(told[:_NAMED])}{rest}"


def occupation(record: Record, now: datetime) -> str:
    """Say who works on a slot, or that nobody does: ``held by … since … for 3m more``."""
    since = f" since {record.created:%Y-%m-%d %H:%M} UTC" if record.created else ""
    if record.is_leaving:
        return "being deleted"
    if left_s := record.lease_left_s(now):
        return f"{record.state}{since}, held by {record.holder} for {brief(left_s)} more"
    return f"{record.state}{since}, held by nobody"


def brief(seconds: float) -> str:
    """Return a duration as people read it: ``45s``, ``12m``, ``3h``, ``2d``."""
    for unit, size_s in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size_s:
            return f"{seconds / size_s:.0f}{unit}"
    return f"{seconds:.0f}s"
