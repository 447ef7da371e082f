"""`codexctl explain` on the real cluster: what is wrong now, without deploying."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.support.shell import run

if TYPE_CHECKING:
    import subprocess

    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster

CRASH = "echo 'cannot open the ledger'; exit 3"


def _explain(playground: Playground, *words: str) -> subprocess.CompletedProcess[str]:
    where = ("--namespace", playground.namespace)
    return run("explain", *words, *where, cwd=playground.folder, env=playground.environment)


def test_what_is_broken_is_explained_without_deploying(playground: Playground) -> None:
    """Cause, place, log and hint of whatever is not healthy; nothing is changed by it."""
    playground.write(
        playground.workload("fine", readinessProbe={"exec": {"command": ["true"]}}),
        playground.workload("lost", image=f"{playground.image}-nosuch"),
        playground.job("ledger", CRASH),
    )
    assert playground.codexctl("apply-wait").returncode == 1
    before = playground.kubectl("get", "deployments,jobs")["metadata"]

    done = _explain(playground)

    assert done.returncode == 1
    assert done.stderr.startswith(f"UNHEALTHY  namespace {playground.namespace}: 2 of 3 objects")
    assert re.search(r"Deployment \S+/lost  FAILED  image not found", done.stderr)
    assert re.search(r"Job \S+/ledger  FAILED  job failed", done.stderr)
    assert "| cannot open the ledger" in done.stderr
    assert "fine" not in done.stderr
    assert playground.kubectl("get", "deployments,jobs")["metadata"] == before


def test_one_object_and_its_line(playground: Playground) -> None:
    """With the manifests at hand the report leads to the line; programs get JSON."""
    playground.write(playground.workload("lost", image=f"{playground.image}-nosuch"))
    assert playground.codexctl("apply-wait").returncode == 1

    done = _explain(playground, "deploy/lost", "--manifests", str(playground.folder))
    as_json = _explain(playground, "deployment/lost", "--output", "json")

    assert (done.returncode, as_json.returncode) == (1, 1)
    assert "all.yaml:1" in done.stderr
    [workload] = json.loads(as_json.stdout)["workloads"]
    assert (workload["name"], workload["outcome"]) == ("lost", "failed")


def test_a_healthy_object(playground: Playground) -> None:
    """Exit code 0, so that a script can ask."""
    playground.write(playground.workload("fine"))
    assert playground.codexctl("apply-wait").returncode == 0

    done = _explain(playground, "deployment/fine")

    assert done.returncode == 0
    assert "all ready" in done.stderr
    assert _explain(playground, "deployment/nosuch").returncode == 4
    assert _explain(playground, "nosuchkind/fine").returncode == 2
