"""Runs that take slots on a real cluster: in threads of this process, or as real commands."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from codexctl_tasks.requests.basis import ClusterSettings
from codexctl_tasks.slots.choosing import Wish
from codexctl_tasks.slots.record import Owner
from codexctl_tasks.slots.store import Slots
from codexctl_tasks.slots.taking import Taken, Taking
from codexctl_tasks.world.clock import SystemClock
from codexctl_tasks.world.kubernetes import connect
from codexctl_tasks.world.watching import ClusterFeed

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

PREFIX = "shop-slot-"
REPO = "acme/shop"
_COUNTED = ("list_objects", "create", "replace", "delete", "get", "watch")


class CountedCluster:
    """A real cluster that counts what is asked of it, by name of the call."""

    def __init__(self, kubeconfig: str, counts: Counter[str], lock: threading.Lock) -> None:
        settings = ClusterSettings(kubeconfig=kubeconfig, context="")
        self._cluster = connect(settings, SystemClock(), lambda _: None)
        self._counts, self._lock = counts, lock

    def __getattr__(self, name: str) -> Any:
        if name in _COUNTED:
            with self._lock:
                self._counts[name] += 1
        return getattr(self._cluster, name)


@dataclass
class Runner:
    """One run, on a machine of its own: nothing is shared with others but the API server."""

    cluster: Any
    namespace: str
    """Of the records."""
    prefix: str = PREFIX
    told: list[str] = field(default_factory=list)

    @property
    def slots(self) -> Slots:
        """The records."""
        return Slots(self.cluster, self.namespace, self.prefix)

    def take(
        self, issue: int, holder: str, *, wait_s: float, most: int = 40, lease_s: float = 60.0
    ) -> Taken:
        """Take the slot of an Issue."""
        clock = SystemClock()
        wish = Wish(
            owner=Owner(repo=REPO, issue=issue),
            env="ai",
            project="shop",
            branch="",
            holder=holder,
            lease_s=lease_s,
            most=most,
            namespace_of=lambda slot: f"shop-dev-{slot}",
        )
        return Taking(
            *(self.slots, wish, clock),
            open_feed=lambda: ClusterFeed(self.cluster, [self.slots.scope], clock, lambda _: None),
            announce=self.told.append,
        ).take(wait_s)


def side_by_side(count: int, act: Callable[[int], None], *, patience_s: float) -> list[Exception]:
    """Let so many threads begin at the same moment; return what they raised."""
    gate, failures = threading.Barrier(count), list[Exception]()

    def run(number: int) -> None:
        try:
            gate.wait()
            act(number)
        except Exception as error:  # noqa: BLE001 - told by the test
            failures.append(error)

    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(patience_s)
    assert not any(thread.is_alive() for thread in threads), "some run never ended"
    return failures
