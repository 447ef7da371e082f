"""The namespace of a slot in a run: whose it is, and how it comes to say so."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from codexctl_tasks.apply.inventory import stack_label
from codexctl_tasks.errors import ClusterError
from codexctl_tasks.slots.ownership import RECORDS_LABEL, Ownership, ownership_of
from codexctl_tasks.world.cluster import Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Self

    from codexctl_tasks.stack.manifests import Manifest
    from codexctl_tasks.world.cluster import Cluster

NAMESPACE = Resource("v1", "Namespace", "namespaces", namespaced=False)


class Tenancy:
    """The right of a slot to its namespace; a run without a slot has none to claim."""

    def __init__(self, namespace: str, ownership: Ownership) -> None:
        self.namespace, self.ownership = namespace, ownership

    @classmethod
    def of(cls, *, slot: int, repository: str, stack: str, namespace: str) -> Self | None:
        """Return that of a run; None: it is for no slot, or remembers nothing."""
        if not (slot and stack and namespace):
            return None
        label = stack_label(stack, namespace)
        return cls(namespace, Ownership.of(slot=slot, repository=repository, stack=label))

    def labelled(self, manifests: Iterable[Manifest]) -> tuple[Manifest, ...]:
        """Return the manifests; that of the slot's namespace carries its labels."""
        return tuple(self._labelled(manifest) for manifest in manifests)

    def _labelled(self, manifest: Manifest) -> Manifest:
        if (manifest.name.kind, manifest.name.name) != ("Namespace", self.namespace):
            return manifest
        metadata = manifest.body["metadata"]
        given = metadata.get("labels") or {}
        if not isinstance(given, dict):
            return manifest  # left to the server, which says best what is wrong with it
        labels = {**given, **self.ownership.labels}
        return replace(manifest, body={**manifest.body, "metadata": {**metadata, "labels": labels}})

    def check(self, cluster: Cluster) -> None:
        """
        Return if the namespace is not somebody else's.

        Raises:
            ClusterError: Its labels name another slot or repository.
        """
        found = self.look(cluster)
        owner = ownership_of(found) if found else None
        if owner is None or not owner.contradicts(self.ownership):
            return
        raise ClusterError(
            f"Namespace {self.namespace}",
            f"belongs to {owner}, not to {self.ownership}",
            "take another slot, or give this environment a namespace pattern of its own",
        )

    def claim(self, cluster: Cluster, warn: Callable[[str], None]) -> None:
        """
        Give the namespace its labels if it is from before there were any, or lacks the repository.

        The caller has seen that this stack was applied in it.
        """
        found = self.look(cluster)
        owner = ownership_of(found) if found else None
        if found is None or (owner and (owner.repo or not self.ownership.repo)):
            return
        try:
            cluster.patch(NAMESPACE, "", self.namespace, _additions(found, self.ownership.labels))
        except ClusterError as error:
            if error.status != HTTPStatus.FORBIDDEN:
                raise
            warn(
                f"Namespace {self.namespace}: this account may not label it: "
                f"cleanup will not delete it"
            )

    def look(self, cluster: Cluster) -> Mapping[str, Any] | None:
        """Return the namespace; None: there is none, or this account may not see it."""
        try:
            return cluster.get(NAMESPACE, "", self.namespace)
        except ClusterError as error:
            if error.status == HTTPStatus.FORBIDDEN:
                return None
            raise


def mark_recorded(
    cluster: Cluster, namespace: str, records: str, warn: Callable[[str], None]
) -> None:
    """
    Let a slot's namespace say which records know it, so that gc finds it when its own is gone.

    Not as part of what is applied: a deploy by hand has no record, and would take it away again.
    The environment is no worse without it: what fails is told, and an account without the right to
    do it is not reminded each time.
    """
    try:
        found = cluster.get(NAMESPACE, "", namespace)
        if found is None or not ownership_of(found):
            return
        if found["metadata"]["labels"].get(RECORDS_LABEL) != records:
            cluster.patch(NAMESPACE, "", namespace, _additions(found, {RECORDS_LABEL: records}))
    except ClusterError as error:
        if error.status != HTTPStatus.FORBIDDEN:
            warn(f"{error}: without its record gc will not find namespace {namespace}")


def _additions(found: Mapping[str, Any], labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return labels for a namespace as JSON Patch; only for exactly this one."""
    metadata = found["metadata"]
    change: list[dict[str, Any]] = [
        {"op": "test", "path": "/metadata/uid", "value": metadata["uid"]}
    ]
    if not metadata.get("labels"):
        change.append({"op": "add", "path": "/metadata/labels", "value": {}})
    for name, value in labels.items():
        path = f"/metadata/labels/{name.replace('/', '~1')}"
        change.append({"op": "add", "path": path, "value": value})
    return change
