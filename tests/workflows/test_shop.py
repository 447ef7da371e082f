"""The main scenario: a push to the shop's repository, until its page answers in the cluster."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.act import Forge, Run
from tests.support.shell import QUICK_S, ROOT, clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.cluster

SHOP = ROOT / "examples/shop"
BASES = {"redis:7": "redis-server", "python:3.11-slim": "python3"}
"""What the shop stands on, and the program of each."""
PASSWORD = "sentinel-4711-of-the-shop"
CRASH = "raise SystemExit('no configuration found')\n"
BROKEN_IMAGE = "ARG PYTHON\nFROM $PYTHON\nRUN echo cannot compile this && exit 3\n"


@dataclass
class Stage:
    """A cluster and its registry, as a team's runner reaches them."""

    folder: Path
    tool_cache: Path
    cluster: dict[str, str] = field(repr=False)
    namespace: str = f"shop-workflow-{os.getpid()}"
    pushes: int = 0

    def push(self, files: dict[str, str] | None = None, **event: Any) -> Run:
        """Push the shop with some files changed: its own workflow runs; or by another *event*."""
        self.pushes += 1
        forge = Forge(self.folder / f"push-{self.pushes}", self.tool_cache)
        caller = forge.add_caller("team/shop", SHOP, files)
        registry = self.cluster["SANDBOX_REGISTRY"]
        run = forge.run(
            caller,
            "staging.yml",
            **event,
            secrets={
                "KUBECONFIG": Path(self.cluster["KUBECONFIG"]).read_text(),
                "SHOP_DB_PASSWORD": PASSWORD,
            },
            variables={"SHOP_REGISTRY": registry},
            env={
                "CODEXCTL_NAMESPACE": self.namespace,
                "SHOP_UPSTREAM": f"{registry}/upstream",
                **{name: v for name, v in self.cluster.items() if name != "KUBECONFIG"},
            },
        )
        for name in ("secret.env", "event.json"):  # the harness's own
            (forge.folder / name).unlink()
        return run

    def kubectl(self, *arguments: str) -> str:
        """Ask the cluster with an independent program."""
        program = self.cluster.get("SANDBOX_KUBECTL", "kubectl")
        return subprocess.check_output(
            [program, *arguments],
            env=clean_environment(**self.cluster),
            text=True,
            timeout=QUICK_S,
        )

    def page(self) -> str:
        """Return the page of the shop; the API server passes the request on."""
        path = f"/api/v1/namespaces/{self.namespace}/services/web:http/proxy/"
        return self.kubectl("get", "--raw", path)


@pytest.fixture(scope="module")
def stage(
    cluster_environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
    tool_cache: Path,
) -> Iterator[Stage]:
    for image, program in BASES.items():
        subprocess.run(
            [sys.executable, "-m", "sandbox", "push", f"upstream/{image}", "--", program],
            cwd=ROOT,
            env=clean_environment(**cluster_environment),
            check=True,
        )
    place = Stage(tmp_path_factory.mktemp("shop"), tool_cache, cluster_environment)
    yield place
    place.kubectl("delete", "namespace", place.namespace, "--ignore-not-found", "--wait=false")


@pytest.fixture(scope="module")
def deployed(stage: Stage) -> Run:
    return stage.push()


def test_a_dry_run_changes_nothing(stage: Stage) -> None:
    """Whoever starts the workflow by hand sees the plan first."""
    run = stage.push(event="workflow_dispatch", payload={"inputs": {"dry-run": "true"}})
    assert run.exit_code == 0, run.log[-5000:]
    assert run.outputs["result"] == "planned"
    assert any("create   Deployment" in line for line in run.lines)
    assert stage.namespace not in stage.kubectl("get", "namespaces", "-o", "name")


def test_a_push_brings_the_shop_to_its_customers(stage: Stage, deployed: Run) -> None:
    """One `uses:` line mirrors, builds, deploys and waits; then the page shows the products."""
    assert deployed.exit_code == 0, deployed.log[-5000:]
    assert "Mountain cheese" in stage.page()
    assert deployed.outputs["result"] == "healthy"
    assert deployed.outputs["namespace"] == stage.namespace
    assert deployed.outputs["url"] == "http://staging.shop.example.com"
    assert json.loads(deployed.outputs["report"])["failed"] == {}
    assert "healthy" in deployed.summary


def test_what_runs_is_what_was_built(stage: Stage, deployed: Run) -> None:
    """Pods have the digests that the step before has pinned."""
    digests = json.loads(deployed.outputs["digests"])
    path = "jsonpath={.spec.template.spec.containers[0].image}"
    image = stage.kubectl("-n", stage.namespace, "get", "deployment/web", "-o", path)
    assert image.endswith(f"@{digests['web']}")


def test_a_secret_is_nowhere_but_where_it_belongs(stage: Stage, deployed: Run) -> None:
    """Not in log, summary, outputs, workspace or temporary files; in the cluster in the Secret."""
    told = [line for line in deployed.log.splitlines() if "add-mask" not in line]
    assert PASSWORD not in "\n".join(told)
    assert not [
        path
        for path in stage.folder.rglob("*")
        if path.is_file() and PASSWORD.encode() in path.read_bytes()
    ]
    kinds = "deployments,configmaps,jobs,pods,events,replicasets,statefulsets,leases"
    assert PASSWORD not in stage.kubectl("-n", stage.namespace, "get", kinds, "-o", "json")


def test_code_that_crashes_is_explained_to_who_pushed_it(stage: Stage, deployed: Run) -> None:
    """An annotation at file and line of the manifest, the log in the summary; old pods serve on."""
    assert deployed.exit_code == 0
    run = stage.push({"web/server.py": CRASH})
    assert run.exit_code == 1
    assert run.outputs["result"] == "failed"
    assert run.outputs["failed"] == f"Deployment {stage.namespace}/web"
    [(text, place)] = [each for each in run.errors if "Deployment" in each[0]]
    assert "crash loop" in text or "exit code 1" in text
    assert place["file"] == "deploy/services/web.yaml"
    assert int(place["line"]) > 1
    assert "no configuration found" in run.summary
    assert "Mountain cheese" in stage.page()


def test_an_image_that_cannot_be_built_stops_before_the_deploy(stage: Stage, deployed: Run) -> None:
    """The builder's own words are in the log; nothing in the cluster has changed."""
    assert deployed.exit_code == 0
    run = stage.push({"web/Dockerfile": BROKEN_IMAGE})
    assert run.exit_code == 1
    assert run.steps["Mirror and build images"] == "failure"
    assert run.steps.get("Deploy and wait", "skipped") == "skipped"
    assert re.search(r"cannot compile this", "\n".join(run.lines))
    assert any("web" in text for text, _ in run.errors)
