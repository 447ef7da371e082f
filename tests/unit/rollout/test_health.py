"""When a workload is ready."""

from __future__ import annotations

from typing import Any

import pytest

from codexctl_tasks.rollout.custom import read_rules
from codexctl_tasks.rollout.health import Beside, assess
from tests.support.objects import condition, deployment, found, target

SEEN = {"observedGeneration": 1}
SAME = {"currentRevision": "b", "updateRevision": "b"}
DIFFERENT = {"currentRevision": "a", "updateRevision": "b"}
ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}


def _deployment(spec: dict[str, Any], **status: Any) -> dict[str, Any]:
    return found(spec=spec, status={**SEEN, **status})


def _stateful_set(spec: dict[str, Any], **status: Any) -> dict[str, Any]:
    return found("StatefulSet", spec=spec, status={**SEEN, **status})


def _daemon_set(spec: dict[str, Any], desired: int, updated: int, available: int) -> dict[str, Any]:
    counts = {
        "desiredNumberScheduled": desired,
        "updatedNumberScheduled": updated,
        "numberAvailable": available,
    }
    return found("DaemonSet", spec=spec, status={**SEEN, **counts})


def _job(*conditions: dict[str, Any], spec: dict[str, Any] | None = None, **status: Any) -> Any:
    return found("Job", spec=spec, status={"conditions": list(conditions), **status})


