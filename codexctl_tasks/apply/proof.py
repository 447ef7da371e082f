"""
The proof that a server-side apply would change nothing, from the live object alone.

The entry of our own last apply in ``metadata.managedFields`` is all the schema that is needed: it
lists the leaves that we own, and thereby says which maps are merged, which lists are keyed or sets,
and what is one value. An apply changes nothing if

- that entry lists exactly the leaves of the desired object,
- every live value is what the server stores for ours, with the items of our lists in our order,
- and no other manager's entry would lose a field, or be rewritten, on the way.

Whatever is not certain counts as a change, and the object is sent; that costs one request. What no
live object can show is what only a new apply would meet: a webhook, a policy or a default that came
later, or a CustomResourceDefinition that divides a value in other ways than before. Nor does it
show that a list of a custom resource was last applied as null: if the definition merges that list
and fills it by default, our entry would gain its items, and nothing else would change.

Rule sources: ``sigs.k8s.io/structured-merge-diff`` (typed/tofieldset.go, merge/update.go) and a
mutation test against a real API server, ``python -m tests.cluster.proof``.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from codexctl_tasks.apply.stored import (
    ATOMIC_MAPS,
    BUILTIN_GROUPS,
    MERGED_MAPS,
    Place,
    is_hollow,
    is_same,
    is_stored_as,
    leaves_no_trace,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Fields = dict[str, Any]
"""A node of ``fieldsV1``: ``f:`` a field, ``k:`` an item by its keys, ``v:`` a member of a set,
``.`` the node itself; nothing below means a leaf, owned as a whole."""

_NOT_AN_OBJECT = (AttributeError, KeyError, TypeError, ValueError, RecursionError)
"""What the walk raises on a value that has not the shape of a Kubernetes object."""


def is_unchanged(desired: Mapping[str, Any], live: Mapping[str, Any], manager: str) -> bool:
    """
    Tell whether applying *desired* leaves *live* exactly as it is, managedFields included.

    Args:
        desired: The whole object as it would be sent; a Secret with ``data`` only.
        live: The same object, of a LIST or GET in the same apiVersion, with its managedFields.
        manager: The field manager of the apply.

    Returns:
        False in doubt, also for objects that are being deleted and for odd ones.
    """
    try:
        return _is_unchanged(desired, live, manager)
    except _NOT_AN_OBJECT:
        return False


def own_entry(live: Mapping[str, Any], manager: str) -> Mapping[str, Any] | None:
    """Return the entry of *manager*'s server-side apply in managedFields; None unless just one."""
    try:
        entries = [e for e in live["metadata"]["managedFields"] if _is_own(e, manager)]
    except _NOT_AN_OBJECT:
        return None
    return entries[0] if len(entries) == 1 else None


def _is_own(entry: Mapping[str, Any], manager: str) -> bool:
    return (
        entry["manager"] == manager
        and entry["operation"] == "Apply"
        and not entry.get("subresource")
    )


def _is_unchanged(desired: Mapping[str, Any], live: Mapping[str, Any], manager: str) -> bool:
    metadata, version = live["metadata"], desired["apiVersion"]
    if "deletionTimestamp" in metadata or "stringData" in desired:
        return False
    own: list[Fields] = []
    rivals: list[Fields] = []
    for entry in metadata.get("managedFields", ()):
        fields = entry["fieldsV1"]
        # The server drops empty entries and those of versions that it no longer knows.
        if entry["apiVersion"] != version or not fields or not isinstance(fields, dict):
            return False
        (own if _is_own(entry, manager) else rivals).append(fields)
    if len(own) > 1 or not (own or rivals or _is_bare(live)):
        return False
    fields = dict(own[0]) if own else {}  # an apply of nothing but a name leaves no entry
    is_builtin = version.rpartition("/")[0] in BUILTIN_GROUPS
    body = {k: v for k, v in desired.items() if k not in ("apiVersion", "kind", "metadata")}
    about = {k: v for k, v in desired["metadata"].items() if k not in ("name", "namespace")}
    # Generated manifests have these two; the server ignores them.
    if about.get("creationTimestamp", "") is None:
        del about["creationTimestamp"]
    if is_builtin and is_hollow(body.get("status"), live.get("status")):
        del body["status"]
    about_fields = fields.pop("f:metadata", {})
    about_rivals = [rival["f:metadata"] for rival in rivals if "f:metadata" in rival]
    return _Comparison(is_builtin=True).holds_map(
        about_fields, about, metadata, about_rivals, "metadata"
    ) and _Comparison(is_builtin=is_builtin).holds_map(fields, body, live, rivals, "")


