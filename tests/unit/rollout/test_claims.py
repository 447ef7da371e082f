"""Volume claims: why they are not bound, and when that is no trouble at all."""

from __future__ import annotations

import math
from typing import Any

import pytest

from codexctl_tasks.errors import ClusterError
from codexctl_tasks.rollout.claims import claim_symptoms, waits_for_consumer
from codexctl_tasks.rollout.examination import find_symptoms
from codexctl_tasks.rollout.symptoms import (
    GRACE_CLAIM_MISSING_S,
    GRACE_CLASS_MISSING_S,
    GRACE_PROVISIONING_S,
    GRACE_UNSCHEDULABLE_S,
    Baseline,
    Missing,
)
from codexctl_tasks.world.watching import Refused
from tests.support.objects import (
    condition,
    deployment,
    event,
    found,
    pod,
    replica_set,
    scopes,
    target,
    view_of,
)

CLAIM = found("PersistentVolumeClaim", "data", status={"phase": "Pending"})
NOBODY = Baseline(restarts={})


@pytest.mark.parametrize(
    ("reason", "message", "headline", "grace_s"),
    [
        (
            "ProvisioningFailed",
            'storageclass.storage.k8s.io "fast" not found',
            "StorageClass fast is missing",
            GRACE_CLASS_MISSING_S,
        ),
        (
            "FailedBinding",
            "no persistent volumes available for this claim and no storage class is set",
            "no volume and no storage class",
            GRACE_CLASS_MISSING_S,
        ),
        (
            "ProvisioningFailed",
            "rpc error: out of space",
            "volume cannot be provisioned",
            GRACE_PROVISIONING_S,
        ),
        (
            "ExternalProvisioning",
            "Waiting for a volume to be created",
            "volume is not bound",
            math.inf,
        ),
    ],
)
def test_why_a_claim_waits(reason: str, message: str, headline: str, grace_s: float) -> None:
    """The phase is only Pending; events tell the rest."""
    view = view_of(CLAIM, event(CLAIM, reason, message))

    [symptom] = claim_symptoms(CLAIM, view)

    assert (symptom.headline, symptom.grace_s) == (headline, grace_s)
    assert symptom.cause == f"PersistentVolumeClaim data: {message} ({reason})"


def test_a_missing_class_is_asked_for_before_the_verdict() -> None:
    """It may have been made meanwhile."""
    text = 'storageclass.storage.k8s.io "fast" not found'
    view = view_of(CLAIM, event(CLAIM, "ProvisioningFailed", text))

    [symptom] = claim_symptoms(CLAIM, view)

    assert symptom.missing == Missing("StorageClass", "fast")


def test_a_lost_volume_fails_at_once() -> None:
    """The data will not come back by itself."""
    lost = found("PersistentVolumeClaim", "data", status={"phase": "Lost"})

    [symptom] = claim_symptoms(lost, view_of(lost))

    assert symptom.grace_s == 0


def test_a_claim_that_waits_for_its_first_pod_is_no_trouble() -> None:
    """Waiting for it before the workloads would wait for ever."""
    waiting = event(CLAIM, "WaitForFirstConsumer", "waiting for first consumer", type="Normal")

    assert waits_for_consumer(CLAIM, view_of(CLAIM, waiting))
    assert not waits_for_consumer(CLAIM, view_of(CLAIM))


def test_who_may_not_read_events_does_not_wait_for_claims() -> None:
    """Nothing else tells whether a claim will ever be bound without a pod."""
    view = view_of(CLAIM)
    hidden = scopes()["Event"]
    view.take(Refused(hidden, ClusterError("events", "forbidden", status=403)))

    assert waits_for_consumer(CLAIM, view)


def _pending(message: str) -> dict[str, Any]:
    unscheduled = condition("PodScheduled", "False", reason="Unschedulable", message=message)
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    return pod("a", status={"conditions": [unscheduled]}, spec={"volumes": volumes})


def _symptoms(*objects: dict[str, Any]) -> list[Any]:
    web = deployment()
    return find_symptoms(target(), web, view_of(web, replica_set(), *objects), NOBODY)


def test_a_pod_that_waits_for_its_volume_names_what_keeps_the_volume() -> None:
    """The scheduler says only that there is no volume."""
    waiting = _pending("0/1 nodes: pod has unbound immediate PersistentVolumeClaims")
    trouble = event(CLAIM, "ProvisioningFailed", 'storageclass "fast" not found')

    headlines = {s.headline: s.grace_s for s in _symptoms(waiting, CLAIM, trouble)}

    assert headlines == {
        "StorageClass fast is missing": GRACE_CLASS_MISSING_S,
        "unschedulable": GRACE_UNSCHEDULABLE_S,
    }


def test_a_claim_that_nobody_made_fails_soon() -> None:
    """No node will ever do for it; the server is asked whether it is really missing."""
    [symptom] = _symptoms(_pending('0/1 nodes: persistentvolumeclaim "data" not found'))

    assert symptom.headline == "PersistentVolumeClaim data is missing"
    assert symptom.grace_s == GRACE_CLAIM_MISSING_S
    assert symptom.missing == Missing("PersistentVolumeClaim", "data")


def test_a_node_that_is_on_its_way_is_waited_for() -> None:
    """Once an autoscaler has promised one, the pod is never failed for it."""
    waiting = _pending("0/1 nodes are available: 1 Insufficient cpu")
    promise = event(waiting, "TriggeredScaleUp", "pod triggered scale-up", type="Normal")

    [without] = _symptoms(waiting)
    [promised] = _symptoms(waiting, promise)

    assert (without.grace_s, promised.grace_s) == (GRACE_UNSCHEDULABLE_S, math.inf)
    assert "a node is on its way" in promised.cause
