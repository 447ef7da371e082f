"""Pods that a controller is not allowed to create."""

from __future__ import annotations

import math
from typing import Any

import pytest

from codexctl_tasks.rollout.creation import creation_symptoms
from codexctl_tasks.rollout.symptoms import (
    GRACE_CREATE_ACCOUNT_S,
    GRACE_CREATE_QUOTA_S,
    GRACE_CREATE_QUOTA_SHARED_S,
    GRACE_CREATE_REFUSED_S,
    GRACE_CREATE_TROUBLE_S,
    Baseline,
    Missing,
)
from tests.support.objects import REVISION, condition, deployment, event, found, pod, replica_set
from tests.support.objects import view_of as view

NOTHING = Baseline(restarts={})
QUOTA = 'pods "web-1" is forbidden: exceeded quota: small, requested: pods=1'


def _refused(message: str) -> dict[str, Any]:
    failure = condition("ReplicaFailure", reason="FailedCreate", message=message)
    return deployment(status={"conditions": [failure]})


@pytest.mark.parametrize(
    ("message", "grace_s"),
    [
        ('pods "web-1" is forbidden: failed quota: q: must specify cpu', GRACE_CREATE_REFUSED_S),
        ('pods "web-1" is forbidden: violates PodSecurity "restricted"', GRACE_CREATE_REFUSED_S),
        ("maximum memory usage per Container is 1Gi", GRACE_CREATE_REFUSED_S),
        ('Pod "web-1" is invalid: spec.volumes', GRACE_CREATE_REFUSED_S),
        ('admission webhook "w" denied the request: no', GRACE_CREATE_REFUSED_S),
        ('failed calling webhook "w": connection refused', GRACE_CREATE_TROUBLE_S),
        ("no PriorityClass with name high was found", GRACE_CREATE_ACCOUNT_S),
        ('error looking up service account shop/web: serviceaccount "web"', GRACE_CREATE_ACCOUNT_S),
        (QUOTA, GRACE_CREATE_QUOTA_S),
        ("something that nobody has seen before", GRACE_CREATE_TROUBLE_S),
    ],
)
def test_each_refusal_has_its_grace(message: str, grace_s: float) -> None:
    """What cannot change fails soon; what passes by itself gets the time that it needs."""
    web = _refused(message)

    [symptom] = creation_symptoms(web, view(web), NOTHING)

    assert symptom.grace_s == grace_s
    assert message in symptom.cause


@pytest.mark.parametrize(
    ("message", "missing"),
    [
        (
            'error looking up service account shop/web: serviceaccount "web" not found',
            Missing("ServiceAccount", "web"),
        ),
        (
            "no PriorityClass with name high was found",
            Missing("PriorityClass", "high"),
        ),
    ],
)
def test_what_is_missing_is_asked_for(message: str, missing: Missing) -> None:
    """It may have been made since; controllers try again late."""
    web = _refused(message)

    [symptom] = creation_symptoms(web, view(web), NOTHING)

    assert symptom.missing == missing
    assert symptom.headline == f"{missing.kind} {missing.name} is missing"


def test_pods_that_leave_give_their_quota_back() -> None:
    """A quota that old pods fill is waited for longer than one that is just too small."""
    web = _refused(QUOTA)
    web["metadata"]["annotations"] = {REVISION: "2"}
    old = replica_set("web-1", "1", status={"replicas": 2})
    leaving = pod("other", deletionTimestamp="2026-01-02T03:04:05Z")

    for beside in (old, leaving):
        [symptom] = creation_symptoms(web, view(web, beside), NOTHING)
        assert symptom.grace_s == GRACE_CREATE_QUOTA_SHARED_S


STATUS = {"observedGeneration": 1}
WITHOUT_PODS = {
    "StatefulSet": found("StatefulSet", spec={"replicas": 1}, status=STATUS),
    "DaemonSet": found("DaemonSet", status={**STATUS, "desiredNumberScheduled": 1}),
    "Job": found("Job", spec={"completions": 2}, status={"succeeded": 1}),
}


@pytest.mark.parametrize("owner", WITHOUT_PODS.values(), ids=WITHOUT_PODS)
def test_other_controllers_tell_it_by_events_alone(owner: dict[str, Any]) -> None:
    """Their status says nothing: without events a person would wait until the time is over."""
    told = event(owner, "FailedCreate", QUOTA, lastTimestamp="2026-01-02T03:04:05Z")

    [symptom] = creation_symptoms(owner, view(owner, told), NOTHING)

    assert symptom.headline == "pods cannot be created"
    assert symptom.cause == f"{QUOTA} (FailedCreate)"


def test_a_pod_that_was_created_later_ends_it() -> None:
    """The newest event decides; and if no pod is missing, none is needed."""
    owner = WITHOUT_PODS["StatefulSet"]
    failed = event(owner, "FailedCreate", "x", lastTimestamp="2026-01-02T03:04:05Z")
    made = event(owner, "SuccessfulCreate", "y", lastTimestamp="2026-01-02T03:04:06Z")
    complete = found("StatefulSet", spec={"replicas": 1}, status={**STATUS, "replicas": 1})

    assert list(creation_symptoms(owner, view(owner, failed, made), NOTHING)) == []
    assert list(creation_symptoms(complete, view(complete, failed), NOTHING)) == []


def test_events_from_before_the_apply_are_named_only() -> None:
    """Tries are up to 1,000 s apart: an old refusal may be cured since."""
    owner = WITHOUT_PODS["StatefulSet"]
    failed = event(owner, "FailedCreate", "denied request", lastTimestamp="2026-01-02T03:04:05Z")

    def grace_s(begun: str) -> float:
        baseline = Baseline(restarts={}, begun=begun)
        [symptom] = creation_symptoms(owner, view(owner, failed), baseline)
        return symptom.grace_s

    assert grace_s("2026-01-02T03:04:06Z") == math.inf
    assert grace_s("2026-01-02T03:04:04Z") == GRACE_CREATE_REFUSED_S
    assert grace_s("") == GRACE_CREATE_REFUSED_S
