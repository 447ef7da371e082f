"""Pods that cannot be made to run: images, configuration, commands, places."""

from __future__ import annotations

from tests.scenarios.model import Fault, Object, Scenario, Step
from tests.scenarios.objects import (
    IDLE,
    NEVER_READY,
    applied,
    awaited,
    bare_pod,
    config_map,
    container,
    daemon_set,
    deployment,
    image,
    job,
    kubectl,
    mounted,
    pod,
    secret,
)

WEB = "Deployment/web"
_REFUSED = "localhost:9/app:1"
"""Nobody listens at this port of the node."""


def _password(key: str = "password") -> Object:
    source = {"secretKeyRef": {"name": "db", "key": key}}
    return container(env=[{"name": "PASSWORD", "valueFrom": source}])


IMAGES = (
    Scenario(
        "image-name-invalid",
        "A reference that no registry could ever know.",
        (deployment(pod(image("{registry}/Web:1"))),),
        fault=Fault("image name", WEB, r"InvalidImageName|couldn't parse", "GRACE_PERMANENT_S"),
    ),
    Scenario(
        "image-never-pulled",
        "imagePullPolicy Never, and the image is not on the node.",
        (deployment(pod(image("{registry}/none:1", imagePullPolicy="Never"))),),
        fault=Fault("image name", WEB, r"ErrImageNeverPull|policy of Never", "GRACE_PERMANENT_S"),
    ),
    Scenario(
        "image-not-found",
        "A tag that was never pushed; the other workload is fine.",
        (
            deployment(pod(image("{registry}/base:no-such-tag")), replicas=2),
            deployment(pod(container()), name="fine"),
        ),
        fault=Fault("image", WEB, r"base:no-such-tag.*not found", "GRACE_IMAGE_MISSING_S"),
    ),
    Scenario(
        "image-unauthorized",
        "The registry wants a login (401).",
        (deployment(pod(image("{faulty}/status-401:1"))),),
        fault=Fault("image", WEB, r"status-401.*(denied|401)", "GRACE_IMAGE_MISSING_S"),
    ),
    Scenario(
        "image-forbidden",
        "The registry refuses the account (403).",
        (deployment(pod(image("{faulty}/status-403:1"))),),
        fault=Fault("image", WEB, r"status-403.*(denied|403)", "GRACE_IMAGE_MISSING_S"),
    ),
    Scenario(
        "update-to-image-not-found",
        "A healthy Deployment is updated to a tag that does not exist.",
        (deployment(pod(image("{registry}/base:no-such-tag")), replicas=3),),
        before=(
            applied(deployment(pod(container()), replicas=3)),
            awaited("deployment/web", "condition=Available"),
        ),
        fault=Fault("image", WEB, r"base:no-such-tag.*not found", "GRACE_IMAGE_MISSING_S"),
    ),
    Scenario(
        "daemonset-image-not-found",
        "A healthy DaemonSet is updated to a tag that does not exist.",
        (daemon_set(pod(image("{registry}/base:no-such-tag"))),),
        before=(
            applied(daemon_set(pod(container()))),
            awaited("daemonset/agent", "jsonpath={.status.numberReady}=1"),
        ),
        fault=Fault(
            "image", "DaemonSet/agent", r"base:no-such-tag.*not found", "GRACE_IMAGE_MISSING_S"
        ),
    ),
    Scenario(
        "job-image-not-found",
        "A Job whose image does not exist never fails by itself.",
        (job(pod(image("{registry}/base:no-such-tag"))),),
        fault=Fault(
            "image", "Job/migrate", r"base:no-such-tag.*not found", "GRACE_IMAGE_MISSING_S"
        ),
    ),
    Scenario(
        "init-image-not-found",
        "The image of an init container does not exist.",
        (
            deployment(
                pod(
                    container(),
                    initContainers=[image("{registry}/base:no-such-tag", name="migrate")],
                )
            ),
        ),
        fault=Fault(
            "init or sidecar", WEB, r"migrate.*base:no-such-tag.*not found", "GRACE_IMAGE_MISSING_S"
        ),
    ),
    Scenario(
        "registry-refuses",
        "Nobody answers at the registry's address, which could change until the fifth try.",
        (deployment(pod(image(_REFUSED))),),
        fault=Fault("registry", WEB, r"connection refused", "GRACE_IMAGE_TROUBLE_S"),
        lasts_s=205,
    ),
)

