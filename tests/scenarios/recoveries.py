"""Rollouts that look bad for a while and become healthy: whoever fails them is wrong."""

from __future__ import annotations

from tests.scenarios.model import Push, Scenario, Step
from tests.scenarios.objects import (
    SHARED,
    applied,
    awaited,
    claim,
    config_map,
    container,
    deployment,
    described,
    image,
    job,
    kubectl,
    mounted,
    pod,
    secret,
    stateful_set,
    storage_class,
)
from tests.scenarios.refusals import (
    BUCKET_BEFORE,
    BUCKET_CHANGED,
    OLD_POD_BROKEN,
    bucket,
    noted,
    said,
)

_OTHER = "exec sleep 200000"
"""Another template with the same behaviour."""
_STUBBORN = "trap '' TERM; while :; do sleep 1; done"
_MISSING = pod(image("{registry}/base:no-such-tag"))
_TWO_RESTARTS = "--for=jsonpath={.status.containerStatuses[0].restartCount}=2"
_AVAILABLE = awaited("deployment/web", "condition=Available")


def _counting(crashes: int) -> dict[str, object]:
    """Return the spec of a pod that crashes some times, then runs."""
    script = (
        "n=$(cat /v/n 2>/dev/null || echo 0); n=$((n+1)); echo $n > /v/n; "
        f"echo try $n; [ $n -gt {crashes} ] || exit 1; exec sleep 100000"
    )
    return mounted({"emptyDir": {}}, script)


def _after(seconds: int) -> dict[str, object]:
    """Return a readiness probe that passes after some seconds."""
    check = f"[ -e /tmp/ready ] || {{ echo not for {seconds} s; exit 1; }}"
    return {"exec": {"command": ["sh", "-c", check]}, "periodSeconds": 1}


PODS = (
    Scenario(
        "crashes-twice-then-fine",
        "Two crashes at the start, as of one that waits for its database.",
        (deployment(_counting(2), replicas=2),),
        lasts_s=50,
    ),
    Scenario(
        "crashes-four-times-then-fine",
        "Four crashes, 90 s long, and then it runs.",
        (deployment(_counting(4)),),
        lasts_s=130,
    ),
    Scenario(
        "crashes-until-dependency",
        "It crashes until what it needs comes after 40 s.",
        (
            config_map(mode="fast"),
            deployment(
                mounted(
                    {"configMap": {"name": "settings"}},
                    "[ -e /v/ready ] || { echo waiting for the database; exit 1; }; "
                    "exec sleep 100000",
                )
            ),
        ),
        during=(Step(40, applied(config_map(mode="fast", ready="yes"))),),
        lasts_s=130,
    ),
    Scenario(
        "out-of-memory-once",
        "Killed for its memory once; the second start needs less.",
        (
            deployment(
                mounted(
                    {"emptyDir": {}},
                    "[ ! -e /v/n ] || exec sleep 100000; touch /v/n; "
                    "x=0123456789abcdef; while :; do x=$x$x; done",
                    resources={"limits": {"memory": "24Mi"}},
                )
            ),
        ),
        lasts_s=45,
    ),
    Scenario(
        "ready-after-40s",
        "A slow start: the probe fails for 40 s.",
        (
            deployment(
                pod(
                    container(
                        "sleep 40; touch /tmp/ready; exec sleep 100000", readinessProbe=_after(40)
                    )
                )
            ),
        ),
        lasts_s=50,
    ),
    Scenario(
        "env-secret-late",
        "The Secret of a variable is made 15 s later, by another tool.",
        (
            deployment(
                pod(container(envFrom=[{"secretRef": {"name": "db"}}])),
            ),
        ),
        during=(Step(15, applied(secret(password="example"))),),
        lasts_s=40,
    ),
    Scenario(
        "account-late",
        "The ServiceAccount is made 15 s later.",
        (deployment(pod(container(), serviceAccountName="robot")),),
        during=(Step(15, kubectl("create", "serviceaccount", "robot")),),
        lasts_s=40,
    ),
    Scenario(
        "minimum-of-ready-seconds",
        "minReadySeconds holds the rollout back for 10 s.",
        (deployment(pod(container()), replicas=2, minReadySeconds=10),),
    ),
)

IMAGES = (
    Scenario(
        "image-slow",
        "The image takes 40 s to pull.",
        (deployment(pod(image("{faulty}/slow-40-{namespace}:1"))),),
        lasts_s=50,
    ),
    Scenario(
        "image-pushed-late",
        "The tag is pushed 8 s after the deploy, before the second pull, which comes after 13 s.",
        (deployment(pod(image("{registry}/late-{namespace}:1"))),),
        during=(Step(8, Push("late-{namespace}:1")),),
    ),
    Scenario(
        "registry-back-after-20s",
        "The registry answers 503 for 20 s, while it restarts.",
        (deployment(pod(image("{faulty}/status-503-for-20-{namespace}:1"))),),
        lasts_s=55,
    ),
)

