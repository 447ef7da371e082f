"""Slots in a cluster that is a dictionary."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.slots.choosing import Wish
from codexctl_tasks.slots.record import Owner
from codexctl_tasks.slots.store import Slots
from codexctl_tasks.slots.taking import Taking
from tests.support.fakes import FakeClock, FakeCluster, LiveFeed

if TYPE_CHECKING:
    from collections.abc import Callable

    from codexctl_tasks.world.cluster import Resource

START = datetime(2026, 1, 2, 12, tzinfo=UTC)
LEASE_S = 60.0


class SlotCluster(FakeCluster):
    """A cluster whose clock is that of the test, and in which others may act before a request."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock
        self.before: dict[str, list[Callable[[], object]]] = {}
        """What others do right before the next ``list``, ``create``, ``replace`` or ``delete``."""

    def now(self) -> datetime:
        """Return the time of the test."""
        return START + timedelta(seconds=self._clock.time)

    def list_objects(self, resource: Resource, namespace: str, **more: Any) -> Any:
        """Let others act, then list."""
        self._others("list")
        return super().list_objects(resource, namespace, **more)

    def create(self, resource: Resource, namespace: str, body: Any) -> Any:
        """Let others act, then create."""
        self._others("create")
        return super().create(resource, namespace, body)

    def replace(self, resource: Resource, namespace: str, body: Any) -> Any:
        """Let others act, then replace."""
        self._others("replace")
        return super().replace(resource, namespace, body)

    def delete(self, *request: Any, **more: Any) -> bool:
        """Let others act, then delete."""
        self._others("delete")
        return super().delete(*request, **more)

    def _others(self, verb: str) -> None:
        if actions := self.before.get(verb):
            actions.pop(0)()


class Bench:
    """One cluster with slots, and runs that take them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.cluster = SlotCluster(self.clock)
        self.slots = Slots(self.cluster, "shop-system", "shop-slot-")
        self.told: list[str] = []

    def taking(self, issue: int, holder: str = "run 1", **more: Any) -> Taking:
        """Return a run that takes a slot; *more*: fields of its wish."""
        wish = {
            "owner": Owner(repo="acme/shop", issue=issue),
            "env": "ai",
            "project": "shop",
            "branch": "",
            "holder": holder,
            "lease_s": LEASE_S,
            "most": 3,
            "namespace_of": lambda slot: f"shop-dev-{slot}",
        }
        return Taking(
            *(self.slots, Wish(**{**wish, **more}), self.clock),
            open_feed=lambda: LiveFeed(self.cluster, [self.slots.scope], self.clock),
            announce=self.told.append,
        )

    def data(self) -> dict[str, dict[str, str]]:
        """Return what the records say, by number."""
        found = {}
        for (kind, _, name), value in self.cluster.objects.items():
            if kind == "ConfigMap":
                found[name.removeprefix("shop-slot-")] = dict(value["data"])
        return found


@pytest.fixture
def bench() -> Bench:
    return Bench()