def _pod(phase: str, *conditions: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return found("Pod", spec=spec, status={"phase": phase, "conditions": list(conditions)})


CASES: dict[str, tuple[dict[str, Any], bool, str]] = {
    "Deployment ready": (
        _deployment({"replicas": 2}, updatedReplicas=2, replicas=2, availableReplicas=2),
        True,
        "2 of 2 pods ready",
    ),
    "Deployment of one, by default": (
        _deployment({}, updatedReplicas=1, replicas=1, availableReplicas=1),
        True,
        "1 of 1 pod ready",
    ),
    "Deployment scaled to nothing": (_deployment({"replicas": 0}), True, "0 of 0 pods ready"),
    "Deployment not yet updated": (
        _deployment({"replicas": 2}, updatedReplicas=1, replicas=2, availableReplicas=2),
        False,
        "1 of 2 pods created from the new template",
    ),
    "Deployment not yet available": (
        _deployment({"replicas": 2}, updatedReplicas=2, replicas=2, availableReplicas=1),
        False,
        "1 of 2 pods ready",
    ),
    "Deployment with old pods": (
        _deployment({"replicas": 1}, updatedReplicas=1, replicas=2, availableReplicas=1),
        False,
        "1 pod of the old template still there",
    ),
    "Deployment available, by the old revision": (
        _deployment(
            {"replicas": 1},
            updatedReplicas=0,
            replicas=1,
            availableReplicas=1,
            conditions=[condition("Available"), condition("Progressing")],
        ),
        False,
        "0 of 1 pod created from the new template",
    ),
    "Deployment paused": (_deployment({"paused": True}), True, "paused"),
    "StatefulSet ready": (
        _stateful_set({"replicas": 1}, updatedReplicas=1, replicas=1, readyReplicas=1, **SAME),
        True,
        "1 of 1 pod ready",
    ),
    "StatefulSet with a pod missing": (
        _stateful_set({"replicas": 2}, updatedReplicas=1, replicas=1, readyReplicas=1, **SAME),
        False,
        "1 of 2 pods ready",
    ),
    "StatefulSet between revisions": (
        _stateful_set({"replicas": 1}, updatedReplicas=1, replicas=1, readyReplicas=1, **DIFFERENT),
        False,
        "1 of 1 pod updated",
    ),
    "StatefulSet not updated": (
        _stateful_set({"replicas": 2}, updatedReplicas=1, replicas=2, readyReplicas=2, **DIFFERENT),
        False,
        "1 of 2 pods updated",
    ),
    "StatefulSet partitioned": (
        _stateful_set(
            {"replicas": 3, "updateStrategy": ROLLING},
            updatedReplicas=1,
            replicas=3,
            readyReplicas=3,
            **DIFFERENT,
        ),
        True,
        "3 of 3 pods ready",
    ),
    "StatefulSet scaled to nothing": (_stateful_set({"replicas": 0}, **DIFFERENT), True, "0 of 0"),
    "StatefulSet OnDelete": (
        _stateful_set({"updateStrategy": {"type": "OnDelete"}}),
        True,
        "OnDelete",
    ),
    "DaemonSet ready": (_daemon_set({}, 3, 3, 3), True, "3 of 3 pods ready"),
    "DaemonSet without a node": (_daemon_set({}, 0, 0, 0), True, "0 of 0 pods ready"),
    "DaemonSet not updated": (_daemon_set({}, 3, 2, 3), False, "2 of 3 pods updated"),
    "DaemonSet not available": (_daemon_set({}, 3, 3, 2), False, "2 of 3 pods ready"),
    "DaemonSet OnDelete": (
        _daemon_set({"updateStrategy": {"type": "OnDelete"}}, 3, 0, 3),
        True,
        "OnDelete",
    ),
    "Job complete": (_job(condition("Complete")), True, "complete"),
    "Job by its success policy": (_job(condition("SuccessCriteriaMet")), True, "complete"),
    "Job not complete": (
        _job(condition("Complete", "False"), spec={"completions": 3}, succeeded=1, active=2),
        False,
        "1 of 3 completions, 2 running",
    ),
    "Job suspended": (_job(spec={"suspend": True}), True, "suspended"),
    "claim bound": (found("PersistentVolumeClaim", status={"phase": "Bound"}), True, "bound"),
    "claim pending": (found("PersistentVolumeClaim"), False, "pending"),
    "Service in the cluster": (found("Service"), True, "exists"),
    "Service without address": (
        found("Service", spec={"type": "LoadBalancer"}),
        False,
        "no address from the load balancer yet",
    ),
    "Service with address": (
        found(
            "Service",
            spec={"type": "LoadBalancer"},
            status={"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
        ),
        True,
        "address 192.0.2.1",
    ),
    "custom kind established": (
        found(
            "CustomResourceDefinition",
            status={"conditions": [condition("Established"), condition("NamesAccepted")]},
        ),
        True,
        "established",
    ),
    "custom kind installing": (
        found(
            "CustomResourceDefinition",
            status={"conditions": [condition("Established", "False"), condition("NamesAccepted")]},
        ),
        False,
        "not established yet",
    ),
    "API available": (
        found("APIService", status={"conditions": [condition("Available")]}),
        True,
        "available",
    ),
    "API not available": (
        found("APIService", status={"conditions": [condition("Available", "False", message="m")]}),
        False,
        "not available: m",
    ),
    "custom resource ready": (found("Shop", status={"conditions": [condition("Ready")]}), True, ""),
    "custom resource not ready": (
        found("Shop", status={"conditions": [condition("Ready", "False", message="no pods")]}),
        False,
        "no pods",
    ),
    "custom resource that failed": (
        found("Shop", status={"conditions": [condition("Ready"), condition("Failed")]}),
        False,
        "condition=Failed holds",
    ),
    "custom resource of an older generation": (
        found("Shop", status={"observedGeneration": 0, "conditions": [condition("Ready")]}),
        False,
        "just applied",
    ),
    "Pod ready": (_pod("Running", condition("Ready")), True, "ready"),
    "Pod running": (_pod("Running", condition("Ready", "False")), False, "running, not ready"),
    "Pod succeeded": (_pod("Succeeded"), True, "succeeded"),
    "Pod that runs to its end": (
        _pod("Running", condition("Ready"), restartPolicy="Never"),
        False,
        "runs to its end, running now",
    ),
}


@pytest.mark.parametrize(("shown", "ready", "detail"), CASES.values(), ids=CASES)
def test_readiness(shown: dict[str, Any], ready: bool, detail: str) -> None:
    """Ready means that the rollout is complete by its own controller's counts, in few words."""
    health = assess(target(shown["kind"]), shown)

    assert health.ready is ready
    assert detail in health.detail


READY = deployment(1)


@pytest.mark.parametrize(
    "shown",
    [
        None,
        deployment(1, uid="another"),
        deployment(1, generation=2, status={"observedGeneration": 1}),
        {**READY, "status": {}},
    ],
    ids=["not seen", "another UID", "status of the old generation", "no status"],
)
def test_what_is_older_than_our_apply_is_never_ready(shown: dict[str, Any] | None) -> None:
    """The green status of the previous deploy, or of another object, is not believed."""
    assert not assess(target(generation=2), shown).ready


def test_own_rules_beat_those_of_the_kind() -> None:
    """A stack's author knows better when a Deployment is ready."""
    rules = read_rules("condition=Warm")
    warm = deployment(0, status={"conditions": [condition("Warm")]})

    assert assess(target(ready_when=rules), warm).ready
    assert not assess(target(ready_when=rules), deployment(1)).ready


def test_what_the_status_does_not_tell() -> None:
    """Pods on nodes that are down, and claims that wait for their first pod."""
    agents = _daemon_set({}, 3, 2, 2)
    health = assess(target("DaemonSet"), agents, Beside(unreachable=1))

    assert (health.ready, health.warning) == (True, "1 pod on nodes that are not ready")
    assert not assess(target("DaemonSet"), agents).ready
    claim = found("PersistentVolumeClaim")
    assert assess(target("PersistentVolumeClaim"), claim, Beside(waits_for_consumer=True)).ready


def test_kinds_without_observed_generation_are_believed() -> None:
    """Jobs never report one."""
    assert assess(target("Job"), CASES["Job complete"][0]).ready
