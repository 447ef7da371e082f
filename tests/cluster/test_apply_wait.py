"""The main job against a real cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster

READY_PROBE = {"exec": {"command": ["true"]}, "periodSeconds": 1}
NEVER_READY_PROBE = {"exec": {"command": ["sh", "-c", "echo no disk; exit 1"]}, "periodSeconds": 1}
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
    assert "unchanged 2 objects" in second.stderr
    assert "created" not in second.stderr


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


def test_a_crash_is_told_with_its_log_before_any_verdict(playground: Playground) -> None:
    """The log line is there although the time runs out before the verdict: exit code 70."""
    playground.write(playground.workload("web", "echo cannot reach the database; exit 3"))

    result = playground.codexctl("apply-wait", "--wait-timeout", "10s")

    assert result.returncode == 70
    assert "container app: exit code 3" in result.stderr
    assert "| cannot reach the database" in result.stderr
    assert "TIMED OUT" in result.stderr


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


def test_the_report_is_available_as_json(playground: Playground) -> None:
    """Stdout holds one JSON document and nothing else."""
    playground.write(playground.workload("web"))

    result = playground.codexctl("apply-wait", "--output", "json", *PATIENCE)

    report = json.loads(result.stdout)
    assert report["exitCode"] == 0
    assert [(w["kind"], w["name"], w["outcome"]) for w in report["workloads"]] == [
        ("Deployment", "web", "ready")
    ]


def test_the_value_of_a_secret_is_masked_in_logs_and_report(playground: Playground) -> None:
    """A program that prints its password does not make codexctl print it."""
    playground.write(
        _secret("db"),
        playground.workload("web", "echo login with $PASSWORD; exit 1", **_reads_secret("db")),
    )

    result = playground.codexctl("apply-wait", "--output", "json", "--wait-timeout", "6s")

    assert "login with ***" in result.stderr
    assert "swordfish" not in result.stderr + result.stdout


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
