"""Why a workload is not healthy, in words that help."""

from __future__ import annotations

from typing import Any

from codexctl_tasks.rollout.diagnosis import MOST_EVENTS, Diagnosis, diagnose
from codexctl_tasks.rollout.judge import Judge
from tests.support.objects import (
    condition,
    deployment,
    event,
    pod,
    replica_set,
    target,
    view_of,
    waiting,
)

NOT_FOUND = waiting("ErrImagePull", "manifest unknown")


def _diagnosis(*objects: dict[str, Any], log: tuple[str, ...] = ()) -> Diagnosis:
    view = view_of(*objects)
    [verdict] = Judge(lambda *_: "").judge([target()], view, 0.0)
    return diagnose(verdict, view, log)


def test_the_cause_with_place_and_hint() -> None:
    """What, where, on how many pods, and what to do about it."""
    pods = [pod("a", NOT_FOUND), pod("b", NOT_FOUND), pod("c", waiting("ContainerCreating"))]

    diagnosis = _diagnosis(deployment(), replica_set(), *pods, log=("last words",))

    assert diagnosis.cause == (
        "container app: image reg.example/web:1: image not found (ErrImagePull)"
    )
    assert diagnosis.where == "pod a (2 of 3 pods show the same)"
    assert diagnosis.hint == "the tag was not pushed, or the name is misspelt"
    assert diagnosis.log == ("last words",)


def test_different_causes_are_all_named_once() -> None:
    """Two pods, two troubles: the decisive one first, none twice."""
    pods = [
        pod("a", waiting("ErrImagePull", "i/o timeout")),
        pod("b", NOT_FOUND),
        pod("c", NOT_FOUND),
    ]

    causes = _diagnosis(deployment(), replica_set(), *pods).cause.split("; ")

    assert len(causes) == 2
    assert "image not found" in causes[0]
    assert "i/o timeout" in causes[1]


def test_a_single_pod_needs_no_count() -> None:
    """One of one would tell nothing."""
    assert _diagnosis(deployment(), replica_set(), pod("a", NOT_FOUND)).where == "pod a"


def test_what_cannot_be_scheduled_is_explained_by_the_scheduler() -> None:
    """The scheduler's own words are the cause."""
    message = "0/1 nodes are available: 1 Insufficient cpu."
    unscheduled = condition("PodScheduled", "False", reason="Unschedulable", message=message)
    pending = pod("a", status={"conditions": [unscheduled]})

    diagnosis = _diagnosis(deployment(), replica_set(), pending)

    assert (diagnosis.cause, diagnosis.where) == (f"{message} (Unschedulable)", "pod a")


def test_a_failing_probe_is_read_from_the_newest_warning() -> None:
    """A pod that runs but never gets ready is explained by its events."""
    probe = {"httpGet": {"port": 8080, "path": "/healthz"}}
    spec = {"containers": [{"name": "app", "readinessProbe": probe}]}
    silent = pod("a", status={"phase": "Running"}, spec=spec)
    old = event(silent, "Started", "x", lastTimestamp="2024-01-01T00:00:01Z")
    new = event(
        silent, "Unhealthy", "Readiness probe\nfailed: 500", lastTimestamp="2024-01-01T00:00:02Z"
    )
    new["involvedObject"]["fieldPath"] = "spec.containers{app}"

    diagnosis = _diagnosis(deployment(), replica_set(), silent, new, old)

    assert diagnosis.cause == (
        "container app: readiness probe GET :8080/healthz failed: 500 (Unhealthy)"
    )
    assert diagnosis.where == "pod a"


def test_silence_is_named_too() -> None:
    """Nothing known is said as such, instead of an empty cause."""
    assert _diagnosis(deployment()).cause == "no pods yet"
    assert _diagnosis(deployment(), replica_set(), pod("a")).cause == (
        "pods are running but not ready"
    )
    assert _diagnosis().cause == "Deployment shop/web was deleted after it was applied"


def test_events_are_merged_over_pods_and_limited() -> None:
    """Ten pods with the same event are one line with its count; normal events are left out."""
    pods = [pod(f"p{n}", NOT_FOUND) for n in range(3)]
    events = [event(p, "Failed", f"cannot start {p['metadata']['name']}", count=2) for p in pods]
    events += [event(pods[0], f"Odd{n}", f"odd {n}") for n in range(MOST_EVENTS + 2)]
    events.append(event(pods[0], "Pulled", "fine", type="Normal"))

    shown = _diagnosis(deployment(), replica_set(), *pods, *events[:3]).events
    assert shown == ("Failed x6: cannot start *",)
    shown = _diagnosis(deployment(), replica_set(), *pods, *events).events
    assert len(shown) == MOST_EVENTS
    assert not [line for line in shown if "fine" in line]
