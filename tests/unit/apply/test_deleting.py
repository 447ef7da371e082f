"""Deletion until it is really gone."""

from __future__ import annotations

from typing import Any

import pytest

from codexctl_tasks.apply.deleting import Doomed, delete_all, what_blocks
from codexctl_tasks.apply.stages import in_deletion_order
from codexctl_tasks.errors import ClusterError, CombinedError, TransientClusterError
from tests.support.fakes import FakeClock, FakeCluster
from tests.support.objects import placed, yaml_of
from tests.support.plans import apply

TEXT = yaml_of("Secret", "db") + yaml_of("Deployment", "web") + yaml_of("Deployment", "api")


class _SlowCluster(FakeCluster):
    """Objects stay for some looks after they were deleted, like those with finalizers."""

    def __init__(self, looks: int, *, made_anew: bool = False) -> None:
        super().__init__()
        self.looks, self.made_anew = looks, made_anew
        self.leaving: dict[str, int] = {}

    def get(self, resource: Any, namespace: str, name: str) -> Any:
        found = super().get(resource, namespace, name)
        if found is not None and name in self.leaving:
            self.leaving[name] -= 1
            if self.leaving[name] < 0:
                del self.objects[resource.kind, namespace, name]
                return None
        return found

    def delete(self, resource: Any, namespace: str, name: str, uid: str, **_: Any) -> bool:
        self.calls.append(f"delete {resource.kind} {name}")
        if self.made_anew:
            found = self.objects[resource.kind, namespace, name]
            found["metadata"] = {**found["metadata"], "uid": f"{uid}-anew"}
        else:
            self.leaving[name] = self.looks
        return True


def _deployed(cluster: FakeCluster, clock: FakeClock) -> list[list[Doomed]]:
    """Apply the objects and return them in the order in which they go."""
    uids = {a.name: a.found["metadata"]["uid"] for a in apply(TEXT, cluster, clock)}
    cluster.calls.clear()
    return [
        [
            Doomed(name=p.name, resource=p.resource, uid=uids[p.name], where=p.manifest.location)
            for p in stage
        ]
        for stage in in_deletion_order(placed(TEXT))
    ]


def _delete(
    stages: list[list[Doomed]], cluster: FakeCluster, clock: FakeClock, timeout_s: float = 60
) -> tuple[list[str], list[str]]:
    told: list[str] = []
    left = delete_all(
        stages,
        cluster,
        clock,
        deadline_s=clock.now() + timeout_s,
        tell=lambda d: told.append(d.name.short),
    )
    return told, sorted(f"{each.doomed.name.short}: {each.blocker}" for each in left)


def test_last_applied_is_deleted_first(clock: FakeClock) -> None:
    """Workloads go before the Secrets they use; each deletion is told."""
    cluster = FakeCluster()

    told, left = _delete(_deployed(cluster, clock), cluster, clock)

    assert sorted(told[:2]) == ["Deployment api", "Deployment web"]
    assert (told[2:], left, cluster.objects) == (["Secret db"], [], {})


def test_what_went_meanwhile_is_fine(clock: FakeClock) -> None:
    """Somebody else deleted it at the same moment: the end is the same."""
    cluster = FakeCluster()
    stages = _deployed(cluster, clock)
    _delete(stages, cluster, clock)

    told, left = _delete(stages, cluster, clock)

    assert (len(told), left, clock.sleeps) == (3, [], [])


def test_only_the_object_that_was_looked_at_is_deleted(clock: FakeClock) -> None:
    """One of the same name that is newer belongs to somebody else, and stays."""
    cluster = FakeCluster()
    stages = _deployed(cluster, clock)
    web = cluster.objects["Deployment", "shop", "web"]
    web["metadata"] = {**web["metadata"], "uid": "newer"}

    _delete(stages, cluster, clock)

    assert list(cluster.objects) == [("Deployment", "shop", "web")]


