"""What clusters use of the stack's repositories, wherever it stands and however it is spelt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import ClusterError
from codexctl_tasks.images.usage import WORKLOADS, Search, Usage, read_usage
from codexctl_tasks.references import parse_reference
from codexctl_tasks.world.cluster import Resource
from tests.support.fake_registry import WorkloadCluster, pod_spec

if TYPE_CHECKING:
    from collections.abc import Mapping

API = parse_reference("localhost:5001/shop/api")
REDIS = parse_reference("redis")
D1, D2 = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
ROLLOUTS = Resource("argoproj.io/v1alpha1", "Rollout", "rollouts", namespaced=True)


def _tags(*texts: Any) -> set[str]:
    """Return which tags of API and REDIS an object with these texts uses."""
    usage = Usage()
    found: Mapping[str, Any] = {"spec": list(texts)}
    Search([API, REDIS]).look_through(found, "it", usage)
    return {f"{repository}:{tag}" for repository, tag in usage.tags}


def _usage(cluster: WorkloadCluster, *ignored: str) -> Usage:
    return read_usage(cluster, [API, REDIS], ignored)


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("localhost:5001/shop/api:1.0", {"shop/api:1.0"}),
        ("registry.example.com/shop/api:1.0", {"shop/api:1.0"}),
        ("[fd00::1]:5000/shop/api:1.0", {"shop/api:1.0"}),
        (f"localhost:5001/shop/api:1.0@{D1}", {"shop/api:1.0"}),
        (f"docker-pullable://localhost:5001/shop/api@{D1}", set()),
        ("localhost:5001/shop/api-gateway:1.0", set()),
        ("localhost:5001/shop/api.old:1.0", set()),
        ("localhost:5001/shop/api/inner:1.0", set()),
        ("localhost:5001/workshop/api:1.0", set()),
        ("start localhost:5001/shop/api:1.0, then wait", {"shop/api:1.0"}),
        ("It runs shop/api:1.0.", {"shop/api:1.0.", "shop/api:1.0"}),
        ("redis:7", {"library/redis:7"}),
        ("library/redis:7", {"library/redis:7"}),
        ("docker.io/library/redis:7", {"library/redis:7"}),
        ("index.docker.io/redis:7", {"library/redis:7"}),
        ("redis", {"library/redis:latest"}),
    ],
)
def test_every_spelling(text: str, tags: set[str]) -> None:
    """Hosts may be called otherwise in the cluster, short names are those of Docker Hub."""
    assert _tags(text) == tags


def test_a_tag_that_stands_beside_the_name() -> None:
    """Charts and custom resources write them apart: each word of the object may be the tag."""
    beside = {"image": {"repository": "localhost:5001/shop/api", "tag": "1.0"}, "port": 80}
    assert _tags(beside) >= {"shop/api:1.0", "shop/api:latest", "shop/api:80"}
    assert "shop/api:2.0" in _tags("image:\n  repository: localhost:5001/shop/api\n  tag: 2.0\n")


@pytest.mark.parametrize("kind", [kind for _, kind in WORKLOADS])
def test_every_kind_of_workload(kind: str) -> None:
    """Also what runs no pod now: a ReplicaSet with no replicas is what a rollback needs."""
    cluster = WorkloadCluster()
    cluster.add(kind, "web", spec={"template": {"spec": pod_spec("localhost:5001/shop/api:1.0")}})

    assert _usage(cluster).tags == {("shop/api", "1.0"): f"{kind} shop/web of main"}


def test_every_place_in_a_pod() -> None:
    """Init and ephemeral containers, variables, and what the node says that it runs."""
    cluster = WorkloadCluster()
    spec = pod_spec(
        "localhost:5001/shop/api:1",
        initContainers=[{"name": "i", "image": "localhost:5001/shop/api:2"}],
        ephemeralContainers=[{"name": "e", "image": "localhost:5001/shop/api:3"}],
    )
    spec["containers"][0]["env"] = [{"name": "JOB_IMAGE", "value": "localhost:5001/shop/api:4"}]
    status = {"containerStatuses": [{"imageID": f"docker.io/other/name@{D1}"}, {"imageID": D2}]}
    cluster.add("Pod", "web-1", spec=spec, status=status)

    usage = _usage(cluster)

    assert {tag for _, tag in usage.tags} == {"1", "2", "3", "4"}
    assert usage.digests == dict.fromkeys((D1, D2), "Pod shop/web-1 of main")
    assert usage.beside == {"shop/api": {D1}}  # the other is a configuration, not to be asked for


def test_settings_and_custom_resources() -> None:
    """Whoever starts pods later finds their image there; a kind can be left out."""
    cluster = WorkloadCluster()
    cluster.custom = [ROLLOUTS, Resource("argoproj.io/v1", "Rollout", "rollouts", namespaced=True)]
    cluster.add("ConfigMap", "jobs", data={"jobs.yaml": "a: {image: 'localhost:5001/shop/api:1'}"})
    cluster.add("Rollout", "web", spec={"template": {"spec": pod_spec("x/shop/api:2")}})

    assert {tag for _, tag in _usage(cluster).tags} == {"1", "2"}
    assert cluster.calls.count("list Rollout") == 1  # in one version
    assert {tag for _, tag in _usage(cluster, "rollouts.argoproj.io").tags} == {"1"}
    assert "list Secret" not in cluster.calls


@pytest.mark.parametrize("kind", ["Pod", "ReplicaSet", "CronJob"])
def test_workloads_that_may_not_be_read(kind: str) -> None:
    """Nobody knows what they use; leaving them out is no choice."""
    cluster = WorkloadCluster()
    cluster.forbidden_kinds = {kind}

    with pytest.raises(ClusterError) as caught:
        _usage(cluster, f"{kind.lower()}s", f"{kind.lower()}s.apps", f"{kind.lower()}s.batch")

    assert "may not be listed" in str(caught.value)
    assert "in all namespaces" in caught.value.fix
    assert "--ignore-kinds" not in caught.value.fix


def test_custom_resources_that_may_not_be_read() -> None:
    """They count, unless the user says that they hold no images."""
    cluster = WorkloadCluster()
    cluster.custom, cluster.forbidden_kinds = [ROLLOUTS], {"Rollout"}

    with pytest.raises(ClusterError) as caught:
        _usage(cluster)
    assert caught.value.fix.endswith("--ignore-kinds rollouts.argoproj.io")
    assert _usage(cluster, "rollouts.argoproj.io").tags == {}


def test_kinds_that_the_cluster_does_not_tell_of() -> None:
    """A server that does not list Deployments hides what they use."""
    cluster = WorkloadCluster()
    known = dict(cluster.resources())
    del known["apps/v1", "Deployment"]
    cluster.resources = lambda **_: known  # type: ignore[method-assign]

    with pytest.raises(ClusterError, match="does not tell of Deployment"):
        _usage(cluster)


def test_several_clusters() -> None:
    """What any of them uses is used."""
    first, second = WorkloadCluster("a"), WorkloadCluster("b")
    first.add("Pod", "x", spec=pod_spec("localhost:5001/shop/api:1", f"shop/api@{D1}"))
    second.add("Pod", "y", spec=pod_spec("localhost:5001/shop/api:2", f"shop/api@{D2}"))
    usage = _usage(first)
    usage.add(_usage(second))

    assert usage.tags[("shop/api", "2")] == "Pod shop/y of b"
    assert usage.digests.keys() == {D1, D2} == usage.beside["shop/api"]
    assert usage.objects == 2
