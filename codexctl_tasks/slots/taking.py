"""
Take a slot: the API server decides every race, and one Issue never has two.

A new record begins as a claim. Its run then looks whether the same Issue or PR has another slot by
now, and confirms its own only if not. Of two claims the lower number stays: its run deletes the
other, which nobody can confirm then, or finds it confirmed and gives up its own. Whoever was
created later sees the other one, so that never both are confirmed.

A run that dies leaves a claim or a record whose lease ends: both are re-entered by their own
Issue, or taken over by another, since nothing was deployed there.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

from codexctl_tasks.errors import ClusterError, DeadlineError, UsageError
from codexctl_tasks.slots.choosing import (
    Choice,
    How,
    Wish,
    brief,
    choose,
    next_change_s,
    obstacle,
    own_record,
)
from codexctl_tasks.slots.following import Following
from codexctl_tasks.slots.record import Record, State

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from codexctl_tasks.slots.store import Listing, Slots
    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.watching import Feed

SPREAD_S = 1.0
"""A slot that gets free is not tried by all who wait in the same moment."""
PATIENCE_S = 60.0
"""Who has waited for so long tries twice as early as who has just come."""
MOST_TRIES = 1000
"""Each fails because somebody else has changed a record: more say that something else is wrong."""
REMIND_S = 60.0
"""Longer silence makes people believe that a run hangs."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A slot that a run holds now."""

    record: Record
    created: bool
    """Nobody has worked in it before."""
    recreated: bool
    """It was another's, which had not deployed anything."""