CONFIGURATION = (
    Scenario(
        "env-secret-missing",
        "A variable comes from a Secret that nobody made.",
        (deployment(pod(_password()), replicas=2),),
        fault=Fault(
            "configuration", WEB, r'(?i)secret "?db"? (not found|is missing)', "GRACE_CONFIG_S"
        ),
        lasts_s=35,
    ),
    Scenario(
        "env-key-missing",
        "The Secret is there, its key is not.",
        (secret(user="shop"), deployment(pod(_password()))),
        fault=Fault("configuration", WEB, r"key password", "GRACE_CONFIG_S"),
        lasts_s=35,
    ),
    Scenario(
        "volume-configmap-missing",
        "A volume shows a ConfigMap that nobody made: only events tell.",
        (deployment(mounted({"configMap": {"name": "settings"}})),),
        fault=Fault(
            "configuration",
            WEB,
            r'(?i)configmap "?settings"? (not found|is missing)',
            "GRACE_CONFIG_S",
        ),
        lasts_s=35,
    ),
    Scenario(
        "volume-key-missing",
        "A volume shows a key that its ConfigMap does not have.",
        (
            config_map(mode="fast"),
            deployment(
                mounted(
                    {"configMap": {"name": "settings", "items": [{"key": "limits", "path": "x"}]}}
                )
            ),
        ),
        fault=Fault("configuration", WEB, r"non-existent config key: limits", "GRACE_CONFIG_S"),
        lasts_s=35,
    ),
    Scenario(
        "host-path-missing",
        "The folder on the node is not there.",
        (deployment(mounted({"hostPath": {"path": "/no-such-folder", "type": "Directory"}})),),
        fault=Fault("configuration", WEB, r"hostPath type check failed", "GRACE_CONFIG_S"),
        lasts_s=35,
    ),
)

COMMANDS = (
    Scenario(
        "command-not-found",
        "The program is not in the image.",
        (deployment(pod(container(command=["/bin/no-such-program"])), replicas=2),),
        fault=Fault("start", WEB, r"no-such-program.*no such file", "GRACE_START_S"),
    ),
    Scenario(
        "command-not-executable",
        "The program is a file that cannot be run.",
        (deployment(pod(container(command=["/etc/passwd"]))),),
        fault=Fault("start", WEB, r"/etc/passwd.*permission denied", "GRACE_START_S"),
    ),
)

PLACES = (
    Scenario(
        "unschedulable",
        "No node has the label that the pod asks for; a cluster may still grow one.",
        (deployment(pod(container(), nodeSelector={"example.com/disk": "none-such"})),),
        fault=Fault(
            "scheduling", WEB, r"didn't match Pod's node affinity", "GRACE_UNSCHEDULABLE_S"
        ),
        lasts_s=305,
    ),
    Scenario(
        "pod-fails",
        "A pod of its own ends with an error.",
        (bare_pod(pod(container("sleep 1; echo disk is full; exit 3"))),),
        fault=Fault("pod", "Pod/check", r"exit code 3", "GRACE_PERMANENT_S", "disk is full"),
    ),
    Scenario(
        "deleted-meanwhile",
        "Somebody deletes the Deployment while it starts.",
        (deployment(pod(container(readinessProbe=NEVER_READY))),),
        during=(Step(5, kubectl("delete", "deployment/web", "--wait=false")),),
        fault=Fault("gone", WEB, r"gone|deleted|not exist", "GRACE_GONE_S"),
    ),
)

TIMEOUTS = (
    Scenario(
        "never-ready",
        "The readiness probe never passes: it might tomorrow.",
        (deployment(pod(container(readinessProbe=NEVER_READY))),),
        fault=Fault("", WEB, r"(?s)readiness probe.*no disk"),
        only_s=15,
    ),
    Scenario(
        "never-ready-http",
        "The health page answers 404.",
        (
            deployment(
                pod(
                    container(
                        "exec python3 -m http.server 8080",
                        readinessProbe={
                            "httpGet": {"path": "/healthz", "port": 8080},
                            "periodSeconds": 1,
                        },
                    )
                )
            ),
        ),
        fault=Fault("", WEB, r"statuscode: 404"),
        only_s=15,
    ),
    Scenario(
        "job-runs-too-long",
        "A Job that is still at it when the time is over.",
        (job(pod(container(IDLE))),),
        fault=Fault("", "Job/migrate", r"running|0 of 1"),
        only_s=10,
    ),
)

SCENARIOS = IMAGES + CONFIGURATION + COMMANDS + PLACES + TIMEOUTS
