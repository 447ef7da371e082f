"""What the kubelet and the events say about pods as a whole."""

from __future__ import annotations

import math
from typing import Any

import pytest

from codexctl_tasks.rollout.examination import beside, find_symptoms
from codexctl_tasks.rollout.pods import (
    TELL_PROBE_AFTER_S,
    TELL_PULLING_AFTER_S,
    TELL_SANDBOX_AFTER_S,
    fails_liveness,
)
from codexctl_tasks.rollout.symptoms import GRACE_BLOCKED_S, Baseline, Symptom
from codexctl_tasks.rollout.view import View
from codexctl_tasks.world.cluster import Resource
from codexctl_tasks.world.watching import Listed, Scope
from tests.support.objects import (
    condition,
    crashed,
    deployment,
    event,
    found,
    pod,
    replica_set,
    running,
    scopes,
    show,
    target,
    view_of,
    waiting,
)

SCHEDULED = {"conditions": [condition("PodScheduled")]}
NOTHING = Baseline(restarts={})


def _symptoms(*objects: dict[str, Any]) -> list[Symptom]:
    web = deployment()
    return find_symptoms(target(), web, view_of(web, replica_set(), *objects), NOTHING)


@pytest.mark.parametrize(
    ("reason", "message", "headline", "tell_after_s"),
    [
        (
            "FailedCreatePodSandBox",
            'rpc error: no runtime for "gvisor" is configured',
            "pod cannot be set up on its node",
            TELL_SANDBOX_AFTER_S,
        ),
        ("Pulling", 'Pulling image "x"', "image is being pulled", TELL_PULLING_AFTER_S),
    ],
)
def test_what_may_pass_is_named_and_never_fatal(
    reason: str, message: str, headline: str, tell_after_s: float
) -> None:
    """A time-out then says what it waited for; nothing is failed for it."""
    creating = pod("a", waiting("ContainerCreating"), status=SCHEDULED)

    [symptom] = _symptoms(creating, event(creating, reason, message))

    assert symptom.headline == headline
    assert (symptom.grace_s, symptom.tell_after_s) == (math.inf, tell_after_s)


PROBES = {
    "HTTP": ({"httpGet": {"port": 8080, "path": "/up"}}, " GET :8080/up"),
    "TCP": ({"tcpSocket": {"port": "http"}}, " TCP :http"),
    "gRPC": ({"grpc": {"port": 9000}}, " gRPC :9000"),
    "exec": ({"exec": {"command": ["false"]}}, " exec"),
}


@pytest.mark.parametrize(("probe", "described"), PROBES.values(), ids=PROBES)
def test_a_probe_that_fails_is_described(probe: dict[str, Any], described: str) -> None:
    """What was asked, and what came back: a person can ask the same."""
    spec = {"containers": [{"name": "app", "readinessProbe": probe}]}
    silent = pod("a", running(), spec=spec)
    told = event(silent, "Unhealthy", "Readiness probe failed: HTTP probe failed: 500")
    told["involvedObject"]["fieldPath"] = "spec.containers{app}"

    [symptom] = _symptoms(silent, told)

    assert symptom.cause == (
        f"container app: readiness probe{described} failed: HTTP probe failed: 500 (Unhealthy)"
    )
    assert (symptom.grace_s, symptom.tell_after_s) == (math.inf, TELL_PROBE_AFTER_S)


def test_a_ready_pod_has_no_failing_probe() -> None:
    """The events stay for an hour; the pod has recovered long ago."""
    fine = pod("a", running(), status={"conditions": [condition("Ready")]})

    assert _symptoms(fine, event(fine, "Unhealthy", "Readiness probe failed: x")) == []


def test_a_liveness_probe_that_fails_is_told_at_once() -> None:
    """Kubernetes calls the pod ready, and is about to kill it."""
    ready = pod("a", running(), status={"conditions": [condition("Ready")]})
    time = {"lastTimestamp": "2026-01-02T03:05:00Z"}
    told = event(ready, "Unhealthy", "Liveness probe failed: HTTP 500", **time)

    [symptom] = _symptoms(ready, told)

    assert (symptom.headline, symptom.tell_after_s) == ("liveness probe fails", 0)


def test_a_pod_that_was_sent_away_is_named() -> None:
    """Its controller makes another one: no failure, but worth knowing."""
    gone = pod("a", status={"phase": "Failed", "reason": "Evicted", "message": "disk is full"})

    [symptom] = _symptoms(gone)

    assert (symptom.headline, symptom.grace_s) == ("pod was sent away from its node", math.inf)
    assert symptom.cause == "disk is full (Evicted)"


