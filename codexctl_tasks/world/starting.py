"""A pod that we have made: wait until it is up, or say why it never will be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import ClusterError, DeadlineError
from codexctl_tasks.world.cluster import Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.cluster import Cluster

POD = Resource("v1", "Pod", "pods", namespaced=True)
ENDED = ("Failed", "Succeeded")
"""Phases of a pod that does nothing more."""
_START_S = 120.0
"""Its image may have to be pulled."""
_LOOK_S = 0.2
_HOPELESS = ("ErrImageNeverPull", "ImagePullBackOff", "InvalidImageName", "CreateContainerError")


def wait_until_up(
    namespace: str,
    name: str,
    cluster: Cluster,
    clock: Clock,
    *,
    is_up: Callable[[Mapping[str, Any]], bool],
    fix: str,
) -> bool:
    """
    Wait until a pod is up.

    Args:
        namespace: Its.
        name: Its.
        cluster: It runs there.
        clock: For the pauses.
        is_up: Told its status.
        fix: What to do when its image is not what it should be.

    Returns:
        False: it has ended instead, or is gone.

    Raises:
        ClusterError: Its image cannot be had: it was tried twice.
        DeadlineError: It does not start in two minutes, or the cluster's deadline is over.
    """
    ends_s = min(clock.now() + _START_S, cluster.deadline_s)
    where = f"Pod {namespace}/{name}"
    while True:
        pod = cluster.get(POD, namespace, name)
        status = (pod or {}).get("status") or {}
        if pod is None or status.get("phase") in ENDED:
            return False
        if is_up(status):
            return True
        reason, why = _why_waiting(status)
        if reason in _HOPELESS:
            raise ClusterError(where, f"does not start: {reason}: {why}", fix)
        if clock.now() > ends_s:
            told = ": ".join(filter(None, (reason, why)))
            raise DeadlineError(where, f"does not start: {told}", "mend that and run again")
        clock.sleep(_LOOK_S)


def is_running(status: Mapping[str, Any]) -> bool:
    """Tell whether all containers of a pod run."""
    return status.get("phase") == "Running"


def is_ready(status: Mapping[str, Any]) -> bool:
    """Tell whether a pod says itself that it is ready."""
    return any(
        each["type"] == "Ready" and each["status"] == "True"
        for each in status.get("conditions") or ()
    )


def _why_waiting(status: Mapping[str, Any]) -> tuple[str, str]:
    """Return reason and message of a pod that is not up."""
    for each in status.get("containerStatuses") or ():
        if waiting := (each.get("state") or {}).get("waiting"):
            return waiting.get("reason", ""), waiting.get("message", "")
    for each in status.get("conditions") or ():
        if each.get("status") == "False" and each.get("message"):
            return "", str(each["message"])
    return "", "no reason is given"
