"""What `world` expects of the API server is what the real one does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import ClusterError, TransientClusterError
from codexctl_tasks.requests.basis import ClusterSettings
from codexctl_tasks.world.clock import SystemClock
from codexctl_tasks.world.cluster import Resource
from codexctl_tasks.world.kubernetes import connect
from tests.support.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from codexctl_tasks.world.kubernetes import KubernetesCluster
    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster

CONFIG = Resource("v1", "ConfigMap", "configmaps", namespaced=True)
QUOTA = Resource("v1", "ResourceQuota", "resourcequotas", namespaced=True)
ENDPOINTS = Resource("v1", "Endpoints", "endpoints", namespaced=True)
NAMESPACE = Resource("v1", "Namespace", "namespaces", namespaced=False)


@pytest.fixture
def faults(playground: Playground) -> Iterator[Faults]:
    """Count requests to the real API server."""
    with Faults(playground.environment["KUBECONFIG"]) as running:
        yield running


@pytest.fixture
def cluster(faults: Faults, playground: Playground, tmp_path: Path) -> KubernetesCluster:
    """Return the cluster, with the namespace of the playground."""
    file = faults.kubeconfig(tmp_path / "faults.conf")
    connected = connect(
        ClusterSettings(kubeconfig=str(file), context=""), SystemClock(), lambda _: None
    )
    connected.apply(NAMESPACE, "", _body(NAMESPACE, playground.namespace))
    faults.requests.clear()
    return connected


def _body(resource: Resource, name: str, **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": name},
        **more,
    }


def test_apply_answers_with_metadata_a_dry_run_with_the_object(
    cluster: KubernetesCluster, playground: Playground
) -> None:
    """Large objects are not sent back for nothing; what a dry run would make can be shown."""
    body = _body(CONFIG, "a", data={"key": "value"})

    rehearsed = cluster.apply(CONFIG, playground.namespace, body, dry_run=True).object
    assert rehearsed["data"] == {"key": "value"}
    assert cluster.get(CONFIG, playground.namespace, "a") is None

    applied = cluster.apply(CONFIG, playground.namespace, body).object
    assert "data" not in applied
    [entry] = applied["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("codexctl", "Apply")


def test_deprecations_arrive(cluster: KubernetesCluster, playground: Playground) -> None:
    """What the real server warns of is understood."""
    answer = cluster.apply(ENDPOINTS, playground.namespace, _body(ENDPOINTS, "a"))

    assert any("deprecated" in warning for warning in answer.warnings), answer.warnings


@pytest.mark.parametrize("resource", [CONFIG, QUOTA], ids=lambda resource: resource.kind)
def test_only_the_very_object_is_deleted(
    cluster: KubernetesCluster, playground: Playground, faults: Faults, resource: Resource
) -> None:
    """One that was replaced or changed meanwhile stays, which is told at once."""
    space = playground.namespace
    metadata = cluster.apply(resource, space, _body(resource, "a")).object["metadata"]
    uid, version = metadata["uid"], metadata["resourceVersion"]

    other_uid = "00000000-0000-0000-0000-000000000000"
    assert cluster.delete(resource, space, "a", other_uid) is False
    assert cluster.delete(resource, space, "a", uid, version="1") is False
    assert cluster.delete(resource, space, "a", uid, version=version) is True
    while cluster.get(resource, space, "a"):  # until what it owns is gone, too
        time.sleep(0.05)
    assert cluster.delete(resource, space, "a", uid) is False
    assert faults.count("DELETE") == 4


def test_an_outdated_version_is_refused_at_once(
    cluster: KubernetesCluster, playground: Playground, faults: Faults
) -> None:
    """Replacing, patching and applying what somebody else has changed: one request each."""
    space = playground.namespace
    old = cluster.create(CONFIG, space, _body(CONFIG, "a"))
    new = cluster.replace(CONFIG, space, {**old, "data": {"a": "1"}})
    version = old["metadata"]["resourceVersion"]
    guarded = {"op": "replace", "path": "/metadata/resourceVersion", "value": version}
    outdated = _body(CONFIG, "a")
    outdated["metadata"]["resourceVersion"] = version
    faults.requests.clear()

    for refused in (
        lambda: cluster.replace(CONFIG, space, old),
        lambda: cluster.patch(CONFIG, space, "a", [guarded]),
        lambda: cluster.apply(CONFIG, space, outdated),
    ):
        with pytest.raises(ClusterError, match="has been modified") as caught:
            refused()
        assert not isinstance(caught.value, TransientClusterError)
    assert len(faults.requests) == 3
    assert new["data"] == {"a": "1"}
    guarded["value"] = new["metadata"]["resourceVersion"]
    added = {"op": "add", "path": "/data/b", "value": "2"}
    assert cluster.patch(CONFIG, space, "a", [guarded, added])["data"] == {"a": "1", "b": "2"}
