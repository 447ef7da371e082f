"""What the watches have shown so far, indexed the way the judge asks."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from codexctl_tasks.world.watching import Listed, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from codexctl_tasks.world.watching import Notice, Scope

_END_BY_THEMSELVES = ("Job", "Pod")
"""A Job that is complete may be removed before our next look (ttlSecondsAfterFinished)."""


class View:
    """A picture of some scopes of a cluster; pure memory, no requests."""

    def __init__(self, scopes: Sequence[Scope]) -> None:
        self._missing = {scope for scope in scopes if not scope.explains}
        self._objects: dict[Scope, dict[str, Mapping[str, Any]]] = {scope: {} for scope in scopes}
        self._by_name: dict[tuple[str, str, str], Mapping[str, Any]] = {}
        self._by_owner: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
        self._hidden: set[tuple[str, str]] = set()
        self._removed: dict[str, Mapping[str, Any]] = {}
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
            self._hidden.add((notice.scope.resource.kind, notice.scope.namespace))
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

    def of_kind(self, kind: str, namespace: str) -> list[Mapping[str, Any]]:
        """Return all objects of a kind in a namespace, by name."""
        names = sorted(key for key in self._by_name if key[:2] == (kind, namespace))
        return [self._by_name[name] for name in names]

    def is_hidden(self, kind: str, namespace: str) -> bool:
        """Tell whether objects of a kind may not be read."""
        return (kind, namespace) in self._hidden

    def removed(self, uid: str) -> Mapping[str, Any] | None:
        """Return a Job or Pod as it was when it was removed; None if that was not seen."""
        return self._removed.get(uid)

    def owned_by(self, uid: str, kind: str) -> list[Mapping[str, Any]]:
        """Return the objects of *kind* that the object with this UID controls, by name."""
        children = (o for o in self._by_owner.get(uid, {}).values() if o["kind"] == kind)
        return sorted(children, key=lambda o: str(o["metadata"]["name"]))

    def has_leaving_pods(self, namespace: str) -> bool:
        """Tell whether pods of a namespace are being deleted: they still count for a while."""
        return any(
            found["metadata"].get("deletionTimestamp")
            for (kind, where, _), found in self._by_name.items()
            if (kind, where) == ("Pod", namespace)
        )

    def is_node_unready(self, name: str) -> bool:
        """Tell whether a node says that it is not ready; False if it may not be looked at."""
        node = self.find("Node", "", name) or {}
        conditions = (node.get("status") or {}).get("conditions") or ()
        return any(c["type"] == "Ready" and c["status"] != "True" for c in conditions)

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
        if gone["kind"] in _END_BY_THEMSELVES:
            self._removed[uid] = gone
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
