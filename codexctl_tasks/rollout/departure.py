"""Wait until objects are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from codexctl_tasks.console import Row
from codexctl_tasks.rollout.view import View
from codexctl_tasks.rollout.wait import TICK_S
from codexctl_tasks.world.watching import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

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

    def left(self) -> list[str]:
        """Return each object that is still there, with what is known about its end."""
        return [f"{self.sought.name_of(f)} {_state(f)}" for f in (self._there or {}).values()] or [
            "nothing is known: the list has not arrived"
        ]

    def _look(self, tell: Callable[[str], None]) -> None:
        now = {found["metadata"]["uid"]: found for found in self.sought.find(self._view)}
        if self._there is None:
            self._there = now
            if not now:
                tell(f"{self.sought}: nothing is there")
        before, self._there = self._there, {uid: now[uid] for uid in self._there if uid in now}
        for uid in before.keys() - self._there.keys():
            tell(f"{self.sought.name_of(before[uid])}: gone")
        self._console.progress(list(self._rows(before.values())), self._clock.now() - self._begun_s)

    def _rows(self, before: Iterable[Object]) -> Iterable[Row]:
        for found in before:
            is_left = found["metadata"]["uid"] in (self._there or {})
            state = "waiting" if is_left else "ready"
            name = str(self.sought.name_of(found))
            yield Row(name, state, _state(found) if is_left else "gone")


def _state(found: Object) -> str:
    metadata = found["metadata"]
    if not metadata.get("deletionTimestamp"):
        return "is not being deleted"
    finalizers = metadata.get("finalizers") or ()
    held = f", held by {', '.join(finalizers)}" if finalizers else ""
    return f"is being deleted{held}"