def test_a_stage_begins_when_the_one_before_is_gone(clock: FakeClock) -> None:
    """A Secret is not taken away from pods that are still stopping."""
    cluster = _SlowCluster(looks=2)

    told, left = _delete(_deployed(cluster, clock), cluster, clock)

    assert (len(told), left) == (3, [])
    last_web = max(n for n, call in enumerate(cluster.calls) if "Deployment" in call)
    assert cluster.calls.index("delete Secret db") > last_web
    assert clock.sleeps


def test_what_holds_objects_is_named(clock: FakeClock) -> None:
    """The time runs out: what still exists is returned, what comes later is left alone."""
    cluster = FakeCluster()
    stages = _deployed(cluster, clock)
    web = cluster.objects["Deployment", "shop", "web"]
    web["metadata"]["finalizers"] = ["example.io/hold"]

    told, left = _delete(stages, cluster, clock, timeout_s=30)

    held = "finalizer example.io/hold not removed by its controller"
    assert (told, left) == (["Deployment api"], [f"Deployment web: {held}"])
    assert "delete Secret db" not in cluster.calls
    assert 30 <= clock.time < 32


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ({"metadata": {}}, "Kubernetes does not say why"),
        ({"metadata": {"finalizers": ["a"]}}, "finalizer a not removed by its controller"),
        ({"metadata": {"finalizers": ["a", "b"]}}, "finalizers a, b not removed by its controller"),
        (
            {"metadata": {"finalizers": ["foregroundDeletion"]}},
            "what it owns is still being deleted",
        ),
        (
            {"metadata": {"finalizers": ["foregroundDeletion", "a"]}},
            "what it owns is still being deleted; finalizer a not removed by its controller",
        ),
        (
            {
                "metadata": {},
                "status": {
                    "conditions": [
                        {"type": "NamespaceContentRemaining", "status": "True", "message": "1 pod"},
                        {"type": "NamespaceFinalizersRemaining", "status": "False"},
                        {"type": "DiscoveryFailure", "status": "True", "message": "no metrics"},
                        {"type": "Ready", "status": "True", "message": "not about this"},
                    ]
                },
            },
            "1 pod; no metrics",
        ),
    ],
)
def test_blockers_are_told_in_words(found: dict[str, Any], why: str) -> None:
    """Whoever reads it knows where to look."""
    assert what_blocks(found) == why


def test_an_object_made_anew_by_its_operator_counts_as_deleted(clock: FakeClock) -> None:
    """Another object of the same name is nobody's leftover."""
    cluster = _SlowCluster(0, made_anew=True)

    told, left = _delete(_deployed(cluster, clock), cluster, clock)

    assert (len(told), left) == (3, [])


class _Refusing(FakeCluster):
    """Lets nobody delete Deployments."""

    error = ClusterError("DELETE", "forbidden", status=403)

    def delete(self, resource: Any, *rest: Any, **more: Any) -> bool:
        if resource.kind == "Deployment":
            raise self.error
        return super().delete(resource, *rest, **more)


def test_every_refusal_names_its_object_and_line(clock: FakeClock) -> None:
    """Missing permission to delete is told like one to apply; later stages stay untouched."""
    cluster = _Refusing()

    with pytest.raises(CombinedError) as caught:
        _delete(_deployed(cluster, clock), cluster, clock)

    assert [str(p) for p in caught.value.problems] == [
        "f.yaml:11: Deployment shop/api: forbidden",
        "f.yaml:6: Deployment shop/web: forbidden",
    ]
    assert ("Secret", "shop", "db") in cluster.objects


def test_trouble_of_the_server_is_not_blamed_on_an_object(clock: FakeClock) -> None:
    """An unreachable cluster is told as such."""
    cluster = _Refusing()
    cluster.error = TransientClusterError("https://c", "cannot be reached")

    with pytest.raises(TransientClusterError):
        _delete(_deployed(cluster, clock), cluster, clock)