class Taking:
    """One run that takes a slot."""

    def __init__(
        self,
        slots: Slots,
        wish: Wish,
        clock: Clock,
        *,
        open_feed: Callable[[], Feed],
        announce: Callable[[str], None],
    ) -> None:
        """
        Prepare; nothing is sent yet.

        Args:
            slots: Where the records are.
            wish: For whom.
            clock: Measures the waiting.
            open_feed: Begins to watch `Slots.scope`; called once, when there is something to wait
                for.
            announce: Receives a line when somebody should know.
        """
        self._slots, self._wish, self._clock = slots, wish, clock
        self._following = Following(slots, open_feed)
        self._announce = announce
        self._begun_s, self._told_s = clock.now(), -math.inf
        self._made: dict[str, How] = {}
        """How the records came about that this run has made, by UID."""

    def take(self, wait_s: float) -> Taken:
        """
        Return the slot of the Issue or PR: the one that it has, or another.

        Args:
            wait_s: How long to wait while none can be had; 0: not at all.

        Raises:
            DeadlineError: None could be had; says who holds them.
            UsageError: The Issue's slot is of another environment or project.
            ClusterError: The API server refuses something for any other reason.
        """
        deadline_s = self._begun_s + wait_s
        listing, tries = self._slots.list(), 0
        try:
            while tries < MOST_TRIES:
                if choice := self._choice(listing):
                    if taken := self._try(choice, listing):
                        return taken
                    listing, tries = self._slots.list(), tries + 1
                else:
                    listing = self._wait(listing, deadline_s)
        finally:
            self._following.close()
        what = f"others were faster {tries} times"
        raise ClusterError(f"slot for {self._wish.owner}", what, "find out who changes the records")

    def _try(self, choice: Choice, listing: Listing) -> Taken | None:
        """Do what was chosen; None: somebody else was faster."""
        if choice.how is How.REENTER and choice.record:
            self._warn_of_others(choice.record, listing)
            record: Record | None = self._completed(choice.record)
        else:
            record = self._claim(choice)
            listing = self._slots.list() if record else listing
        if record is None or not self._is_alone(record, listing):
            return None
        how = self._made.get(record.uid, How.CREATE if record.is_claim else How.REENTER)
        held = self._slots.replace(
            record.held(self._wish.holder, self._slots.now(), self._wish.lease_s)
        )
        return Taken(held, how is How.CREATE, how is How.TAKE_OVER) if held else None

    def _claim(self, choice: Choice) -> Record | None:
        """Make the record, not yet confirmed: `Record.is_claim`."""
        now, wish = self._slots.now(), self._wish
        claim = replace(
            choice.record or Record(slot=choice.slot),
            env=wish.env,
            namespace=wish.namespace_of(choice.slot),
            project=wish.project,
            repo=wish.owner.repo,
            issue=wish.owner.issue,
            pr=wish.owner.pr,
            branch=wish.branch,
            state=State.ALLOCATED,
            holder=wish.holder,
            lease_until=now + timedelta(seconds=wish.lease_s),
            heartbeat=None,
            created=now,
            used=now,
            fingerprint="",
        )
        made = self._slots.replace(claim) if choice.record else self._create(claim)
        if made:
            self._made[made.uid] = choice.how
        return made

    def _create(self, claim: Record) -> Record | None:
        try:
            return self._slots.create(claim)
        except ClusterError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
        self._slots.make_namespace()
        return self._slots.create(claim)

    def _is_alone(self, record: Record, listing: Listing) -> bool:
        """Tell whether a record is the only one of its owner, which a claim may have to make so."""
        twins = [each for each in listing.of(record.owner) if each.slot != record.slot]
        if not record.is_claim or not twins:
            return True
        is_lowest = all(twin.is_claim and twin.slot > record.slot for twin in twins)
        if is_lowest and all(self._slots.delete(twin) for twin in twins):
            return True
        self._slots.delete(record)  # a twin is confirmed, or was in this moment
        return False

    def _completed(self, own: Record) -> Record:
        """Return the record of the same Issue or PR with all that is known of it now."""
        wish = self._wish
        for what, has, wants in (
            ("env", own.env, wish.env),
            ("project", own.project, wish.project),
        ):
            if has and has != wants:
                raise UsageError(
                    f"--{what}" if what == "env" else "project of services.yaml",
                    f"{own.owner} has slot {own.slot} in {has!r}, not in {wants!r}",
                    "use that one, or clean the slot up first",
                )
        # What was interrupted while it was taken down is not what was deployed any more.
        is_broken = own.state is State.RELEASING
        return replace(
            own,
            env=wish.env,
            namespace=own.namespace or wish.namespace_of(own.slot),
            project=wish.project,
            repo=own.repo or wish.owner.repo,
            branch=wish.branch or own.branch,
            state=State.PREPARING if is_broken else own.state,
            fingerprint="" if is_broken else own.fingerprint,
        )

    def _warn_of_others(self, own: Record, listing: Listing) -> None:
        others = [e for e in listing.of(self._wish.owner) if e.slot != own.slot and not e.is_claim]
        if others and not own.is_claim:
            numbers = ", ".join(str(each.slot) for each in others)
            self._announce(
                f"{self._wish.owner} has more than one slot: {own.slot} is used; clean up {numbers}"
            )

    def _wait(self, listing: Listing, deadline_s: float) -> Listing:
        """Return the slots as soon as one can be tried."""
        while True:
            left_s = deadline_s - self._clock.now()
            now = self._slots.now()
            if left_s <= 0:
                raise DeadlineError(
                    f"slot for {self._wish.owner}",
                    obstacle(listing, self._wish, now),
                    "wait longer with --slot-wait, or clean one up: codexctl slots lists them",
                )
            self._tell(listing, now)
            soon_s = next_change_s(listing, self._wish, now)
            listing = self._following.next(min(left_s, soon_s, REMIND_S), listing)
            if self._choice(listing):
                self._let_others_try(listing)
                listing = self._following.next(0.0, listing)
                if self._choice(listing):
                    return listing

    def _choice(self, listing: Listing) -> Choice | None:
        return choose(listing, self._wish, self._slots.now())

    def _let_others_try(self, listing: Listing) -> None:
        """Wait a moment, shorter the longer this run has waited; nobody else wants its own slot."""
        if own_record(listing, self._wish.owner) is None:
            patience = 1 + (self._clock.now() - self._begun_s) / PATIENCE_S
            self._clock.sleep(random.uniform(0, SPREAD_S / patience))  # noqa: S311 - no secret

    def _tell(self, listing: Listing, now: datetime) -> None:
        """Tell what is waited for, in full once, then in short from time to time."""
        now_s = self._clock.now()
        if now_s - self._told_s < REMIND_S:
            return
        told = obstacle(listing, self._wish, now)
        if self._told_s >= self._begun_s:
            told = f"{told.partition(': ')[0]}, for {brief(now_s - self._begun_s)} by now"
        self._announce(f"waiting: {told}")
        self._told_s = now_s
