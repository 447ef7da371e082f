"""The judge against rollouts recorded on a real cluster."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from codexctl_tasks.rollout.judge import State
from tests.support.replay import replay

RECORDINGS = sorted(Path(__file__).parents[2].joinpath("recordings").glob("*.jsonl.gz"))
UNENDED = {"job-fails-once-then-fine"}
"""Recordings that stop before their rollout is ready."""

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
    "service-account-missing": ("pods cannot be created", 35),
    "job-backoff-0": ("job failed", 5),
    "job-deadline": ("job failed", 15),
    "job-pod-failure-policy": ("job failed", 6),
    "pod-bare": ("pod failed", 6),
}
"""The headline that must be named, and the second by which it must be."""


def _expected(recording: Path) -> str:
    with gzip.open(recording) as lines:
        return str(json.loads(next(iter(lines)))["expect"])


def _named(expectation: str) -> list[Path]:
    return [r for r in RECORDINGS if _expected(r) == expectation]


def _name(recording: Path) -> str:
    return recording.name.removesuffix(".jsonl.gz")


@pytest.mark.parametrize("recording", _named("healthy"), ids=_name)
def test_a_rollout_that_became_healthy_is_never_failed(recording: Path) -> None:
    """No false alarm, however bad it looked on the way; at its end the rollout is ready."""
    result = replay(recording)

    assert result.failures == {}
    if _name(recording) not in UNENDED:
        assert {v.state for v in result.last.values()} <= {State.READY}


@pytest.mark.parametrize("recording", _named("broken"), ids=_name)
def test_a_broken_rollout_is_failed(recording: Path) -> None:
    """Every broken rollout of the kinds covered ends as failed: no time-out, no false green."""
    result = replay(recording)

    assert result.failures
    assert result.ended_ready_at_s is None


@pytest.mark.parametrize(("name", "cause"), CAUSES.items(), ids=CAUSES)
def test_the_cause_is_named_in_time(name: str, cause: tuple[str, float]) -> None:
    """A person reads the cause in the headline, within the grace that its class has."""
    recording = next(r for r in RECORDINGS if _name(r) == name)
    headline, within_s = cause

    failures = replay(recording).failures.values()

    assert any(headline in verdict.detail and at_s <= within_s for at_s, verdict in failures), [
        (at_s, verdict.detail) for at_s, verdict in failures
    ]
