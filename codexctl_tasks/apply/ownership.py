"""
Who owns which fields of an object: ``metadata.managedFields``, read and rewritten.

https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codexctl_tasks.world.cluster import FIELD_MANAGER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from codexctl_tasks.errors import Conflict

_FORMER = {
    ("kubectl-client-side-apply", "Update"),
    ("kubectl", "Apply"),
    ("helm", "Update"),
    ("helm", "Apply"),
    ("Helm", "Update"),
}
"""How tools that deployed whole manifests before us sign: what they set is ours from now on."""
_YIELDING = ("kubectl", "helm", "Helm", "before-first-apply")
"""Managers (by how their names begin) whose fields are taken over: earlier deploys, and what
somebody did by hand. Everybody else is a controller at work, which would fight back."""


def is_ours(live: Mapping[str, Any]) -> bool:
    """Tell whether we have ever applied the object."""
    return any(_is_own(entry) for entry in _entries(live))


def owns(live: Mapping[str, Any], *path: str) -> bool:
    """Tell whether we own the field at *path*, such as ``spec``, ``replicas``."""
    for entry in _entries(live):
        if _is_own(entry):
            fields = entry.get("fieldsV1") or {}
            for name in path:
                fields = fields.get(f"f:{name}")
                if fields is None:
                    return False
            return True
    return False


def may_be_taken(conflicts: Sequence[Conflict]) -> bool:
    """Tell whether all these fields may be taken over without being asked to."""
    return bool(conflicts) and all(c.manager.startswith(_YIELDING) for c in conflicts)


def has_former_manager(live: Mapping[str, Any]) -> bool:
    """Tell whether an earlier deploy tool still owns something; see `hand_over`."""
    return any(_is_former(entry) for entry in _entries(live))


def hand_over(live: Mapping[str, Any]) -> list[dict[str, Any]]:
    """
    Return the JSON Patch that makes fields of earlier deploys ours; empty if there are none.

    Without it a field that once was applied by another tool, and is in the manifest no more, would
    stay for ever: nobody who applies today would own it. It fails with a conflict if the object has
    changed since it was read.
    """
    entries = list(_entries(live))
    api_version = live.get("apiVersion")
    former = [e for e in entries if _is_former(e) and e.get("apiVersion") == api_version]
    if not former:
        return []
    own = next((e for e in entries if _is_own(e) and e.get("apiVersion") == api_version), None)
    fields: dict[str, Any] = (own or {}).get("fieldsV1") or {}
    for entry in former:
        fields = _union(fields, entry.get("fieldsV1") or {})
    merged = {
        "manager": FIELD_MANAGER,
        "operation": "Apply",
        "apiVersion": api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        "time": max(str(e.get("time") or "") for e in (*former, own or {})),
    }
    others = [entry for entry in entries if entry not in former and entry is not own]
    return [
        {"op": "replace", "path": "/metadata/managedFields", "value": [*others, merged]},
        {
            "op": "replace",
            "path": "/metadata/resourceVersion",
            "value": live["metadata"]["resourceVersion"],
        },
    ]


def _entries(live: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from live["metadata"].get("managedFields") or ()


def _is_own(entry: Mapping[str, Any]) -> bool:
    signed = (entry.get("manager"), entry.get("operation"))
    return signed == (FIELD_MANAGER, "Apply") and not entry.get("subresource")


def _is_former(entry: Mapping[str, Any]) -> bool:
    signed = (entry.get("manager"), entry.get("operation"))
    return signed in _FORMER and not entry.get("subresource")


def _union(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _union(one.get(name) or {}, other.get(name) or {})
        for name in [*one, *(n for n in other if n not in one)]
    }
