"""Secrets on a real cluster: missing, late, and never shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster

PATIENCE = ("--wait-timeout", "120s")


def _secret(name: str, value: str = "swordfish") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "stringData": {"password": value},
    }


def _reads_secret(name: str) -> dict[str, Any]:
    reference = {"secretKeyRef": {"name": name, "key": "password"}}
    return {"env": [{"name": "PASSWORD", "valueFrom": reference}]}


def test_a_secret_that_nobody_makes_fails_the_rollout(playground: Playground) -> None:
    """The missing object is named; no waiting for the time-out."""
    playground.write(playground.workload("web", **_reads_secret("db")))

    result = playground.codexctl("apply-wait", *PATIENCE)

    assert result.returncode == 1
    assert "Secret db is missing" in result.stderr


def test_a_secret_that_comes_late_does_not_fail_the_rollout(playground: Playground) -> None:
    """No false alarm: another tool may make the Secret while codexctl waits."""
    playground.write(playground.workload("web", **_reads_secret("db")))
    assert playground.codexctl("apply").returncode == 0
    late = playground.start("wait", *PATIENCE)
    playground.write(_secret("db"))
    assert playground.codexctl("apply").returncode == 0

    _, report = late.communicate()

    assert late.returncode == 0, report


def test_the_value_of_a_secret_is_masked_in_logs_and_report(playground: Playground) -> None:
    """A program that prints its password does not make codexctl print it."""
    playground.write(
        _secret("db"),
        playground.workload(
            "web",
            "echo login with $PASSWORD; exit 1",
            readinessProbe={"exec": {"command": ["false"]}},  # not ready even for a moment
            **_reads_secret("db"),
        ),
    )

    result = playground.codexctl("apply-wait", "--output", "json", "--wait-timeout", "25s")

    assert "login with ***" in result.stderr
    assert "swordfish" not in result.stderr + result.stdout