def _is_bare(live: Mapping[str, Any]) -> bool:
    """Tell whether there is nothing to own; else a first apply records what it finds."""
    return live.keys() <= {"apiVersion", "kind", "metadata"} and live["metadata"].keys() <= {
        *("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "generation"),
        "managedFields",
    }


class _Comparison:
    """
    Desired and live values, walked side by side with our entry and those of others.

    In all methods *fields* is the node of our entry, *rivals* those of other managers that list the
    same place; *place* is the name of the field around it and its own.
    """

    def __init__(self, *, is_builtin: bool) -> None:
        """Compare a built-in kind, whose types are known, or anything else."""
        self.is_builtin = is_builtin

    def holds_map(
        self, fields: Fields, want: Fields, live: Any, rivals: Sequence[Fields], name: str
    ) -> bool:
        """Compare a merged map called *name*: we own the desired fields, no more and no fewer."""
        unseen = len(fields) - ("." in fields)
        for key, value in want.items():
            path = "f:" + key
            below = fields.get(path)
            if below is None:
                if self.is_builtin and leaves_no_trace(value, (name, key)):
                    continue
                return False
            unseen -= 1
            stored = live.get(key)
            if not below and isinstance(value, str) and value == stored:
                continue  # the most frequent case, for speed
            there = _within(rivals, path) if rivals else rivals
            if not self._holds(below, value, stored, there, (name, key)):
                return False
        return unseen == 0

    def _holds(
        self, fields: Fields, want: Any, live: Any, rivals: Sequence[Fields], place: Place
    ) -> bool:
        if not fields:
            return self._holds_whole(want, live, rivals, place)
        _, name = place
        if isinstance(want, dict):
            return bool(want) and self.holds_map(fields, want, live, rivals, name)
        members = [member for member in fields if member != "."]
        if not isinstance(want, list) or not members or len(want) != len(members):
            return False
        if members[0].startswith("k:"):
            return self._holds_keyed(fields, want, live, rivals, name)
        return members[0].startswith("v:") and _holds_set(members, want, live)

    def _holds_whole(self, want: Any, live: Any, rivals: Sequence[Fields], place: Place) -> bool:
        """
        Compare a leaf: a scalar, a value with one owner as a whole, or an empty map.

        A merged map or list is listed as a leaf, too, when it was last applied empty or null. Then
        the fields in it, set by others or by defaults, are not ours yet, even if they are equal.
        """
        _, name = place
        if isinstance(want, dict):
            if not want and self.is_builtin and name in MERGED_MAPS and isinstance(live, dict):
                return True
            if want and not (self.is_builtin and name in ATOMIC_MAPS):
                return False
        if is_same(want, live):
            return not (isinstance(want, list) and any(map(_is_divided, rivals)))
        # A forced apply takes the field from others if only the text differs.
        return self.is_builtin and not rivals and is_stored_as(want, live, place)

    def _holds_keyed(
        self, fields: Fields, want: list[Any], live: Any, rivals: Sequence[Fields], name: str
    ) -> bool:
        """Compare a list of maps that is merged by keys, as containers are by name."""
        names: tuple[str, ...] = ()
        owned: dict[tuple[Any, ...], tuple[str, tuple[Any, ...]]] = {}
        for member, below in fields.items():
            if member != ".":
                names, keys = _keys(member)
                # A key left to its default (``protocol``) is part of the member, but not ours.
                ours = (not below or "f:" + key in below for key in names)
                given = (key if is_ours else None for key, is_ours in zip(keys, ours, strict=True))
                owned[tuple(given)] = (member, keys)
        places = {tuple(map(item.get, names)): place for place, item in enumerate(live)}
        if len(owned) != len(want) or len(places) != len(live):
            return False
        last = -1
        for item in want:
            member, keys = owned.pop(tuple(map(item.get, names)))
            place = places[keys]
            there = _within(rivals, member) if rivals else rivals
            if place <= last or not self._holds_item(
                fields[member], item, live[place], there, name
            ):
                return False
            last = place
        return True

    def _holds_item(
        self, fields: Fields, want: Any, live: Any, rivals: Sequence[Fields], name: str
    ) -> bool:
        if fields:
            return self.holds_map(fields, want, live, rivals, name)
        # One value as a whole, as a reference by name is; a merged item would list its keys.
        return self.is_builtin and (
            is_same(want, live) or (not rivals and is_stored_as(want, live, ("", name)))
        )


def _within(rivals: Sequence[Fields], step: str) -> Sequence[Fields]:
    return [rival[step] for rival in rivals if step in rival]


def _holds_set(members: Sequence[str], want: list[Any], live: Any) -> bool:
    """Compare a list of scalars that is merged as a set."""
    places = [live.index(value) for value in want]
    return (
        {json.loads(member[2:]) for member in members} == set(want)
        and places == sorted(set(places))
        and all(is_same(value, live[place]) for value, place in zip(want, places, strict=True))
    )


def _is_divided(fields: Fields) -> bool:
    """Tell whether a manager owns something within a value: then it is not one value."""
    return any(name != "." for name in fields)


@lru_cache(maxsize=1 << 16)
def _keys(member: str) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Return names and values of the keys in ``k:{"name":"web"}``."""
    keys = json.loads(member[2:])
    return tuple(keys), tuple(keys.values())
