"""Deletion of what apply created, in reverse order, until it is really gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from codexctl_tasks.errors import ClusterError
from codexctl_tasks.world.kubernetes import CONNECTIONS
from codexctl_tasks.world.parallel import in_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from codexctl_tasks.rollout.placement import Placed
    from codexctl_tasks.rollout.stages import Stage
    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.cluster import Cluster

_LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class _Deleted:
    """An object on its way out."""

    placed: Placed
    uid: str


def delete_all(
    stages: Sequence[Stage],
    cluster: Cluster,
    clock: Clock,
    *,
    timeout_s: float,
    tell: Callable[[Placed], None],
) -> list[Placed]:
    """
    Delete objects stage by stage; missing ones are fine.

    Args:
        stages: In the order of deletion; a stage begins when the one before is gone.
        cluster: Where.
        clock: Measures *timeout_s*.
        timeout_s: For all of it, in seconds.
        tell: Called for each object once it is gone.

    Returns:
        What still exists because the time ran out: finalizers hold it.
    """
    deadline_s = clock.now() + timeout_s
    for stage in stages:
        deleted = list(in_parallel(_deleter(cluster), stage, limit=CONNECTIONS))
        waiting = [_Deleted(placed, uid) for placed, uid in deleted if uid]
        while waiting:
            looked = list(in_parallel(_looker(cluster), waiting, limit=CONNECTIONS))
            for gone in (d for d, is_there in looked if not is_there):
                tell(gone.placed)
            waiting = [d for d, is_there in looked if is_there]
            if waiting and clock.now() >= deadline_s:
                return [d.placed for d in waiting]
            if waiting:
                clock.sleep(_LOOK_S)
    return []


def _deleter(cluster: Cluster) -> Callable[[Placed], str]:
    def delete(placed: Placed) -> str:
        try:
            return _delete(placed, cluster)
        except ClusterError as error:
            raise type(error)(
                placed.manifest.location,
                f"{placed.name}: {error.what}",
                error.fix,
                status=error.status,
            ) from error

    return delete


def _delete(placed: Placed, cluster: Cluster) -> str:
    """Return the UID of what is being deleted now, empty if there was nothing."""
    found = cluster.get(placed.resource, placed.name.namespace, placed.name.name)
    if found is None:
        return ""
    uid = str(found["metadata"]["uid"])
    cluster.delete(placed.resource, placed.name.namespace, placed.name.name, uid)
    return uid


def _looker(cluster: Cluster) -> Callable[[_Deleted], bool]:
    def is_there(deleted: _Deleted) -> bool:
        name = deleted.placed.name
        found = cluster.get(deleted.placed.resource, name.namespace, name.name)
        # Another UID is another object: an operator made it anew.
        return found is not None and found["metadata"]["uid"] == deleted.uid

    return is_there
