"""
Reach a workspace: in a container that mounts the whole volume, or a pod made for that.

The pod is made like the one of the stack that writes to the volume: its image is there, its user
may write, and what it writes belongs to that user.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import ClusterError
from codexctl_tasks.slots.sync.place import (
    COMPONENT,
    CONTAINER,
    MADE_BY,
    MOUNT,
    is_running,
    place_of,
    places_in,
    pod_body,
    volume_of,
)
from codexctl_tasks.world import starting
from codexctl_tasks.world.cluster import Resource
from codexctl_tasks.world.starting import ENDED, POD, wait_until_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from codexctl_tasks.slots.sync.place import Place, Volume
    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.cluster import Cluster

CLAIM = Resource("v1", "PersistentVolumeClaim", "persistentvolumeclaims", namespaced=True)


@contextmanager
def reach(volume: Volume, cluster: Cluster, clock: Clock) -> Iterator[Place]:
    """
    Give a container that sees the volume; one that is made for that is removed at the end.

    Raises:
        ClusterError: There is no such claim, or no pod may be made.
        ConfigurationError: No image is known for a pod.
        DeadlineError: The pod does not start.
    """
    pods, _ = cluster.list_objects(POD, volume.namespace)
    users = [pod for pod in pods if is_running(pod) and volume_of(pod["spec"], volume.claim)]
    found = None if volume.image else next(places_in(users, volume), None)
    if found:
        yield found
        return
    if cluster.get(CLAIM, volume.namespace, volume.claim) is None:
        where = f"PersistentVolumeClaim {volume.namespace}/{volume.claim}"
        fix = "apply what makes it first, or name another with --claim"
        raise ClusterError(where, "does not exist", fix)
    _remove_ended(pods, volume, cluster)
    body = pod_body(volume, node=users[0]["spec"].get("nodeName", "") if users else "")
    pod = cluster.create(POD, volume.namespace, body)["metadata"]
    try:
        _await(pod["name"], volume, cluster, clock)
        yield place_of(volume, pod["name"], CONTAINER, str(MOUNT))
    finally:
        _delete(pod, volume, cluster)


def _remove_ended(pods: Iterable[Mapping[str, Any]], volume: Volume, cluster: Cluster) -> None:
    """Remove pods of ours that nobody removed when their run was killed."""
    for pod in pods:
        labels = pod["metadata"].get("labels") or {}
        is_ours = (labels.get(MADE_BY), labels.get(COMPONENT)) == ("codexctl", "source-sync")
        if is_ours and (pod.get("status") or {}).get("phase") in ENDED:
            _delete(pod["metadata"], volume, cluster)


def _delete(pod: Mapping[str, Any], volume: Volume, cluster: Cluster) -> None:
    with suppress(ClusterError):  # it ends by itself
        cluster.delete(POD, volume.namespace, pod["name"], pod["uid"], propagation="Background")


def _await(name: str, volume: Volume, cluster: Cluster, clock: Clock) -> None:
    """Wait until a pod runs."""
    fix = "name an image that the nodes may pull: --image"
    where = (volume.namespace, name, cluster, clock)
    if not wait_until_up(*where, is_up=starting.is_running, fix=fix):
        what, fix = "ended before it was used", "see whether its image has a shell"
        raise ClusterError(f"Pod {volume.namespace}/{name}", what, fix)
