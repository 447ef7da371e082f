"""Which container of a slot its agent works in."""

from __future__ import annotations

from typing import Any

import pytest

from codexctl_tasks.errors import ClusterError
from codexctl_tasks.flows.agent.site import find_site, workspace
from tests.support.fakes import FakeCluster

VOLUME = workspace("shop-dev-1", "workspace", "shop")


def pod(name: str, *containers: str, phase: str = "Running", **mount: Any) -> dict[str, Any]:
    """Return a pod whose containers mount the workspace."""
    where = {"name": "w", "mountPath": "/data", **mount}
    running = {"running": {}}
    return {
        "metadata": {"name": name, "namespace": "shop-dev-1", "uid": f"uid-{name}", "labels": {}},
        "spec": {
            "volumes": [{"name": "w", "persistentVolumeClaim": {"claimName": "workspace"}}],
            "containers": [{"name": each, "volumeMounts": [where]} for each in containers],
        },
        "status": {
            "phase": phase,
            "containerStatuses": [
                {"name": each, "state": running, "containerID": f"id-{each}"} for each in containers
            ],
        },
    }


def cluster_with(*pods: dict[str, Any]) -> FakeCluster:
    """Return a cluster with these pods."""
    cluster = FakeCluster()
    for each in pods:
        cluster.objects["Pod", "shop-dev-1", each["metadata"]["name"]] = each
    return cluster


def test_the_container_called_codex_is_taken_first() -> None:
    """Others may see the workspace, too; what codexctl keeps is beside the sources."""
    site = find_site(cluster_with(pod("a", "editor"), pod("b", "side", "codex")), VOLUME, "")
    assert (site.pod, site.uid, site.container, site.container_id) == (
        *("b", "uid-b", "codex", "id-codex"),
    )
    assert (site.folder, site.runs) == ("/data/shop", "/data/.codexctl/runs")


def test_another_one_will_do_unless_one_is_named() -> None:
    """A stack with one container needs no name; a name that is wrong is told of."""
    cluster = cluster_with(pod("a", "editor"))
    assert find_site(cluster, VOLUME, "").container == "editor"
    with pytest.raises(ClusterError, match="has no container agent that runs and may write"):
        find_site(cluster, VOLUME, "agent")


@pytest.mark.parametrize(
    "unusable",
    [
        pod("a", "codex", phase="Pending"),
        pod("a", "codex", readOnly=True),
        pod("a", "codex", subPath="shop"),
    ],
    ids=["not running", "read-only", "a part"],
)
def test_only_what_runs_and_may_write_everywhere(unusable: dict[str, Any]) -> None:
    """What cannot keep the run's files is no place for an agent."""
    with pytest.raises(ClusterError, match="make the slot ready first"):
        find_site(cluster_with(unusable), VOLUME, "")


def test_a_pod_that_only_brings_sources_is_passed_by() -> None:
    """It is gone in a moment."""
    passing = pod("codexctl-sync-1", "codex")
    passing["metadata"]["labels"] = {"app.kubernetes.io/component": "source-sync"}
    with pytest.raises(ClusterError):
        find_site(cluster_with(passing), VOLUME, "")