def test_a_liveness_probe_that_has_failed_since_the_start() -> None:
    """One of an earlier run of the container says nothing about this one."""
    alive = pod("a", running())
    what = "Liveness probe failed: x"
    early = event(alive, "Unhealthy", what, lastTimestamp="2026-01-02T03:04:04Z")
    late = event(alive, "Unhealthy", what, lastTimestamp="2026-01-02T03:04:06Z")

    assert not fails_liveness(alive, view_of(alive, early))
    assert fails_liveness(alive, view_of(alive, late))


@pytest.mark.parametrize(
    ("reason", "message", "added"),
    [
        (
            "Killing",
            "Container app failed liveness probe, will be restarted",
            "killed, as its liveness probe GET :8080/ fails",
        ),
        ("FailedPostStartHook", "PostStartHook failed", "its postStart hook fails: PostStartHook"),
    ],
)
def test_who_has_killed_a_container_is_told(reason: str, message: str, added: str) -> None:
    """Exit code 137 alone sends people to look for a lack of memory."""
    spec = {"containers": [{"name": "app", "livenessProbe": {"httpGet": {"port": 8080}}}]}
    killed = pod("a", crashed(4, 137), spec=spec)

    [symptom] = _symptoms(killed, event(killed, reason, message))
    [alone] = _symptoms(killed)

    assert added in symptom.cause
    assert alone.cause in symptom.cause
    assert symptom.grace_s == alone.grace_s == 0


# ---- the one exception: old pods that block a StatefulSet ----------------------------------------

OLD, NEW = (
    {"labels": {"controller-revision-hash": name}, "owner": "StatefulSet-db"}
    for name in ("db-1", "db-2")
)


def _stateful(**spec: Any) -> dict[str, Any]:
    return found("StatefulSet", "db", spec=spec, status={"updateRevision": "db-2", "replicas": 1})


def _blocked(db: dict[str, Any], *pods: dict[str, Any]) -> list[Symptom]:
    return find_symptoms(target("StatefulSet", "db"), db, view_of(db, *pods), NOTHING)


def test_a_broken_old_pod_blocks_an_ordered_stateful_set() -> None:
    """The controller waits for it for ever, however right the new template is."""
    [symptom] = _blocked(_stateful(), pod("db-0", waiting("InvalidImageName", "x"), **OLD))

    assert symptom.grace_s == GRACE_BLOCKED_S
    assert symptom.hint.startswith("kubectl delete pod db-0")
    assert "never replaced" in symptom.cause


def test_an_old_pod_that_may_recover_does_not() -> None:
    """After a first crash it may come up by itself, and is replaced then."""
    [once] = _blocked(_stateful(), pod("db-0", crashed(1), **OLD))
    [twice] = _blocked(_stateful(), pod("db-0", crashed(2), **OLD))

    assert (once.grace_s, twice.grace_s) == (math.inf, GRACE_BLOCKED_S)


@pytest.mark.parametrize(
    "spec", [{"podManagementPolicy": "Parallel"}, {"updateStrategy": {"type": "OnDelete"}}]
)
def test_other_strategies_replace_broken_pods_or_none(spec: dict[str, Any]) -> None:
    """Nobody waits for the old pod there."""
    assert _blocked(_stateful(**spec), pod("db-0", waiting("InvalidImageName", "x"), **OLD)) == []


# ---- DaemonSets on nodes that are away -----------------------------------------------------------

NODES = Scope(Resource("v1", "Node", "nodes", namespaced=False), "", optional=True)


def _with_node(*objects: dict[str, Any], status: str) -> View:
    view = View([*scopes().values(), NODES])
    show(view, *objects)
    node = {"kind": "Node", "metadata": {"name": "n1", "uid": "n1"}}
    view.take(Listed(NODES, [{**node, "status": {"conditions": [condition("Ready", status)]}}]))
    return view


def test_pods_on_nodes_that_are_not_ready_are_not_waited_for() -> None:
    """A node that is down is not this rollout's fault; a cordoned one still runs its pods."""
    agent = found("DaemonSet", "agent")
    here = pod("agent-a", spec={"nodeName": "n1"}, owner="DaemonSet-agent")
    fields = [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]
    terms = {"nodeSelectorTerms": [{"matchFields": fields}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    meant = pod("agent-b", spec={"affinity": affinity}, owner="DaemonSet-agent")

    down = _with_node(agent, here, meant, status="Unknown")
    up = _with_node(agent, here, meant, status="True")

    assert beside(agent, down).unreachable == 2
    assert beside(agent, up).unreachable == 0
    assert beside(agent, view_of(agent, here)).unreachable == 0
