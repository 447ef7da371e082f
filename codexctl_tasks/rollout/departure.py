"""Wait until objects are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from codexctl_tasks.console import Row
from codexctl_tasks.rollout.pursuit import in_short
from codexctl_tasks.rollout.view import View
from codexctl_tasks.rollout.wait import TICK_S
from codexctl_tasks.world.watching import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from codexctl_tasks.rollout.pursuit import Sought
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.outside import Outside

    Object = Mapping[str, Any]


class Departure:
    """The wait for the end of those that are there when it begins."""

    def __init__(
        self, sought: Sought, cluster: Cluster, outside: Outside, *, timeout_s: float
    ) -> None:
        """Begin to watch; *timeout_s*: how long to wait at most, from now."""
        scope = Scope(sought.resource, sought.namespace)
        self.sought = sought
        self._clock, self._console = outside.clock, outside.console
        self._begun_s = self._clock.now()
        self._deadline_s = self._begun_s + timeout_s
        self._view = View([scope])
        self._feed = outside.watch(cluster, [scope], self._clock, self._console.retrying)
        self._there: dict[str, Object] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._feed.close()

    def until_gone(self, tell: Callable[[str], None]) -> bool:
        """
        Return True once all are gone; False: the time is over.

        Args:
            tell: Is told of each that goes, and when there was none.

        Raises:
            ClusterError: The kind may not be watched.
        """
        while True:
            if self._view.complete:
                self._look(tell)
            if self._there == {}:
                return True
            left_s = self._deadline_s - self._clock.now()
            if left_s <= 0:
                return False
            for notice in self._feed.next(min(TICK_S, left_s)):
                self._view.take(notice)

    def left(self) -> str:
        """Return what is still there, with what is known about its end."""
        if self._there is None:
            return "nobody knows: the cluster has not told what exists"
        return in_short([f"{self.sought.name_of(f)} {_state(f)}" for f in self._there.values()])

    def _look(self, tell: Callable[[str], None]) -> None:
        if self._there is None:
            self._there = {
                found["metadata"]["uid"]: found for found in self.sought.find(self._view)
            }
            if not self._there:
                tell(f"{self.sought}: nothing is there")
        # By now another label may be on it, or another object under its name.
        kind = self._view.of_kind(self.sought.resource.kind, self.sought.namespace)
        now = {found["metadata"]["uid"]: found for found in kind}
        for uid, found in self._there.items():
            if uid not in now:
                tell(f"{self.sought.name_of(found)}: gone")
        self._there = {uid: now[uid] for uid in self._there if uid in now}
        rows = [_row(self.sought, found) for found in self._there.values()]
        self._console.progress(rows, self._clock.now() - self._begun_s)


def _row(sought: Sought, found: Object) -> Row:
    return Row(str(sought.name_of(found)), "waiting", _state(found))


def _state(found: Object) -> str:
    metadata = found["metadata"]
    if not metadata.get("deletionTimestamp"):
        return "is not being deleted"
    finalizers = metadata.get("finalizers") or ()
    held = f", held by {', '.join(finalizers)}" if finalizers else ""
    return f"is being deleted{held}"
