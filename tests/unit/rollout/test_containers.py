"""Symptoms of pods and their containers, and of which pods they count."""

from __future__ import annotations

import math
from typing import Any

import pytest

from codexctl_tasks.rollout.examination import READY_BESIDE_S, find_symptoms, new_pods
from codexctl_tasks.rollout.symptoms import (
    CRASH_LIMIT,
    CRASH_LIMIT_BESIDE_READY,
    GRACE_CONFIG_S,
    GRACE_IMAGE_MISSING_S,
    GRACE_IMAGE_TROUBLE_S,
    GRACE_OLD_CRASH_S,
    GRACE_START_S,
    GRACE_START_TROUBLE_S,
    Baseline,
    Site,
    Symptom,
)
from tests.support.objects import (
    REVISION,
    condition,
    crashed,
    deployment,
    event,
    found,
    pod,
    replica_set,
    running,
    target,
    view_of,
    waiting,
)

NOTHING = Baseline(restarts={})


def _symptoms(*pods: dict[str, Any], events: Any = (), baseline: Baseline = NOTHING) -> Any:
    web = deployment()
    view = view_of(web, replica_set(), *pods, *events)
    return find_symptoms(target(), web, view, baseline)


def _one(*pods: dict[str, Any], **more: Any) -> Symptom:
    symptom: Symptom
    [symptom] = _symptoms(*pods, **more)
    return symptom


SCHEDULED = {"conditions": [condition("PodScheduled")]}
PULL = 'failed to pull and unpack image "reg.example/web:1": '
STARTS = 'failed to create task: exec: "/run": '
ENDED = {"terminated": {"exitCode": 128, "reason": "StartError"}}

WAITING: dict[str, tuple[dict[str, Any], str, float]] = {
    "image name": (waiting("InvalidImageName", "couldn't parse"), "invalid image name", 0),
    "never pulled": (waiting("ErrImageNeverPull"), "image is not on the node", 0),
    "not found": (
        waiting(
            "ErrImagePull", PULL + 'failed to resolve reference "reg.example/web:1": not found'
        ),
        "image not found",
        GRACE_IMAGE_MISSING_S,
    ),
    "denied": (
        waiting("ImagePullBackOff", PULL + "pull access denied, repository does not exist"),
        "access to the image denied",
        GRACE_IMAGE_MISSING_S,
    ),
    "platform": (
        waiting("ErrImagePull", PULL + "no match for platform in manifest: not found"),
        "image has no build for this node's architecture",
        GRACE_IMAGE_MISSING_S,
    ),
    "refused connection": (
        waiting("ErrImagePull", PULL + "dial tcp 10.0.0.1:443: connect: connection refused"),
        "image cannot be pulled",
        GRACE_IMAGE_TROUBLE_S,
    ),
    "too many requests": (
        waiting("ErrImagePull", PULL + "failed with status code [manifests v1]: 429 Too Many"),
        "image cannot be pulled",
        GRACE_IMAGE_TROUBLE_S,
    ),
    "address that looks like a reason": (
        waiting("ErrImagePull", PULL + 'Head "https://reg.example/404 Not Found": EOF'),
        "image cannot be pulled",
        GRACE_IMAGE_TROUBLE_S,
    ),
    "Secret": (
        waiting("CreateContainerConfigError", 'secret "db" not found'),
        "Secret db is missing",
        GRACE_CONFIG_S,
    ),
    "key": (
        waiting("CreateContainerConfigError", "couldn't find key password in Secret shop/db"),
        "configuration cannot be used",
        GRACE_CONFIG_S,
    ),
    "command": (
        waiting("RunContainerError", f"{STARTS}no such file or directory", lastState=ENDED),
        "container cannot start",
        GRACE_START_S,
    ),
    "unknown start error": (
        waiting("CreateContainerError", "context deadline exceeded"),
        "container cannot start",
        GRACE_START_TROUBLE_S,
    ),
    "first crash": (crashed(1), "crashed with exit code 1", math.inf),
    "crash loop": (crashed(CRASH_LIMIT), "crash loop, exit code 1", 0),
    "out of memory once": (crashed(1, 137, "OOMKilled"), "out of memory", math.inf),
    "out of memory again": (crashed(4, 137, "OOMKilled"), "crash loop, out of memory", 0),
    "loop of successes": (crashed(4, 0, "Completed"), "crash loop, exit code 0", 0),
}


@pytest.mark.parametrize(("status", "headline", "grace_s"), WAITING.values(), ids=WAITING)
def test_a_waiting_container_names_its_trouble(
    status: dict[str, Any], headline: str, grace_s: float
) -> None:
    """Each kind of trouble has its headline, its grace, and the place where it shows."""
    symptom = _one(pod("web-1-a", status))

    assert (symptom.headline, symptom.grace_s) == (headline, grace_s)
    assert symptom.site == Site("web-1-a", "app", "Pod-web-1-a")
    assert "container app" in symptom.cause
    assert "\n" not in symptom.cause


