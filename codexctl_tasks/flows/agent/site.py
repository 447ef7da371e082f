"""The container of a slot in which its agent works."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from codexctl_tasks.agent.pod import Site, site_in
from codexctl_tasks.errors import ClusterError
from codexctl_tasks.slots.sync.place import COMPONENT, Volume, is_running, places_in, volume_of
from codexctl_tasks.slots.sync.scripts import STATE
from codexctl_tasks.world.starting import POD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codexctl_tasks.world.cluster import Cluster

USUAL_CONTAINER = "codex"


def find_site(cluster: Cluster, volume: Volume, container: str) -> Site:
    """
    Return where the agent works.

    Args:
        cluster: It leads there.
        volume: The workspace.
        container: Its name; empty: `USUAL_CONTAINER`, else the first one that will do.

    Raises:
        ClusterError: There is none that runs and may write to the whole workspace.
    """
    pods, _ = cluster.list_objects(POD, volume.namespace)
    users = {pod["metadata"]["name"]: pod for pod in pods if _is_usable(pod, volume)}
    found = list(places_in(users.values(), volume))
    named = [place for place in found if place.container == (container or USUAL_CONTAINER)]
    chosen = named if named or container else found
    if not chosen:
        which = f"container {container}" if container else "container"
        raise ClusterError(
            f"namespace {volume.namespace}",
            f"has no {which} that runs and may write to all of claim {volume.claim}",
            "make the slot ready first; see codex.agent.container in services.yaml",
        )
    place = chosen[0]
    return site_in(
        users[place.pod], place.container, folder=place.folder, state=str(place.volume / STATE)
    )


def _is_usable(pod: Mapping[str, Any], volume: Volume) -> bool:
    labels = pod["metadata"].get("labels") or {}
    is_passing = labels.get(COMPONENT) == "source-sync"
    return is_running(pod) and not is_passing and bool(volume_of(pod["spec"], volume.claim))


def workspace(namespace: str, claim: str, path: str) -> Volume:
    """Return where the sources of a slot are."""
    return Volume(namespace=namespace, claim=claim, path=PurePosixPath(path or "."))
