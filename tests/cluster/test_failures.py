"""Rollouts that fail on a real cluster: the cause is named, early."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster

NEVER_READY_PROBE = {"exec": {"command": ["sh", "-c", "echo no disk; exit 1"]}, "periodSeconds": 1}
PATIENCE = ("--wait-timeout", "120s")


def test_a_missing_image_is_named_with_its_place(playground: Playground) -> None:
    """Exit code 1; image, pod, hint and the line of the manifest; the healthy one is ready."""
    broken = playground.workload("web", image=playground.image + "-typo")
    playground.write(playground.workload("fine"), broken)

    result = playground.codexctl("apply-wait", *PATIENCE)

    assert result.returncode == 1
    assert "FAILED  1 ready, 1 failed" in result.stderr
    assert "web  FAILED  image not found" in result.stderr
    assert f"image {playground.image}-typo: image not found" in result.stderr
    assert "hint      the tag was not pushed, or the name is misspelt" in result.stderr
    assert "all.yaml:" in result.stderr


def test_a_failed_job_shows_the_log_of_its_pod(playground: Playground) -> None:
    """A migration that fails is a failure of the deploy, with the line that says why."""
    playground.write(playground.job("migrate", "echo no such table: users >&2; exit 1"))

    result = playground.codexctl("apply-wait", *PATIENCE)

    assert result.returncode == 1
    assert "Job " in result.stderr
    assert "FAILED  job failed" in result.stderr
    assert "| no such table: users" in result.stderr


def test_a_progress_deadline_of_the_manifest_fails_the_rollout(playground: Playground) -> None:
    """The team's own deadline counts, and the failing probe is in the report."""
    workload = playground.workload("web", readinessProbe=NEVER_READY_PROBE)
    workload["spec"]["progressDeadlineSeconds"] = 5
    playground.write(workload)

    result = playground.codexctl("apply-wait", *PATIENCE)

    assert result.returncode == 1
    assert "no progress for 5 s" in result.stderr
    assert "no disk" in result.stderr


def test_a_pod_that_never_gets_ready_times_out_with_its_probe(playground: Playground) -> None:
    """Failing probes never fail a rollout early; the time-out names them: exit code 70."""
    playground.write(playground.workload("web", readinessProbe=NEVER_READY_PROBE))

    result = playground.codexctl("apply-wait", "--wait-timeout", "8s")

    assert result.returncode == 70
    assert "TIMED OUT" in result.stderr
    assert "Readiness probe failed: no disk" in result.stderr


def test_a_crash_is_told_with_its_log_before_any_verdict(playground: Playground) -> None:
    """The log line is there although the time runs out before the verdict: exit code 70."""
    # Without a probe Kubernetes calls it ready for the moment before it crashes, which may be seen.
    crashing = "echo cannot reach the database; exit 3"
    playground.write(playground.workload("web", crashing, readinessProbe=NEVER_READY_PROBE))

    result = playground.codexctl("apply-wait", "--wait-timeout", "10s")

    assert result.returncode == 70
    assert "container app: exit code 3" in result.stderr
    assert "| cannot reach the database" in result.stderr
    assert "TIMED OUT" in result.stderr
