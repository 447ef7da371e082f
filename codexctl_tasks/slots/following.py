"""The slots as they are, moment by moment: one LIST and one watch, however long it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codexctl_tasks.slots.store import listing_of
from codexctl_tasks.world.watching import Changed, Listed, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from codexctl_tasks.slots.record import DamagedRecord, Record
    from codexctl_tasks.slots.store import Listing, Slots
    from codexctl_tasks.world.watching import Feed, Notice


class Following:
    """A watch on the slots, opened when somebody waits for the first time."""

    def __init__(self, slots: Slots, open_feed: Callable[[], Feed]) -> None:
        self._slots, self._open_feed = slots, open_feed
        self._feed: Feed | None = None
        self._known: dict[str, Record | DamagedRecord] = {}
        """By the name of the ConfigMap: each is read once, however many others change."""
        self._is_listed = False

    def next(self, timeout_s: float, before: Listing) -> Listing:
        """
        Return the slots after the next change, or after *timeout_s* seconds.

        *before*: What is known otherwise, as long as the watch has not told anything.

        Raises:
            ClusterError: They may not be watched.
        """
        self._feed = self._feed or self._open_feed()
        for notice in self._feed.next(timeout_s):
            self._take(notice)
        return listing_of(self._known.values()) if self._is_listed else before

    def close(self) -> None:
        """Stop watching."""
        if self._feed:
            self._feed.close()

    def _take(self, notice: Notice) -> None:
        match notice:
            case Refused(error=error):
                raise error
            case Listed(objects=objects):
                self._known, self._is_listed = {}, True
                for each in objects:
                    self._note(each)
            case Changed(deleted=True, object=gone):
                self._known.pop(gone["metadata"]["name"], None)
            case Changed(object=found):
                self._note(found)

    def _note(self, found: Mapping[str, Any]) -> None:
        if record := self._slots.parse(found):
            self._known[found["metadata"]["name"]] = record
