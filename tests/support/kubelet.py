"""What a kubelet would report, written by hand: on a control plane without a node no pod runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.deploys import patched, until

if TYPE_CHECKING:
    from tests.cluster.conftest import Playground

IMAGE = "registry.example/web:1"
REFUSED = "dial tcp 192.0.2.1:443: connect: connection refused"
"""Why an image cannot be pulled: it may pass."""
NOT_FOUND = f'failed to resolve reference "{IMAGE}": {IMAGE}: not found'
"""The same: it hardly passes."""
_SINCE = "2026-01-02T03:04:05Z"
_CONDITIONS = ("PodScheduled", "Initialized", "ContainersReady", "Ready")


def workload(name: str, replicas: int = 1, **container: Any) -> dict[str, Any]:
    """Return a Deployment whose pods do nothing by themselves."""
    probe = {"tcpSocket": {"port": 80}}
    containers = [{"name": "app", "image": IMAGE, "readinessProbe": probe, **container}]
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
    }


def pods_of(playground: Playground, name: str) -> list[str]:
    """Return the names of the pods of a workload once it has some."""
    found: list[str] = []

    def exist() -> bool:
        items = playground.kubectl("get", "pods", "--selector", f"app={name}")["items"]
        found[:] = [each["metadata"]["name"] for each in items]
        return bool(found)

    until(exist)
    return found


def make_ready(playground: Playground, name: str) -> None:
    """Report that the pods of a workload run and are ready, and wait until their owner knows."""
    state = {"running": {"startedAt": _SINCE}}
    for pod in pods_of(playground, name):
        _report(playground, pod, "Running", state, ready=True)
    until(lambda: playground.kubectl("get", "deployment", name)["status"].get("availableReplicas"))


def cannot_pull(playground: Playground, name: str, why: str = REFUSED) -> None:
    """Report that the image of a workload cannot be pulled."""
    message = f'failed to pull and unpack image "{IMAGE}": {why}'
    state = {"waiting": {"reason": "ErrImagePull", "message": message}}
    for pod in pods_of(playground, name):
        _report(playground, pod, "Pending", state, ready=False)


def _report(
    playground: Playground, pod: str, phase: str, state: dict[str, Any], *, ready: bool
) -> None:
    container = {
        "name": "app",
        "image": IMAGE,
        "imageID": "",
        "restartCount": 0,
        "ready": ready,
        "started": ready,
        "state": state,
    }
    is_true = [*_CONDITIONS] if ready else [*_CONDITIONS[:2]]
    conditions = [
        {"type": each, "status": str(each in is_true), "lastTransitionTime": _SINCE}
        for each in _CONDITIONS
    ]
    status = {"phase": phase, "conditions": conditions, "containerStatuses": [container]}
    patched(playground, "pod", pod, {"status": status}, "--subresource=status")