CONTROLLERS = (
    Scenario(
        "scaled-to-zero",
        "No pod is wanted.",
        (deployment(pod(container()), replicas=0),),
        lasts_s=5,
    ),
    Scenario(
        "paused",
        "A paused Deployment gets a new template: nothing will happen, as was asked.",
        (deployment(pod(container(_OTHER)), paused=True),),
        before=(applied(deployment(pod(container()))), _AVAILABLE),
        lasts_s=5,
    ),
    Scenario(
        "job-with-retries-left",
        "The first pod of a Job fails, the second does it.",
        (
            job(
                mounted(
                    SHARED,
                    "[ -e /v/tried ] || { touch /v/tried; echo locked; exit 1; }",
                ),
                backoffLimit=4,
            ),
        ),
    ),
    Scenario(
        "job-suspended",
        "A Job that somebody else will start.",
        (job(pod(container()), suspend=True),),
        lasts_s=5,
    ),
    Scenario(
        "job-gone-when-done",
        "A Job that is deleted as soon as it is complete.",
        (job(pod(container("sleep 2")), ttlSecondsAfterFinished=0),),
        lasts_s=10,
    ),
    Scenario(
        "old-pods-crash",
        "The old pods crash for ever, and go on to while the new one starts.",
        (
            deployment(
                pod(
                    container(
                        "sleep 10; touch /tmp/ready; exec sleep 100000", readinessProbe=_after(10)
                    )
                )
            ),
        ),
        before=(
            applied(deployment(pod(container("exit 1")))),
            awaited("deployment/web", "jsonpath={.status.unavailableReplicas}=1"),
            kubectl("wait", "pod", "--selector=app=web", _TWO_RESTARTS, "--timeout=120s"),
        ),
        lasts_s=55,
    ),
    Scenario(
        "rollback",
        "Back to the template before: its old ReplicaSet is the newest again.",
        (deployment(pod(container()), replicas=2),),
        before=(
            applied(deployment(pod(container()), replicas=2)),
            _AVAILABLE,
            applied(deployment(_MISSING, replicas=2)),
            awaited("deployment/web", "jsonpath={.status.unavailableReplicas}=1"),
        ),
        lasts_s=20,
    ),
    Scenario(
        "deadline-of-the-release-before",
        "The broken release before has exceeded its progress deadline; this one mends it.",
        (deployment(pod(container()), progressDeadlineSeconds=60),),
        before=(
            applied(deployment(_MISSING, progressDeadlineSeconds=5)),
            awaited("deployment/web", "condition=Progressing=false"),
        ),
        lasts_s=20,
    ),
    Scenario(
        "recreate-with-a-slow-stop",
        "Recreate, and the old pod takes 12 s to stop: no pod at all for so long.",
        (deployment(pod(container()), strategy={"type": "Recreate"}),),
        before=(
            applied(
                deployment(
                    {**pod(container(_STUBBORN)), "terminationGracePeriodSeconds": 12},
                    strategy={"type": "Recreate"},
                )
            ),
            _AVAILABLE,
        ),
        lasts_s=25,
    ),
    Scenario(
        "autoscaler-owns-replicas",
        "The manifest says one replica, the autoscaler three; it has no metrics yet.",
        (
            deployment(pod(container(resources={"requests": {"cpu": "1m"}})), replicas=1),
            described(
                "autoscaling/v2",
                "HorizontalPodAutoscaler",
                "web",
                spec={
                    "scaleTargetRef": {
                        "apiVersion": "apps/v1",
                        "kind": "Deployment",
                        "name": "web",
                    },
                    "minReplicas": 3,
                    "maxReplicas": 5,
                },
            ),
        ),
    ),
    Scenario(
        "statefulset-old-pod-replaced",
        "The pod of the broken revision blocks the right one, and may be deleted.",
        (noted(stateful_set(pod(container()), replicas=2), replace_broken_pods="true"),),
        before=OLD_POD_BROKEN,
        is_ours=True,
    ),
    Scenario(
        "statefulset-updated-on-delete",
        "Pods change when somebody deletes them: there is nothing to wait for.",
        (stateful_set(pod(container(_OTHER)), updateStrategy={"type": "OnDelete"}),),
        before=(
            applied(stateful_set(pod(container()), updateStrategy={"type": "OnDelete"})),
            awaited("statefulset/db", "jsonpath={.status.readyReplicas}=1"),
        ),
        lasts_s=10,
    ),
)

RESOURCES = (
    Scenario(
        "claim-waits-for-a-pod",
        "A claim that is bound when its first pod comes.",
        (claim(storage_class="{namespace}"),),
        before=(applied(storage_class("WaitForFirstConsumer")),),
        lasts_s=5,
    ),
    Scenario(
        "volume-binds-late",
        "The volume of a claim is made by hand 20 s later.",
        (
            claim(storage_class="by-hand-{namespace}"),
            deployment(mounted({"persistentVolumeClaim": {"claimName": "data"}})),
        ),
        during=(
            Step(
                20,
                applied(
                    described(
                        "v1",
                        "PersistentVolume",
                        "{namespace}",
                        spec={
                            "capacity": {"storage": "1Mi"},
                            "accessModes": ["ReadWriteOnce"],
                            "storageClassName": "by-hand-{namespace}",
                            "persistentVolumeReclaimPolicy": "Retain",
                            **SHARED,
                        },
                    )
                ),
            ),
        ),
        lasts_s=50,
    ),
    Scenario(
        "custom-resource-ready-later",
        "A custom resource says Ready=False at first: that is no failure.",
        (bucket(),),
        before=BUCKET_BEFORE,
        during=(
            BUCKET_CHANGED,
            Step(1, said("creating", Ready="False")),
            Step(14, said("created", Ready="True")),
        ),
        lasts_s=20,
    ),
)

SCENARIOS = PODS + IMAGES + CONTROLLERS + RESOURCES
