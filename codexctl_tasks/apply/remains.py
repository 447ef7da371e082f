"""What keeps a namespace that is being deleted: objects in it, and their finalizers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from codexctl_tasks.apply.deleting import what_blocks
from codexctl_tasks.errors import ClusterError
from codexctl_tasks.world.cluster import Resource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from codexctl_tasks.world.cluster import Cluster

NAMESPACE = Resource("v1", "Namespace", "namespaces", namespaced=False)
_REMAINING = re.compile(r"([\w.-]+) has \d+ resource instances")
"""Kubernetes names what is left by plural and group: ``configmaps.``, ``widgets.example.com``."""
_MOST_NAMED = 5


def what_holds(name: str, cluster: Cluster) -> str:
    """Return in words what keeps a namespace, as exactly as the cluster lets us know."""
    found = cluster.get(NAMESPACE, "", name)
    if found is None:
        return "nothing any more"
    held = list(_held_objects(found, cluster))
    if not held:
        return what_blocks(found)
    more = f" and {len(held) - _MOST_NAMED} more" if len(held) > _MOST_NAMED else ""
    return ", ".join(held[:_MOST_NAMED]) + more


def _held_objects(namespace: Mapping[str, Any], cluster: Cluster) -> Iterator[str]:
    """Yield the objects in it that their finalizers hold."""
    kinds = {f"{r.plural}.{_group(r)}": r for r in cluster.resources().values() if r.namespaced}
    for plural in _remaining(namespace):
        resource = kinds.get(plural)
        if resource is None:
            continue
        try:
            objects, _ = cluster.list_objects(resource, str(namespace["metadata"]["name"]))
        except ClusterError:
            continue  # what Kubernetes itself says is told instead
        for each in objects:
            if finalizers := each["metadata"].get("finalizers"):
                held = f"finalizer {', '.join(map(str, finalizers))}"
                yield f"{resource.kind} {each['metadata']['name']} is held by {held}"


def _remaining(namespace: Mapping[str, Any]) -> list[str]:
    conditions = (namespace.get("status") or {}).get("conditions") or ()
    said = [
        str(c.get("message")) for c in conditions if c.get("type") == "NamespaceContentRemaining"
    ]
    return [plural for text in said for plural in _REMAINING.findall(text)]


def _group(resource: Resource) -> str:
    return resource.api_version.rpartition("/")[0]
