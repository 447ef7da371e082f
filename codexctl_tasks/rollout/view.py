"""What the watches have shown so far, indexed the way the judge asks."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from codexctl_tasks.world.watching import Listed, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from codexctl_tasks.world.watching import Notice, Scope


class View:
    """A picture of some scopes of a cluster; pure memory, no requests."""

    def __init__(self, scopes: Sequence[Scope]) -> None:
        self._missing = set(scopes)
        self._objects: dict[Scope, dict[str, Mapping[str, Any]]] = {scope: {} for scope in scopes}
        self._by_name: dict[tuple[str, str, str], Mapping[str, Any]] = {}
        self._by_owner: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
        self._ended_jobs: dict[str, Mapping[str, Any]] = {}
        self._events: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)

    @property
    def complete(self) -> bool:
        """Tell whether every scope has been listed; before that, absence means nothing."""
        return not self._missing

    def take(self, notice: Notice) -> None:
        """Remember what a notice says; a refused scope that is optional counts as seen."""
        if isinstance(notice, Refused):
            if not notice.scope.optional:
                raise notice.error
        elif isinstance(notice, Listed):
            for known in list(self._objects[notice.scope].values()):
                self._forget(notice.scope, known)
            for found in notice.objects:
                self._remember(notice.scope, found)
        elif notice.deleted:
            self._forget(notice.scope, notice.object)
        else:
            self._remember(notice.scope, notice.object)
        self._missing.discard(notice.scope)

    def find(self, kind: str, namespace: str, name: str) -> Mapping[str, Any] | None:
        """Return the object, None if it does not exist."""
        return self._by_name.get((kind, namespace, name))

    def last_of_job(self, uid: str) -> Mapping[str, Any] | None:
        """Return a Job as it was when it was removed; None if that was not seen."""
        return self._ended_jobs.get(uid)

    def owned_by(self, uid: str, kind: str) -> list[Mapping[str, Any]]:
        """Return the objects of *kind* that the object with this UID controls, by name."""
        children = (o for o in self._by_owner.get(uid, {}).values() if o["kind"] == kind)
        return sorted(children, key=lambda o: str(o["metadata"]["name"]))

    def events_about(self, uid: str) -> list[Mapping[str, Any]]:
        """Return the events about an object, oldest first."""
        return sorted(self._events.get(uid, {}).values(), key=event_time)

    def _remember(self, scope: Scope, found: Mapping[str, Any]) -> None:
        metadata = found["metadata"]
        uid = metadata["uid"]
        self._objects[scope][uid] = found
        if found["kind"] == "Event":
            self._events[found["involvedObject"].get("uid", "")][uid] = found
            return
        self._by_name[found["kind"], metadata.get("namespace", ""), metadata["name"]] = found
        for owner in metadata.get("ownerReferences") or ():
            if owner.get("controller"):
                self._by_owner[owner["uid"]][uid] = found

    def _forget(self, scope: Scope, gone: Mapping[str, Any]) -> None:
        metadata = gone["metadata"]
        uid = metadata["uid"]
        self._objects[scope].pop(uid, None)
        if gone["kind"] == "Event":
            self._events[gone["involvedObject"].get("uid", "")].pop(uid, None)
            return
        if gone["kind"] == "Job":  # ttlSecondsAfterFinished may be shorter than our next look
            self._ended_jobs[uid] = gone
        key = (gone["kind"], metadata.get("namespace", ""), metadata["name"])
        if key in self._by_name and self._by_name[key]["metadata"]["uid"] == uid:
            del self._by_name[key]
        for owner in metadata.get("ownerReferences") or ():
            self._by_owner[owner["uid"]].pop(uid, None)


def event_time(event: Mapping[str, Any]) -> str:
    """Return when an event was last seen, as RFC 3339 text: it sorts as it is."""
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
        or ""
    )


def event_count(event: Mapping[str, Any]) -> int:
    """Return how often an event happened; the scheduler counts in a series."""
    return int((event.get("series") or {}).get("count") or event.get("count") or 1)
