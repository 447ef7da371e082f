"""Deletion until it is really gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import ClusterError
from codexctl_tasks.rollout.apply import apply_stage
from codexctl_tasks.rollout.delete import delete_all
from codexctl_tasks.rollout.stages import in_deletion_order
from tests.support.fakes import FakeCluster
from tests.support.objects import placed, yaml_of

if TYPE_CHECKING:
    from codexctl_tasks.rollout.placement import Placed
    from tests.support.fakes import FakeClock

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

    def delete(self, resource: Any, namespace: str, name: str, uid: str) -> bool:
        self.calls.append(f"delete {resource.kind} {name}")
        if self.made_anew:
            found = self.objects[resource.kind, namespace, name]
            found["metadata"] = {**found["metadata"], "uid": f"{uid}-anew"}
        else:
            self.leaving[name] = self.looks
        return True


def _deployed(cluster: FakeCluster) -> list[Placed]:
    objects = placed(TEXT)
    apply_stage(objects, cluster, force=False, tell=lambda _: None)
    cluster.calls.clear()
    return objects


def _delete(
    objects: list[Placed], cluster: FakeCluster, clock: FakeClock, timeout_s: float = 60
) -> tuple[list[str], list[str]]:
    told: list[str] = []
    left = delete_all(
        in_deletion_order(objects),
        cluster,
        clock,
        timeout_s=timeout_s,
        tell=lambda p: told.append(p.name.short),
    )
    return told, sorted(p.name.short for p in left)


def test_last_applied_is_deleted_first(clock: FakeClock) -> None:
    """Workloads go before the Secrets they use; each deletion is told."""
    cluster = FakeCluster()
    objects = _deployed(cluster)

    told, left = _delete(objects, cluster, clock)

    assert sorted(told[:2]) == ["Deployment api", "Deployment web"]
    assert (told[2:], left, cluster.objects) == (["Secret db"], [], {})


def test_deleting_twice_is_fine(clock: FakeClock) -> None:
    """A repeated destroy succeeds and tells nothing."""
    cluster = FakeCluster()
    objects = _deployed(cluster)
    _delete(objects, cluster, clock)
    cluster.calls.clear()

    assert _delete(objects, cluster, clock) == ([], [])
    assert not [call for call in cluster.calls if call.startswith("delete")]
    assert clock.sleeps == []


def test_a_stage_begins_when_the_one_before_is_gone(clock: FakeClock) -> None:
    """A Secret is not taken away from pods that are still stopping."""
    cluster = _SlowCluster(looks=2)

    told, left = _delete(_deployed(cluster), cluster, clock)

    assert (len(told), left) == (3, [])
    last_web = max(n for n, call in enumerate(cluster.calls) if "Deployment" in call)
    assert cluster.calls.index("delete Secret db") > last_web
    assert clock.sleeps


def test_what_finalizers_hold_is_named(clock: FakeClock) -> None:
    """The time runs out: what still exists is returned, what comes later is left alone."""
    cluster = _SlowCluster(looks=10_000)

    told, left = _delete(_deployed(cluster), cluster, clock, timeout_s=30)

    assert (told, left) == ([], ["Deployment api", "Deployment web"])
    assert "delete Secret db" not in cluster.calls
    assert 30 <= clock.time < 32


def test_an_object_made_anew_by_its_operator_counts_as_deleted(clock: FakeClock) -> None:
    """Another object of the same name is nobody's leftover."""
    cluster = _SlowCluster(0, made_anew=True)

    told, left = _delete(_deployed(cluster), cluster, clock)

    assert (len(told), left) == (3, [])


def test_a_refusal_names_the_object_and_its_line(clock: FakeClock) -> None:
    """Missing permission to delete is told like one to apply."""

    class _Refusing(FakeCluster):
        def delete(self, *_: Any) -> bool:
            raise ClusterError("DELETE", "forbidden", status=403)

    cluster = _Refusing()

    with pytest.raises(ClusterError, match=r"^f\.yaml:\d+: Deployment shop/\w+: forbidden"):
        _delete(_deployed(cluster), cluster, clock)
