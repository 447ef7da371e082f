"""What controllers cannot do: make pods, names, volumes; and what custom resources say."""

from __future__ import annotations

import json

from tests.scenarios.model import Action, Fault, Object, Scenario, Step
from tests.scenarios.objects import (
    NEVER_READY,
    applied,
    awaited,
    claim,
    container,
    definition,
    deployment,
    described,
    image,
    job,
    kubectl,
    mounted,
    pod,
    stateful_set,
    storage_class,
)

WEB = "Deployment/web"
_NOBODY = {"serviceAccountName": "nobody"}
_NO_ACCOUNT = r'service account "?[\w-]+/nobody"?.*not found'
_DATA = {"persistentVolumeClaim": {"claimName": "data"}}
_ENFORCE = "pod-security.kubernetes.io/enforce=restricted"
_GROUP = "{namespace}.example.com"
_SET_STATUS = (
    *("patch", f"buckets.{_GROUP}", "photos"),
    *("--subresource=status", "--type=merge", "--patch"),
)
_BUCKETS_KNOWN = (
    applied(definition()),
    # kubectl trips over the conditions of a definition so new that they are still null
    awaited(f"crd/buckets.{_GROUP}", "jsonpath={.status.acceptedNames.plural}=buckets"),
    awaited(f"crd/buckets.{_GROUP}", "condition=Established"),
)
OLD_POD_BROKEN = (
    applied(stateful_set(pod(image("{registry}/base:no-such-tag")), replicas=2)),
    awaited("pod/db-0", "create"),
    awaited(
        "pod/db-0", "jsonpath={.status.containerStatuses[0].state.waiting.reason}=ImagePullBackOff"
    ),
)
_HOOK = {
    "name": "hook.example.com",
    "clientConfig": {"service": {"name": "none", "namespace": "default"}},
    "rules": [
        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    ],
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "{namespace}"}},
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
    "timeoutSeconds": 1,
}
_HOOKED = described(
    "admissionregistration.k8s.io/v1",
    "ValidatingWebhookConfiguration",
    "{namespace}",
    webhooks=[_HOOK],
)


def bucket(size: int = 2) -> Object:
    """Return a custom resource."""
    return described(f"{_GROUP}/v1", "Bucket", "photos", spec={"size": size})


def said(message: str, generation: int = 2, **conditions: str) -> Action:
    """Return the action of the controller of buckets that sets conditions: ``Ready="True"``."""
    since = {"lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": generation}
    found = [
        {"type": name, "status": value, "reason": "Said", "message": message, **since}
        for name, value in conditions.items()
    ]
    status = {"observedGeneration": generation, "conditions": found}
    return kubectl(*_SET_STATUS, json.dumps({"status": status}))


BUCKET_BEFORE = (*_BUCKETS_KNOWN, applied(bucket(1)), said("created", 1, Ready="True"))
BUCKET_CHANGED = Step(0, awaited(f"buckets.{_GROUP}/photos", "jsonpath={.metadata.generation}=2"))


def noted(described: Object, **annotations: str) -> Object:
    """Return an object with annotations of codexctl: ``ready_when`` and so on."""
    keys = {f"codexctl/{name.replace('_', '-')}": text for name, text in annotations.items()}
    return {**described, "metadata": {**described["metadata"], "annotations": keys}}


