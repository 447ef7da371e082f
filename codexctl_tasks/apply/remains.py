"""What keeps a namespace that is being deleted: objects in it, and their finalizers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from codexctl_tasks.apply.deleting import what_blocks
from codexctl_tasks.errors import ClusterError
from codexctl_tasks.world.cluster import CONNECTIONS, Resource
from codexctl_tasks.world.parallel import in_parallel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

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
    held = list(_held_objects(name, _kinds_left(found, cluster), cluster))
    if not held:
        return what_blocks(found)
    more = f" and {len(held) - _MOST_NAMED} more" if len(held) > _MOST_NAMED else ""
    return ", ".join(held[:_MOST_NAMED]) + more


def _held_objects(name: str, kinds: Sequence[Resource], cluster: Cluster) -> Iterator[str]:
    """Yield the objects of these kinds that their finalizers hold."""

    def look(resource: Resource) -> Sequence[Mapping[str, Any]]:
        try:
            return cluster.list_objects(resource, name, repeats=False)[0]
        except ClusterError:
            return ()  # not to be listed, or not by this account: others may tell enough

    for resource, objects in in_parallel(look, kinds, limit=CONNECTIONS):
        for metadata in (each["metadata"] for each in objects):
            if (finalizers := metadata.get("finalizers")) and metadata.get("deletionTimestamp"):
                held = f"finalizer {', '.join(map(str, finalizers))}"
                yield f"{resource.kind} {metadata['name']} is held by {held}"


def _kinds_left(namespace: Mapping[str, Any], cluster: Cluster) -> list[Resource]:
    """Return the kinds of which something is left; all of them as long as Kubernetes is silent."""
    kinds = {f"{r.plural}.{_group(r)}": r for r in cluster.resources().values() if r.namespaced}
    conditions = (namespace.get("status") or {}).get("conditions") or ()
    said = [
        str(each.get("message"))
        for each in conditions
        if each.get("type") == "NamespaceContentRemaining" and each.get("status") == "True"
    ]
    named = [plural for text in said for plural in _REMAINING.findall(text)]
    return [kinds[plural] for plural in named if plural in kinds] or list(kinds.values())


def _group(resource: Resource) -> str:
    return resource.api_version.rpartition("/")[0]
