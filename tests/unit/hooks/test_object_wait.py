"""`kubectl.wait`: objects as they should be, or what is wrong with them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from codexctl_tasks.errors import (
    ClusterError,
    CodexctlError,
    CombinedError,
    ConfigurationError,
    DeadlineError,
)
from codexctl_tasks.hooks.object_wait import wait_for_object
from codexctl_tasks.rollout.symptoms import GRACE_IMAGE_MISSING_S
from codexctl_tasks.world.cluster import Resource
from codexctl_tasks.world.watching import Refused
from tests.support.fakes import FakeCluster
from tests.support.hooks import HookBench
from tests.support.objects import condition, crashed, deployment, found, pod, replica_set, waiting

if TYPE_CHECKING:
    from codexctl_tasks.world.watching import Notice, Scope
    from tests.support.fakes import FakeClock

MISSING = waiting("ErrImagePull", "manifest unknown")
AVAILABLE = {"conditions": [condition("Available")]}
DONE_JOB = found("Job", "job", status={"conditions": [condition("Complete")]})


class _WithEvents(FakeCluster):
    """Knows events, and nothing else."""

    def resources(self, *, refresh: bool = False) -> dict[tuple[str, str], Resource]:
        del refresh
        return {("v1", "Event"): Resource("v1", "Event", "events", namespaced=True)}


class _Refusing:
    """The feed of a scope that may not be watched."""

    lost_s = 0.0

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def next(self, timeout_s: float) -> list[Notice]:
        del timeout_s
        return [Refused(self._scope, ClusterError("GET pods", "forbidden", status=403))]

    def widen(self) -> None:
        """There is nothing more."""

    def close(self) -> None:
        """There is nothing to close."""


def _put(cluster: FakeCluster, *objects: dict[str, Any]) -> None:
    for each in objects:
        cluster.objects[each["kind"], "shop", each["metadata"]["name"]] = each


def _remove(cluster: FakeCluster, kind: str, name: str) -> None:
    del cluster.objects[kind, "shop", name]


@pytest.fixture
def bench(clock: FakeClock) -> HookBench:
    """Give the hook, in the namespace `shop`."""
    return HookBench(wait_for_object, clock=clock, namespace="shop")


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "Deployment", "name": "web"},
        {"kind": "deploy/web"},
        {"kind": "deployments.apps", "name": "web"},
        {"kind": "deployment", "selector": "app in (web, api)"},
        {"kind": "deployment"},
        {"kind": "deployment/web", "condition": "Available"},
        {"kind": "deployment/web", "condition": "condition=available=true"},
        {"kind": "deployment/web", "jsonpath": "{.status.availableReplicas}=1"},
        {"kind": "deployment/web", "jsonpath": "jsonpath={.status.conditions}"},
        {"kind": "deployment/web", "namespace": "shop"},
    ],
)
def test_what_is_as_it_should_be(bench: HookBench, given: dict[str, Any]) -> None:
    """Done at once, however kind and condition are written, and said in one line."""
    _put(bench.cluster, deployment(1, status=AVAILABLE, labels={"app": "web"}))

    assert "hook     Deployment shop/web: " in bench.run(**given)
    assert bench.clock.time < 1
    assert bench.cluster.feeds[0].closed


def test_an_object_that_appears_later(bench: HookBench, clock: FakeClock) -> None:
    """It is told that there is none yet; then it is waited for until it is healthy."""
    clock.at(5, lambda: _put(bench.cluster, deployment()))
    clock.at(9, lambda: _put(bench.cluster, deployment(1)))

    said = bench.run(kind="deployment/web")

    assert "Deployment shop/web  waiting  does not exist yet" in said
    assert "Deployment shop/web: 1 of 1 pod ready" in said
    assert clock.time == pytest.approx(9, abs=0.5)


def test_a_broken_workload_fails_early(bench: HookBench, clock: FakeClock) -> None:
    """Exit code 1 with the cause, long before the time is over: nobody waits in vain."""
    bench.timeout_s = 600
    _put(bench.cluster, deployment(), replica_set(), pod("web-1-a", MISSING))

    with pytest.raises(CodexctlError) as caught:
        bench.run(kind="deployment/web", condition="Available")

    assert caught.value.exit_code == 1
    assert str(caught.value).startswith("Deployment shop/web: image not found: ")
    assert "Deployment shop/web  FAILED  image not found" in bench.said
    assert clock.time == pytest.approx(GRACE_IMAGE_MISSING_S, abs=2)


def test_the_log_of_a_crash_is_shown(bench: HookBench, clock: FakeClock) -> None:
    """The last lines of the container say why."""
    bench.timeout_s = 600
    bench.cluster.log_lines = ["panic: no database"]
    _put(bench.cluster, deployment(), replica_set(), pod("web-1-a", waiting("Starting")))
    clock.at(3, lambda: _put(bench.cluster, pod("web-1-a", crashed(5))))

    with pytest.raises(CodexctlError, match="crash loop"):
        bench.run(kind="deployment/web")

    assert "| panic: no database" in bench.said


def test_several_failures_are_told_together(bench: HookBench) -> None:
    """One run shows all of them."""
    bench.timeout_s = 600
    _put(bench.cluster, pod("a", MISSING), pod("b", MISSING))

    with pytest.raises(CombinedError) as caught:
        bench.run(kind="pods")

    assert [each.where for each in caught.value.problems] == ["Pod shop/a", "Pod shop/b"]
    assert caught.value.exit_code == 1


def test_the_time_is_over(bench: HookBench, clock: FakeClock) -> None:
    """Exit code 70 names what was waited for, for what, and how far it has come."""
    _put(bench.cluster, deployment())

    with pytest.raises(DeadlineError) as caught:
        bench.run(kind="deployment/web", condition="Available", timeout="20s")

    assert str(caught.value) == (
        "Deployment shop/web: not condition=Available after 20 s: Deployment shop/web "
        "condition=Available does not hold: give the step a longer timeout if it only needs more "
        "time"
    )
    assert clock.time == pytest.approx(20, abs=0.2)


def test_nothing_appears(bench: HookBench, clock: FakeClock) -> None:
    """A selector that matches nothing is waited for as long as the step may last."""
    _put(bench.cluster, deployment(1))

    with pytest.raises(DeadlineError, match=r"deployments with app=web in shop: .*none exists"):
        bench.run(kind="deployment", selector="app=web")

    assert clock.time == pytest.approx(60, abs=0.2)


def test_pods_that_are_replaced_meanwhile(bench: HookBench, clock: FakeClock) -> None:
    """A rolling update is no failure: those that are there at the end count."""
    ready = {"conditions": [condition("Ready")]}
    _put(bench.cluster, pod("old"), pod("leaving", deletionTimestamp="2026-01-02T03:04:05Z"))
    clock.at(2, lambda: _put(bench.cluster, pod("new", status=ready)))
    clock.at(4, lambda: _remove(bench.cluster, "Pod", "old"))

    said = bench.run(kind="pods", condition="Ready")

    assert "Pod shop/new: ready" in said
    assert clock.time == pytest.approx(4, abs=0.5)


def test_an_object_that_is_made_anew(bench: HookBench, clock: FakeClock) -> None:
    """Deleted, and created again: the new one counts."""
    _put(bench.cluster, deployment())
    clock.at(2, lambda: _remove(bench.cluster, "Deployment", "web"))
    clock.at(30, lambda: _put(bench.cluster, deployment(1, uid="another")))

    bench.run(kind="deployment/web")

    assert clock.time == pytest.approx(30, abs=0.5)


def test_a_change_meanwhile_counts(bench: HookBench, clock: FakeClock) -> None:
    """The status of the old generation says nothing about the new one."""
    newer = deployment(1, generation=2, status={"observedGeneration": 1})
    _put(bench.cluster, deployment(0))
    clock.at(2, lambda: _put(bench.cluster, newer))
    clock.at(8, lambda: _put(bench.cluster, deployment(1, generation=2)))

    bench.run(kind="deployment/web")

    assert clock.time == pytest.approx(8, abs=0.5)


@pytest.mark.parametrize("given", [{}, {"condition": "Complete"}])
def test_a_job_that_is_removed_once_it_is_complete(
    bench: HookBench, clock: FakeClock, given: dict[str, str]
) -> None:
    """`ttlSecondsAfterFinished: 0` does not make the wait endless."""
    slow = found("Job", "slow", spec={}, status={"active": 1})
    _put(bench.cluster, DONE_JOB, slow)
    clock.at(2, lambda: _remove(bench.cluster, "Job", "job"))
    clock.at(5, lambda: _put(bench.cluster, {**slow, "status": DONE_JOB["status"]}))

    assert "Job shop/job: complete, and removed since" in bench.run(kind="jobs", **given)
    assert clock.time == pytest.approx(5, abs=0.5)


def test_the_condition_of_a_failure(bench: HookBench) -> None:
    """Who waits for `Failed` is served by it, although it fails a rollout."""
    failed = found("Job", "job", status={"conditions": [condition("Failed")]})
    _put(bench.cluster, failed)

    assert "Job shop/job: ready" in bench.run(kind="job/job", condition="Failed")
    with pytest.raises(CodexctlError, match="job failed"):
        bench.run(kind="job/job")


def test_many_objects(bench: HookBench) -> None:
    """A namespace full of them is one line."""
    for number in range(8):
        _put(bench.cluster, pod(f"p{number}", status={"phase": "Succeeded"}))

    assert "hook     pods in shop: all 8 are ready" in bench.run(kind="pods")


def test_gone(bench: HookBench, clock: FakeClock) -> None:
    """The end of each is told; what takes its name is another object."""
    _put(bench.cluster, pod("a"), pod("b"))
    clock.at(3, lambda: _remove(bench.cluster, "Pod", "a"))
    clock.at(6, lambda: _put(bench.cluster, pod("b", uid="another")))

    said = bench.run(kind="pods", delete=True)

    assert [line for line in said.splitlines() if "gone" in line] == [
        "hook     Pod shop/a: gone",
        "hook     Pod shop/b: gone",
    ]
    assert "Pod shop/a  waiting  is not being deleted" in said
    assert clock.time == pytest.approx(6, abs=0.5)


def test_an_object_that_matches_no_longer_is_not_gone(bench: HookBench, clock: FakeClock) -> None:
    """Its labels do not tell whether it exists."""
    _put(bench.cluster, pod("a", labels={"app": "web"}))
    clock.at(2, lambda: _put(bench.cluster, pod("a", labels={"app": "old"})))
    clock.at(5, lambda: _remove(bench.cluster, "Pod", "a"))

    bench.run(kind="pods", selector="app=web", delete=True)

    assert clock.time == pytest.approx(5, abs=0.5)


def test_many_objects_that_are_not_ready(bench: HookBench) -> None:
    """The line names some of them."""
    _put(bench.cluster, *(pod(f"p{number}") for number in range(8)))
    for given in ({"delete": True}, {"condition": "Ready"}):
        with pytest.raises(DeadlineError, match=r"shop/p0 .*shop/p4 [^;]*; and 3 more"):
            bench.run(kind="pods", timeout="2s", **given)


def test_nothing_to_be_gone(bench: HookBench) -> None:
    """Done at once."""
    assert "Pod shop/a: nothing is there" in bench.run(kind="pod/a", delete="yes")
    assert bench.clock.time < 1


def test_what_is_not_gone_in_time(bench: HookBench) -> None:
    """Exit code 70 says what holds it, or that nobody has deleted it."""
    leaving = {"deletionTimestamp": "2026-01-02T03:04:05Z", "finalizers": ["example.com/keep"]}
    _put(bench.cluster, pod("a"), pod("b", **leaving))

    with pytest.raises(DeadlineError) as caught:
        bench.run(kind="pods", delete=True, timeout=10)

    assert str(caught.value).startswith(
        "pods in shop: still there: Pod shop/a is not being deleted; "
        "Pod shop/b is being deleted, held by example.com/keep: "
    )


def test_a_kind_that_nobody_knows(bench: HookBench) -> None:
    """Exit code 3 with the nearest name, at once."""
    with pytest.raises(ConfigurationError, match="did you mean 'statefulset'"):
        bench.run(kind="statfulset/db")
    with pytest.raises(ConfigurationError, match="events come and go"):
        HookBench(wait_for_object, cluster=_WithEvents()).run(kind="events")


@pytest.mark.parametrize("delete", [True, False])
def test_a_kind_that_may_not_be_watched(bench: HookBench, delete: bool) -> None:
    """Exit code 4, at once: waiting would not help."""
    assert bench.outside is not None
    bench.outside = replace(bench.outside, watch=lambda _, scopes, *__: _Refusing(scopes[0]))

    with pytest.raises(ClusterError, match="forbidden") as caught:
        bench.run(kind="persistentvolumeclaims", delete=delete)
    assert (caught.value.exit_code, bench.clock.time) == (4, 0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "kind"),
        ({"kind": "pods/"}, "is no kind"),
        ({"kind": "po ds"}, "is no kind"),
        ({"kind": "pod/a", "name": "b"}, "pod/a is not named b"),
        ({"kind": "pod/a", "selector": "app=web"}, "exclude each other"),
        ({"kind": "pods", "selector": "app=we b"}, "write app=web"),
        ({"kind": "pods", "condition": "Ready", "delete": True}, "exclude each other"),
        ({"kind": "pods", "condition": "Ready; rm"}, "write Available"),
        ({"kind": "pods", "jsonpath": "{.items[*]}"}, "write {.status.phase}=Running"),
        ({"kind": "pods", "timeout": "soon"}, "not a duration"),
        ({"kind": "pods", "for": "Ready"}, "for"),
    ],
)
def test_what_no_parameters_are(bench: HookBench, given: dict[str, Any], said: str) -> None:
    """A mistake is found before anything is applied."""
    with pytest.raises(ValidationError) as caught:
        bench.run(**given)
    assert said in str(caught.value)