CREATION = (
    Scenario(
        "pod-security-refuses",
        "The namespace allows restricted pods only.",
        (deployment(pod(container())),),
        before=(kubectl("label", "namespace", "{namespace}", _ENFORCE),),
        fault=Fault("creation", WEB, r"violates PodSecurity", "GRACE_CREATE_REFUSED_S"),
    ),
    Scenario(
        "quota-exceeded",
        "The namespace has room for one pod of three.",
        (deployment(pod(container()), replicas=3),),
        before=(
            applied(described("v1", "ResourceQuota", "few", spec={"hard": {"pods": "1"}})),
            awaited("resourcequota/few", "jsonpath={.status.hard.pods}=1"),
        ),
        fault=Fault("creation", WEB, r"exceeded quota: few", "GRACE_CREATE_QUOTA_S"),
        lasts_s=65,
    ),
    Scenario(
        "statefulset-account-missing",
        "A StatefulSet runs as an account that nobody made: only events tell.",
        (stateful_set(pod(container(), **_NOBODY)),),
        fault=Fault("creation", "StatefulSet/db", _NO_ACCOUNT, "GRACE_CREATE_ACCOUNT_S"),
        lasts_s=35,
    ),
    Scenario(
        "job-account-missing",
        "A Job runs as an account that nobody made: only events tell.",
        (job(pod(container("true"), **_NOBODY)),),
        fault=Fault("creation", "Job/migrate", _NO_ACCOUNT, "GRACE_CREATE_ACCOUNT_S"),
        lasts_s=35,
    ),
    Scenario(
        "webhook-down",
        "A webhook that must see every pod does not answer.",
        (deployment(pod(container())),),
        before=(applied(_HOOKED),),
        fault=Fault("creation", WEB, r"failed calling webhook", "GRACE_CREATE_TROUBLE_S"),
        lasts_s=105,
    ),
    Scenario(
        "progress-deadline",
        "The manifest itself says how long the rollout may take.",
        (deployment(pod(container(readinessProbe=NEVER_READY)), progressDeadlineSeconds=10),),
        fault=Fault("deadline", WEB, r"no progress|ProgressDeadlineExceeded", "GRACE_PERMANENT_S"),
    ),
    Scenario(
        "statefulset-blocked-by-old-pod",
        "The new revision is right, but the pod of the broken one is never replaced.",
        (stateful_set(pod(container()), replicas=2),),
        before=OLD_POD_BROKEN,
        fault=Fault("blocked", "StatefulSet/db", r"db-0", "GRACE_BLOCKED_S"),
    ),
)

STORAGE = (
    Scenario(
        "claim-class-missing",
        "The claim names a StorageClass that does not exist, and no volume fits.",
        (claim(), deployment(mounted(_DATA))),
        fault=Fault(
            "volume",
            "PersistentVolumeClaim/data",
            r'storageclass.*"no-such-class" not found',
            "GRACE_CLASS_MISSING_S",
        ),
        lasts_s=65,
    ),
    Scenario(
        "claim-missing",
        "The pod names a claim that nobody made.",
        (deployment(mounted(_DATA)),),
        fault=Fault(
            "volume", WEB, r'persistentvolumeclaim "data" not found', "GRACE_CLAIM_MISSING_S"
        ),
        lasts_s=35,
    ),
    Scenario(
        "claim-without-provisioner",
        "Nobody makes volumes of this class, but somebody might begin to.",
        (claim(storage_class="{namespace}"), deployment(mounted(_DATA))),
        before=(applied(storage_class("Immediate")),),
        fault=Fault("", "PersistentVolumeClaim/data", r"(?i)provisioner|pending|volume"),
        only_s=20,
    ),
)

CUSTOM = (
    Scenario(
        "definition-name-taken",
        "Another definition of the group has the kind already.",
        (definition("baskets"),),
        before=_BUCKETS_KNOWN,
        fault=Fault(
            "definition",
            f"CustomResourceDefinition/baskets.{_GROUP}",
            r"(?i)Bucket.*already in use",
            "GRACE_DEFINITION_S",
        ),
    ),
    Scenario(
        "custom-resource-stalled",
        "The controller of a custom resource says that it is stuck.",
        (bucket(),),
        before=BUCKET_BEFORE,
        during=(
            BUCKET_CHANGED,
            Step(3, said("limit of buckets reached", Ready="False", Stalled="True")),
        ),
        fault=Fault("custom", "Bucket/photos", r"limit of buckets reached", "GRACE_CUSTOM_S"),
        only_s=60,
    ),
    Scenario(
        "custom-resource-failed",
        "The controller of a custom resource says that it failed.",
        (bucket(),),
        before=BUCKET_BEFORE,
        during=(BUCKET_CHANGED, Step(3, said("no such region", Failed="True"))),
        fault=Fault("custom", "Bucket/photos", r"no such region", "GRACE_CUSTOM_S"),
        only_s=60,
    ),
    Scenario(
        "custom-resource-of-own-rules",
        "A custom resource without conditions: its manifest says what counts.",
        (
            noted(
                bucket(),
                ready_when="jsonpath={.status.phase}=Usable",
                failed_when="jsonpath={.status.phase}=Lost",
            ),
        ),
        before=_BUCKETS_KNOWN,
        during=(Step(3, kubectl(*_SET_STATUS, '{"status": {"phase": "Lost"}}')),),
        fault=Fault("custom", "Bucket/photos", r"status.phase.*Lost", "GRACE_CUSTOM_S"),
        only_s=60,
        is_ours=True,
    ),
)

SCENARIOS = CREATION + STORAGE + CUSTOM
