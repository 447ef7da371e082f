"""Containers that end when they should run."""

from __future__ import annotations

from tests.scenarios.model import Fault, Scenario
from tests.scenarios.objects import (
    SHARED,
    applied,
    awaited,
    container,
    deployment,
    job,
    mounted,
    pod,
    stateful_set,
)

WEB = "Deployment/web"
_LIMIT, _LIMIT_BESIDE_READY = "CRASH_LIMIT", "CRASH_LIMIT_BESIDE_READY"
"""A number of restarts is their grace; Kubernetes makes the pauses between them longer."""
_LASTS_S = 105
_EAT_MEMORY = "echo loading the index; x=0123456789abcdef; while :; do x=$x$x; done"
_ONE_OF_THREE = (
    "mkdir /v/taken 2>/dev/null && touch /v/$HOSTNAME; "
    "[ ! -e /v/$HOSTNAME ] || { echo shard is locked; exit 1; }; exec sleep 100000"
)
"""The pod that comes first crashes, and crashes again."""

LOOPS = (
    Scenario(
        "crash-at-once",
        "The program ends at once.",
        (deployment(pod(container("echo no database >&2; exit 1")), replicas=2),),
        fault=Fault("crash", WEB, r"exit code 1\b", _LIMIT, "no database"),
        lasts_s=_LASTS_S,
    ),
    Scenario(
        "exit-0-loop",
        "The program ends well, but should not end.",
        (deployment(pod(container("echo all done"))),),
        fault=Fault("crash", WEB, r"exit code 0", _LIMIT, "all done"),
        lasts_s=_LASTS_S,
    ),
    Scenario(
        "out-of-memory",
        "The program takes more memory than it may.",
        (deployment(pod(container(_EAT_MEMORY, resources={"limits": {"memory": "24Mi"}}))),),
        fault=Fault("crash", WEB, r"OOMKilled|out of memory", _LIMIT, "loading the index"),
        lasts_s=_LASTS_S,
    ),
    Scenario(
        "liveness-kills",
        "The liveness probe never passes, so the program is killed again and again.",
        (
            deployment(
                pod(
                    container(
                        "echo warming up; exec sleep 100000",
                        livenessProbe={
                            "exec": {"command": ["false"]},
                            "periodSeconds": 1,
                            "failureThreshold": 2,
                        },
                    )
                )
            ),
        ),
        fault=Fault("crash", WEB, r"(?i)liveness probe", _LIMIT, "warming up"),
        lasts_s=_LASTS_S + 15,
    ),
    Scenario(
        "post-start-fails",
        "The postStart hook fails, so the program is killed again and again.",
        (
            deployment(
                pod(
                    container(
                        lifecycle={"postStart": {"exec": {"command": ["sh", "-c", "exit 3"]}}}
                    )
                )
            ),
        ),
        fault=Fault("crash", WEB, r"(?i)postStart", _LIMIT),
        lasts_s=_LASTS_S,
    ),
    Scenario(
        "crash-after-4s",
        "No probe, starts, crashes after 4 s, for ever: ready for Kubernetes at every start.",
        (deployment(pod(container("sleep 4; echo lost the queue; exit 1"))),),
        fault=Fault("crash", WEB, r"exit code 1\b", _LIMIT, "lost the queue"),
        lasts_s=_LASTS_S + 20,
    ),
    Scenario(
        "crash-of-one-in-three",
        "Two pods are fine, one crashes for ever.",
        (
            deployment(
                mounted(
                    SHARED,
                    _ONE_OF_THREE,
                ),
                replicas=3,
            ),
        ),
        fault=Fault("crash", WEB, r"exit code 1\b", _LIMIT_BESIDE_READY, "shard is locked"),
        lasts_s=185,
    ),
    Scenario(
        "statefulset-update-crashes",
        "A healthy StatefulSet is updated to a program that ends at once.",
        (stateful_set(pod(container("echo bad migration; exit 1")), replicas=2),),
        before=(
            applied(stateful_set(pod(container()), replicas=2)),
            awaited("statefulset/db", "jsonpath={.status.readyReplicas}=2"),
        ),
        fault=Fault("crash", "StatefulSet/db", r"exit code 1\b", _LIMIT, "bad migration"),
        lasts_s=_LASTS_S,
    ),
    Scenario(
        "init-crashes",
        "An init container fails again and again.",
        (
            deployment(
                pod(
                    container(),
                    initContainers=[container("echo schema is newer; exit 2", name="migrate")],
                )
            ),
        ),
        fault=Fault("init or sidecar", WEB, r"migrate.*exit code 2", _LIMIT, "schema is newer"),
        lasts_s=_LASTS_S,
    ),
    Scenario(
        "sidecar-crashes",
        "A sidecar (an init container that goes on) ends again and again.",
        (
            deployment(
                pod(
                    container(),
                    initContainers=[
                        container("echo no route; exit 3", name="proxy", restartPolicy="Always")
                    ],
                )
            ),
        ),
        fault=Fault("init or sidecar", WEB, r"proxy.*exit code 3", _LIMIT, "no route"),
        lasts_s=_LASTS_S,
    ),
)

JOBS = (
    Scenario(
        "job-fails",
        "A Job gives up after its second try.",
        (job(pod(container("echo no such table: users; exit 1")), backoffLimit=1),),
        fault=Fault(
            "job", "Job/migrate", r"BackoffLimitExceeded", "GRACE_PERMANENT_S", "no such table"
        ),
    ),
    Scenario(
        "job-exceeds-its-deadline",
        "A Job is stopped by its activeDeadlineSeconds.",
        (job(pod(container()), activeDeadlineSeconds=8),),
        fault=Fault("job", "Job/migrate", r"DeadlineExceeded", "GRACE_PERMANENT_S"),
    ),
)

SCENARIOS = LOOPS + JOBS
