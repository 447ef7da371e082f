"""The main job against a real cluster: what goes well, and what it prints."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster

READY_PROBE = {"exec": {"command": ["true"]}, "periodSeconds": 1}
PATIENCE = ("--wait-timeout", "120s")


def _secret(name: str, value: str = "swordfish") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "stringData": {"password": value},
    }


def test_a_healthy_stack_ends_with_zero_and_a_second_run_changes_nothing(
    playground: Playground,
) -> None:
    """The first run creates everything and waits; the next one finds it as desired."""
    playground.write(_secret("db"), playground.workload("web", readinessProbe=READY_PROBE))

    first = playground.codexctl("apply-wait", *PATIENCE)
    second = playground.codexctl("apply-wait", *PATIENCE)

    assert first.returncode == 0, first.stderr
    assert f"created   Deployment {playground.namespace}/web" in first.stderr
    assert "HEALTHY  1 ready" in first.stderr
    assert playground.kubectl("get", "deployment", "web")["status"]["readyReplicas"] == 1
    assert second.returncode == 0, second.stderr
    assert "apply    2 unchanged" in second.stderr
    assert "created" not in second.stderr


def test_the_report_is_available_as_json(playground: Playground) -> None:
    """Stdout holds one JSON document and nothing else."""
    playground.write(playground.workload("web"))

    result = playground.codexctl("apply-wait", "--output", "json", *PATIENCE)

    report = json.loads(result.stdout)
    assert report["exitCode"] == 0
    assert [(w["kind"], w["name"], w["outcome"]) for w in report["workloads"]] == [
        ("Deployment", "web", "ready")
    ]


def test_wait_alone_judges_what_is_there(playground: Playground) -> None:
    """`wait` applies nothing; what does not exist is an error with its manifest's line."""
    playground.write(playground.workload("web"))

    absent = playground.codexctl("wait")
    applied = playground.codexctl("apply")
    present = playground.codexctl("wait", *PATIENCE)

    assert absent.returncode == 4
    assert "all.yaml:1: Deployment" in absent.stderr
    assert "does not exist in the cluster: apply it first" in absent.stderr
    assert applied.returncode == 0
    assert "HEALTHY" not in applied.stderr
    assert present.returncode == 0


def test_destroy_removes_everything_and_may_be_repeated(playground: Playground) -> None:
    """Nothing of the stack is left; a second destroy has nothing to do."""
    playground.write(_secret("db"), playground.workload("web"))
    assert playground.codexctl("apply-wait", *PATIENCE).returncode == 0

    first = playground.codexctl("destroy")
    second = playground.codexctl("destroy")

    assert first.returncode == 0, first.stderr
    assert playground.kubectl("get", "deployments,secrets,pods")["items"] == []
    assert second.returncode == 0
    assert "deleted" not in second.stderr


def test_a_definition_and_its_resource_may_come_together(playground: Playground) -> None:
    """A CustomResourceDefinition is served before its first resource is sent."""
    group = f"{playground.namespace}.example.com"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }
    widget = {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "one"}}
    playground.write(widget, definition)

    result = playground.codexctl("apply-wait", *PATIENCE)
    gone = playground.codexctl("destroy")

    assert result.returncode == 0, result.stderr
    assert gone.returncode == 0, gone.stderr
