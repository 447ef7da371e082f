"""The judge against rollouts recorded on a real cluster."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.rollout.judge import State
from tests.support.replay import replay

if TYPE_CHECKING:
    from collections.abc import Collection

RECORDINGS = sorted(Path(__file__).parents[2].joinpath("recordings").glob("*.jsonl.gz"))
UNENDED = {"job-fails-once-then-fine"}
"""Recordings that stop before their rollout is ready."""

REFUSED = {"immutable-fields", "namespace-terminating", "pod-template-invalid"}
"""The server refuses the apply itself: there is no rollout to judge."""

OWN_FAULT = {
    "deadline-then-slow-fix": "its manifest calls 10 s without progress a failure; it needed 21 s",
    "volume-configmap-later": "its ConfigMap is made 70 s after the apply; the grace is 30 s",
    "image-pushed-later": "pushed 35 s after the apply; the grace of a missing image is 20 s",
}
"""Rollouts that became healthy after all, and are failed before, with the reason."""

HEALED = {
    "node-cordoned": "somebody lets the node take pods again, after 40 s",
    "recreated-while-waiting": "another apply made the Deployment anew after 4 s",
    "statefulset-parallel-broken-then-fixed": "with Parallel the controller replaces broken pods",
}
"""Rollouts that were broken for a while, and then became healthy: judged as that."""

GREEN_AT_FIRST = {
    "crash-after-15s": "it runs for 15 s without a probe; nobody waits for so long",
    "evicted": "it runs for 46 s before its node sends it away",
}
"""Rollouts that were healthy for long before they broke."""

EXPLAINED = {
    "crash-one-of-three": "crash loop, exit code 1",
    "host-port-update": "unschedulable",
    "image-hangs": "image is being pulled",
    "image-not-found-behind-mirror": "image cannot be pulled",
    "image-refused": "image cannot be pulled",
    "post-start-fails": "crash loop",
    "readiness-http": "readiness probe fails",
    "runtime-class-unknown": "pod cannot be set up on its node",
    "unschedulable": "unschedulable",
}
"""Rollouts whose recording ends before their grace, or that only a time-out can tell: the cause
that must be named meanwhile."""

CAUSES = {
    "image-name-invalid": ("invalid image name", 3),
    "image-never-pull": ("image is not on the node", 3),
    "image-not-found": ("image not found", 25),
    "image-401": ("access to the image denied", 25),
    "image-403": ("access to the image denied", 25),
    "daemonset-bad-image": ("image not found", 45),
    "job-image-not-found": ("image not found", 25),
    "init-image-not-found": ("image not found", 25),
    "update-to-broken-image": ("image not found", 60),
    "env-secret-missing": ("Secret db is missing", 35),
    "env-configmap-missing": ("ConfigMap settings is missing", 35),
    "env-secret-key-missing": ("configuration cannot be used", 35),
    "volume-secret-missing": ("is missing", 35),
    "command-not-found": ("container cannot start", 30),
    "command-not-executable": ("container cannot start", 30),
    "crash-at-once": ("crash loop, exit code", 100),
    "exit-0-loop": ("crash loop, exit code 0", 100),
    "oom-killed": ("crash loop, out of memory", 100),
    "init-crash": ("crash loop", 100),
    "sidecar-crash": ("crash loop", 100),
    "pod-security": ("pods cannot be created", 20),
    "limit-range": ("pods cannot be created", 20),
    "service-account-missing": ("ServiceAccount nosuch is missing", 35),
    "job-backoff-0": ("job failed", 5),
    "job-deadline": ("job failed", 15),
    "job-pod-failure-policy": ("job failed", 6),
    "pod-bare": ("pod failed", 6),
    "crash-after-4s": ("crash loop, exit code", 130),
    "liveness-kills-slow-starter": ("crash loop, exit code 137", 100),
    "crd-kinds": ("custom kind is not accepted", 26),
    "deleted-while-waiting": ("was deleted", 25),
    "pvc-kinds": ("StorageClass nosuch is missing", 65),
    "quota-exceeded": ("pods cannot be created", 65),
    "statefulset-broken-then-fixed": ("a broken pod of the old revision is in the way", 33),
    "statefulset-crash-then-fixed": ("a broken pod of the old revision is in the way", 33),
    "image-pull-texts-1": ("image not found", 25),
}
"""The headline that must be named, and the second by which it must be."""


def _expected(recording: Path) -> str:
    with gzip.open(recording) as lines:
        return str(json.loads(next(iter(lines)))["expect"])


def _named(expectation: str, *, but: Collection[str]) -> list[Path]:
    return [r for r in RECORDINGS if _expected(r) == expectation and _name(r) not in but]


def _name(recording: Path) -> str:
    return recording.name.removesuffix(".jsonl.gz")


def _recording(name: str) -> Path:
    return next(r for r in RECORDINGS if _name(r) == name)


@pytest.mark.parametrize("recording", _named("healthy", but=OWN_FAULT), ids=_name)
def test_a_rollout_that_became_healthy_is_never_failed(recording: Path) -> None:
    """No false alarm, however bad it looked on the way; at its end the rollout is ready."""
    result = replay(recording)

    assert result.failures == {}
    if _name(recording) not in UNENDED:
        assert {v.state for v in result.last.values()} <= {State.READY}


@pytest.mark.parametrize(
    "recording", _named("broken", but=REFUSED | {*EXPLAINED, *HEALED, *GREEN_AT_FIRST}), ids=_name
)
def test_a_broken_rollout_is_failed(recording: Path) -> None:
    """Every broken rollout of the kinds covered ends as failed: no time-out, no false green."""
    result = replay(recording)

    assert result.failures
    failed_at_s = min(at_s for at_s, _ in result.failures.values())
    assert result.ended_ready_at_s is None or result.ended_ready_at_s > failed_at_s


@pytest.mark.parametrize(("name", "cause"), EXPLAINED.items(), ids=EXPLAINED)
def test_what_only_time_can_tell_is_explained(name: str, cause: str) -> None:
    """Neither green nor failed too early: whoever looks, reads what it waits for."""
    result = replay(_recording(name))

    assert result.failures == {}
    assert result.ended_ready_at_s is None
    assert any(cause in verdict.detail for verdict in result.last.values())


@pytest.mark.parametrize("name", [*HEALED, *GREEN_AT_FIRST, *OWN_FAULT])
def test_known_limits(name: str) -> None:
    """What is judged otherwise than with hindsight is known, and nothing else is."""
    result = replay(_recording(name))

    assert bool(result.failures) == (name in OWN_FAULT or name == "crash-after-15s")
    assert result.ended_ready_at_s is not None


@pytest.mark.parametrize(("name", "cause"), CAUSES.items(), ids=CAUSES)
def test_the_cause_is_named_in_time(name: str, cause: tuple[str, float]) -> None:
    """A person reads the cause in the headline, within the grace that its class has."""
    headline, within_s = cause

    failures = replay(_recording(name)).failures.values()

    assert any(headline in verdict.detail and at_s <= within_s for at_s, verdict in failures), [
        (at_s, verdict.detail) for at_s, verdict in failures
    ]