@pytest.mark.parametrize(
    "image",
    ["reg.example/404 Not Found/web:1", "reg.example/web:not-found", "not found.example/web:1"],
)
def test_names_of_images_are_no_reasons(image: str) -> None:
    """A tag that contains "not found" does not make a passing trouble permanent."""
    message = f'failed to pull and unpack image "{image}": dial tcp 10.0.0.1: i/o timeout'

    assert _one(pod("a", waiting("ErrImagePull", message, image=image))).grace_s == (
        GRACE_IMAGE_TROUBLE_S
    )


@pytest.mark.parametrize(
    "status",
    [
        waiting("ContainerCreating"),
        waiting("PodInitializing"),
        waiting("CreateContainerConfigError", "failed to sync secret cache: timed out"),
        running(3),
    ],
    ids=["creating", "initializing", "cache of the kubelet", "running again"],
)
def test_what_is_normal_is_no_symptom(status: dict[str, Any]) -> None:
    """Starting up, and the kubelet's own hiccups, alarm nobody."""
    assert _symptoms(pod("a", status)) == []


def test_crashes_before_our_apply_do_not_count() -> None:
    """A pod that has crashed for days fails the deploy only by new crashes."""
    before = Baseline(restarts={Site("a", "app", "Pod-a"): 40})

    assert _one(pod("a", crashed(43)), baseline=before).grace_s == math.inf
    assert _one(pod("a", crashed(44)), baseline=before).grace_s == 0


def test_beside_a_ready_pod_one_more_crash_is_allowed() -> None:
    """A Deployment of which some pods work gets more patience."""
    beside = Baseline(restarts={}, unready_s=READY_BESIDE_S - 1)

    assert _one(pod("bad", crashed(CRASH_LIMIT)), baseline=beside).grace_s == math.inf
    assert _one(pod("bad", crashed(CRASH_LIMIT_BESIDE_READY)), baseline=beside).grace_s == 0


def test_a_pod_that_crashed_before_gets_as_much_time_as_a_new_one() -> None:
    """A second run on an old crash loop does not wait for four restarts, minutes apart."""
    site = Site("a", "app", "Pod-a")
    early = Baseline(restarts={site: 8}, elapsed_s=GRACE_OLD_CRASH_S - 1)
    late = Baseline(restarts={site: 8}, elapsed_s=GRACE_OLD_CRASH_S)

    assert _one(pod("a", crashed(9)), baseline=early).grace_s == math.inf
    assert _one(pod("a", crashed(8)), baseline=late).grace_s == math.inf, "none since our apply"
    assert _one(pod("a", crashed(9)), baseline=late).grace_s == 0


def test_the_limit_of_crashes_can_be_chosen() -> None:
    """A program that needs more tries says so in its manifest."""
    web = deployment()
    view = view_of(web, replica_set(), pod("a", crashed(6)))

    [patient] = find_symptoms(target(crash_limit=7), web, view, NOTHING)
    [exact] = find_symptoms(target(crash_limit=6), web, view, NOTHING)

    assert (patient.grace_s, exact.grace_s) == (math.inf, 0)


