"""What left the stack goes away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.apply.pruning import prune
from codexctl_tasks.errors import ClusterError, CombinedError
from tests.support.fakes import FakeClock, FakeCluster
from tests.support.objects import placed, yaml_of
from tests.support.plans import apply, plan_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codexctl_tasks.apply.plan import Leaving

KINDS = ("Secret", "Service", "Deployment", "ConfigMap", "HorizontalPodAutoscaler")
TEXT = "".join(yaml_of(kind, "old") for kind in KINDS)


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


def _leaving(cluster: FakeCluster, clock: FakeClock, text: str = TEXT) -> Sequence[Leaving]:
    """Deploy a stack and return what becomes of its objects when none is desired any more."""
    apply(text, cluster, clock, label="x")
    names = [each.name for each in placed(text)]
    leaving = plan_of("", cluster, label="x", applied_before=names).leaving
    cluster.calls.clear()
    return leaving


def _prune(leaving: Sequence[Leaving], cluster: FakeCluster, **more: Any) -> list[str]:
    told: list[str] = []
    settings = {"applied_uids": (), "tell": lambda each: told.append(each.name.short), **more}
    prune(leaving, cluster, **settings)
    return told


def test_the_last_to_be_applied_goes_first(cluster: FakeCluster, clock: FakeClock) -> None:
    """Nothing that is still running loses its configuration; nobody waits for pods to stop."""
    told = _prune(_leaving(cluster, clock), cluster)

    assert cluster.objects == {}
    assert [call.split()[1:3] for call in cluster.calls[:3]] == [
        ["HorizontalPodAutoscaler", "old"],
        ["Deployment", "old"],
        ["Service", "old"],
    ]
    assert {call.split()[-1] for call in cluster.calls} == {"Background"}
    assert sorted(told) == sorted(f"{kind} old" for kind in KINDS)


def test_what_has_a_reason_to_stay_stays(cluster: FakeCluster, clock: FakeClock) -> None:
    """A volume claim is not deleted without being asked for."""
    leaving = _leaving(cluster, clock, TEXT + yaml_of("PersistentVolumeClaim", "data"))

    told = _prune(leaving, cluster)

    assert list(cluster.objects) == [("PersistentVolumeClaim", "shop", "data")]
    assert len(told) == len(KINDS)


def test_what_this_run_applied_stays_under_whatever_name(
    cluster: FakeCluster, clock: FakeClock
) -> None:
    """One object may be known by two groups: moving a manifest must not delete it."""
    leaving = _leaving(cluster, clock)
    uid = cluster.objects["Service", "shop", "old"]["metadata"]["uid"]

    assert "Service old" not in _prune(leaving, cluster, applied_uids={uid})
    assert list(cluster.objects) == [("Service", "shop", "old")]


def test_an_object_that_was_made_anew_stays(cluster: FakeCluster, clock: FakeClock) -> None:
    """Exactly what was looked at is deleted: the one of today is somebody else's."""
    leaving = _leaving(cluster, clock)
    metadata = cluster.objects["Service", "shop", "old"]["metadata"]
    cluster.objects["Service", "shop", "old"]["metadata"] = {**metadata, "uid": "newer"}

    _prune(leaving, cluster)

    assert list(cluster.objects) == [("Service", "shop", "old")]


def test_a_refusal_does_not_keep_the_others(clock: FakeClock) -> None:
    """All that may go is gone, and every refusal is told."""

    class _Refusing(FakeCluster):
        def delete(self, resource: Any, *rest: Any, **more: Any) -> bool:
            if resource.kind in ("Service", "Secret"):
                raise ClusterError("DELETE", "forbidden", status=403)
            return super().delete(resource, *rest, **more)

    cluster = _Refusing()

    with pytest.raises(CombinedError) as caught:
        _prune(_leaving(cluster, clock), cluster)

    assert [str(p) for p in caught.value.problems] == [
        "Secret shop/old: forbidden",
        "Service shop/old: forbidden",
    ]
    assert sorted(kind for kind, _, _ in cluster.objects) == ["Secret", "Service"]


def test_who_lost_the_turn_deletes_nothing(cluster: FakeCluster, clock: FakeClock) -> None:
    """The run that has taken over may have just applied these very objects."""

    def check() -> None:
        raise ClusterError("Lease shop/codexctl-x", "taken over by somebody")

    with pytest.raises(ClusterError, match="taken over"):
        _prune(_leaving(cluster, clock), cluster, check=check)

    assert cluster.calls == []
