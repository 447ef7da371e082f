"""Waves against a real cluster: one begins when the one before is healthy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster

PATIENCE = ("--wait-timeout", "120s")


def test_a_wave_is_applied_when_the_one_before_is_healthy(playground: Playground) -> None:
    """The API starts only after the migration is complete."""
    api = playground.workload("api")
    api["metadata"]["annotations"] = {"codexctl/wave": "1"}
    playground.write(api, playground.job("migrate", "sleep 1"))

    result = playground.codexctl("apply-wait", *PATIENCE)

    assert result.returncode == 0, result.stderr
    done = playground.kubectl("get", "job", "migrate")["status"]["completionTime"]
    begun = playground.kubectl("get", "deployment", "api")["metadata"]["creationTimestamp"]
    assert done <= begun


def test_a_wave_after_a_broken_one_is_not_applied(playground: Playground) -> None:
    """What was left out is listed as skipped."""
    api = playground.workload("api")
    api["metadata"]["annotations"] = {"codexctl/wave": "1"}
    playground.write(api, playground.job("migrate", "exit 1"))

    result = playground.codexctl("apply-wait", *PATIENCE)

    assert result.returncode == 1
    assert "Deployment" in result.stderr.split("FAILED", 1)[1]
    assert "SKIPPED" in result.stderr
    assert playground.kubectl("get", "deployments")["items"] == []