def test_init_containers_count_and_may_end() -> None:
    """A migration that fails is named; one that has done its work is fine."""
    done = {"name": "wait", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
    spec = {"initContainers": [{"name": "wait"}, {"name": "log", "restartPolicy": "Always"}]}

    failing = pod("a", status={"initContainerStatuses": [{**crashed(4), "name": "migrate"}]})
    assert _one(failing).site.container == "migrate"
    assert _symptoms(pod("a", spec=spec, status={"initContainerStatuses": [done]})) == []
    sidecar = pod("a", spec=spec, status={"initContainerStatuses": [{**done, "name": "log"}]})
    assert _one(sidecar).headline == "crashed with exit code 0"


@pytest.mark.parametrize(
    ("message", "headline"),
    [
        (
            'MountVolume.SetUp failed for volume "c" : configmap "c" not found',
            "ConfigMap c is missing",
        ),
        ("MountVolume.SetUp failed: references non-existent config key: k", "configuration cannot"),
        (
            "MountVolume.SetUp failed: hostPath type check failed: /x",
            "configuration cannot be used",
        ),
    ],
)
def test_volumes_that_cannot_be_mounted_are_read_from_events(message: str, headline: str) -> None:
    """The pod itself says only ContainerCreating."""
    creating = pod("a", waiting("ContainerCreating"), status=SCHEDULED)

    symptom = _one(creating, events=[event(creating, "FailedMount", message)])
    assert symptom.headline.startswith(headline)
    assert symptom.grace_s == GRACE_CONFIG_S


def test_old_mount_trouble_is_forgotten() -> None:
    """The newest event decides, and none once the container runs."""
    creating = pod("a", waiting("ContainerCreating"), status=SCHEDULED)
    old = event(
        creating, "FailedMount", 'secret "s" not found', lastTimestamp="2024-01-01T00:00:01Z"
    )
    new = event(creating, "FailedMount", "timed out waiting", lastTimestamp="2024-01-01T00:00:02Z")

    assert _symptoms(creating, events=[old, new]) == []
    assert _symptoms(pod("a", running()), events=[old]) == []


def test_a_bare_pod_that_failed_names_its_exit() -> None:
    """A pod without a controller is not started again: its first exit is the cause."""
    ended = {"name": "app", "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}
    failed = found("Pod", "once", status={"phase": "Failed", "containerStatuses": [ended]})

    [symptom] = find_symptoms(target("Pod", "once"), failed, view_of(failed), NOTHING)

    assert (symptom.headline, symptom.grace_s) == ("pod failed", 0)
    assert symptom.cause == "container app: exit code 3 (Error)"
    assert symptom.site.container == "app"


def test_a_job_decides_about_its_crashes_itself() -> None:
    """BackoffLimit counts, not our limit; a bad image is still named."""
    job = found("Job", "job")
    [symptom] = find_symptoms(
        target("Job", "job"), job, view_of(job, pod("a", crashed(9), owner="Job-job")), NOTHING
    )
    assert symptom.grace_s == math.inf

    failed = found(
        "Job", "job", status={"conditions": [condition("Failed", reason="BackoffLimit")]}
    )
    [symptom] = find_symptoms(target("Job", "job"), failed, view_of(failed), NOTHING)
    assert (symptom.headline, symptom.grace_s) == ("job failed", 0)
    assert "BackoffLimit" in symptom.cause


@pytest.mark.parametrize(
    ("chosen", "elapsed_s", "grace_s"),
    [(None, 9999.0, math.inf), (10.0, 5.0, math.inf), (10.0, 10.0, 0.0)],
    ids=["default", "not yet", "due"],
)
def test_only_a_deadline_from_the_manifest_fails(
    chosen: float | None, elapsed_s: float, grace_s: float
) -> None:
    """Kubernetes' default of 600 s is named, but never ends a longer wait that was asked for."""
    exceeded = condition("Progressing", "False", reason="ProgressDeadlineExceeded", message="m")
    web = deployment(status={"conditions": [exceeded]})

    [symptom] = find_symptoms(
        target(progress_deadline_s=chosen),
        web,
        view_of(web),
        Baseline(restarts={}, elapsed_s=elapsed_s),
    )

    assert symptom.grace_s == grace_s


BAD = waiting("InvalidImageName", "x")


def _names(pods: Any) -> list[str]:
    return [p["metadata"]["name"] for p in pods]


def test_only_pods_of_the_newest_revision_count() -> None:
    """Old pods end in ugly ways that say nothing about this rollout, after a rollback too."""
    web = deployment(annotations={REVISION: "3"})
    sets = [replica_set("web-1", "3"), replica_set("web-2", "2")]
    pods = [
        pod("new"),
        pod("old", BAD, owner="ReplicaSet-web-2"),
        pod("leaving", BAD, deletionTimestamp="2024-01-01T00:00:00Z"),
        pod("stranger", BAD, owner="somebody"),
    ]

    assert _names(new_pods(web, view_of(web, *sets, *pods))) == ["new"]
    assert find_symptoms(target(), web, view_of(web, *sets, *pods), NOTHING) == []


def test_a_replica_set_that_is_not_seen_yet_is_waited_for() -> None:
    """Between two watches the old ReplicaSet may be the only one in sight: it is not judged."""
    web = deployment(annotations={REVISION: "2"})

    assert new_pods(web, view_of(web, replica_set("web-1", "1"), pod("old", BAD))) == []
    assert new_pods(web, view_of(web)) == []


def test_pods_of_a_stateful_set_are_told_apart_by_revision() -> None:
    """db-0 of the old revision is no symptom of the new one."""
    db = found("StatefulSet", "db", status={"updateRevision": "db-2"})
    labels = "controller-revision-hash"
    pods = [
        pod("db-0", BAD, owner="StatefulSet-db", labels={labels: "db-1"}),
        pod("db-1", owner="StatefulSet-db", labels={labels: "db-2"}),
    ]

    assert _names(new_pods(db, view_of(db, *pods))) == ["db-1"]


def test_pods_of_a_daemon_set_are_told_apart_by_generation() -> None:
    """A broken pod that the controller is about to replace does not fail the correction."""
    agent = found(
        "DaemonSet", "agent", annotations={"deprecated.daemonset.template.generation": "2"}
    )
    pods = [
        pod("agent-a", BAD, owner="DaemonSet-agent", labels={"pod-template-generation": "1"}),
        pod("agent-b", owner="DaemonSet-agent", labels={"pod-template-generation": "2"}),
    ]

    assert _names(new_pods(agent, view_of(agent, *pods))) == ["agent-b"]
