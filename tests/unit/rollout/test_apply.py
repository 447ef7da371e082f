"""Server-side apply, stage by stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import ClusterError, CombinedError
from codexctl_tasks.rollout.apply import (
    ESTABLISH_TIMEOUT_S,
    Applied,
    Change,
    apply_stage,
    await_definitions,
)
from tests.support.fakes import FakeCluster
from tests.support.objects import placed, yaml_of

if TYPE_CHECKING:
    from tests.support.fakes import FakeClock

TWO = yaml_of("ConfigMap", "a", "data: {k: v}") + yaml_of("ConfigMap", "b")


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


def _apply(cluster: FakeCluster, text: str, *, force: bool = False) -> dict[str, Applied]:
    told: list[Applied] = []
    applied = apply_stage(placed(text), cluster, force=force, tell=told.append)
    assert sorted(a.name for a in told) == sorted(a.name for a in applied)
    return {a.name.name: a for a in applied}


def test_it_is_told_what_changed(cluster: FakeCluster) -> None:
    """Created, changed or unchanged: the log shows what this deploy really did."""
    assert {a.change for a in _apply(cluster, TWO).values()} == {Change.CREATED}

    again = _apply(cluster, TWO.replace("k: v", "k: w"))

    assert (again["a"].change, again["b"].change) == (Change.CHANGED, Change.UNCHANGED)


def test_one_list_per_kind_and_namespace(cluster: FakeCluster) -> None:
    """A hundred ConfigMaps cost one LIST, not a hundred GETs."""
    _apply(cluster, "".join(yaml_of("ConfigMap", f"c{n}") for n in range(100)))

    assert [call for call in cluster.calls if not call.startswith("apply")] == ["list ConfigMap"]
    assert len(cluster.calls) == 101


def test_without_permission_to_list_it_still_applies(cluster: FakeCluster) -> None:
    """An account that may only write can deploy; the log then cannot tell what is new."""
    cluster.forbidden_kinds.add("ConfigMap")

    assert {a.change for a in _apply(cluster, TWO).values()} == {Change.CHANGED}


def test_workloads_become_targets(cluster: FakeCluster) -> None:
    """What is waited for is the very object that this apply left: UID and generation."""
    text = yaml_of("Deployment", "web", "spec: {progressDeadlineSeconds: 30}")

    others = yaml_of("Service", "service") + yaml_of("Job", "job")
    targets = {name: a.target is not None for name, a in _apply(cluster, text + others).items()}

    assert targets == {"web": True, "service": False, "job": True}
    [applied] = _apply(cluster, text.replace("30", "40")).values()
    assert applied.target is not None
    assert (applied.target.generation, applied.target.progress_deadline_s) == (2, 40.0)
    assert applied.target.uid == cluster.objects["Deployment", "shop", "web"]["metadata"]["uid"]


@pytest.mark.parametrize("code", [403, 422])
def test_everything_in_a_stage_is_attempted_and_every_refusal_told(
    cluster: FakeCluster, code: int
) -> None:
    """One run shows all refusals with their lines, and applies the rest of the stage."""
    for name in ("a", "c"):
        cluster.refusals[name] = ClusterError("PATCH", "no", status=code)

    with pytest.raises(CombinedError) as caught:
        _apply(cluster, TWO + yaml_of("ConfigMap", "c"))

    assert [str(p).split(": ")[:2] for p in caught.value.problems] == [
        ["f.yaml:1", "ConfigMap shop/a"],
        ["f.yaml:12", "ConfigMap shop/c"],
    ]
    assert caught.value.exit_code == 4
    assert list(cluster.objects) == [("ConfigMap", "shop", "b")]


def test_force_is_passed_on_only_when_asked(cluster: FakeCluster) -> None:
    """Fields of other managers are taken over on request only."""
    _apply(cluster, yaml_of("Secret", "a"))
    _apply(cluster, yaml_of("Secret", "b"), force=True)

    assert [c for c in cluster.calls if c.startswith("apply")] == [
        "apply Secret a",
        "apply Secret b force",
    ]


def _definition(cluster: FakeCluster) -> list[Applied]:
    text = yaml_of("CustomResourceDefinition", "things.g.io")
    return apply_stage(placed(text), cluster, force=False, tell=lambda _: None)


def test_definitions_are_awaited(cluster: FakeCluster, clock: FakeClock) -> None:
    """Objects of a new kind are applied only once the server knows the kind."""
    applied = _definition(cluster)
    looks = iter([{}, {"conditions": [{"type": "Established", "status": "False"}]}])
    established = {"conditions": [{"type": "Established", "status": "True"}]}

    class _Establishing(FakeCluster):
        def get(self, *_: Any) -> dict[str, Any]:
            return {"status": next(looks, established)}

    await_definitions(applied, _Establishing(), clock)

    assert len(clock.sleeps) == 2


def test_a_definition_that_is_never_served_ends_the_wait(
    cluster: FakeCluster, clock: FakeClock
) -> None:
    """Its name and line are told after half a minute; other kinds are not waited for."""
    await_definitions(list(_apply(cluster, TWO).values()), cluster, clock)
    assert clock.sleeps == []

    with pytest.raises(
        ClusterError, match=r"^f\.yaml:1: CustomResourceDefinition .* is not served"
    ):
        await_definitions(_definition(cluster), FakeCluster(), clock)
    assert ESTABLISH_TIMEOUT_S <= clock.time < ESTABLISH_TIMEOUT_S + 1
