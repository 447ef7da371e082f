"""
A slot of the market from its Issue to its end, with the market's own files and real commands.

Stand-ins (``tests/workflows/market``) take the place of PostgreSQL, RabbitMQ, nginx and packages.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox import images
from sandbox.waiting import BASE_REFERENCE
from tests.support.certificates import Authority
from tests.support.github_server import GitHubServer, github_server
from tests.support.shell import ROOT, run, run_kubectl
from tests.workflows.test_market import UPSTREAM

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

pytestmark = pytest.mark.cluster

ISSUE = ("--issue", "12")
RECORDS, KEPT_CERTIFICATES = "market-system", "market-staging"
SECRETS = {"OPENAI_API_KEY": "sk-of-the-agent", "CODEXCTL_GH_PAT": "secret-token"}


@dataclass
class Agency:
    """A checkout of the market, a cluster and a small GitHub, as a team's runner has them."""

    folder: Path
    environment: dict[str, str] = field(repr=False)
    github: GitHubServer = field(repr=False)
    data: Path

    def codexctl(self, task: str, *flags: str) -> subprocess.CompletedProcess[str]:
        """Run a task as a step of a workflow; it has to succeed."""
        done = run(task, *flags, cwd=self.folder, env=self._variables)
        assert done.returncode == 0, done.stderr[-6000:]
        assert not [value for value in SECRETS.values() if value in done.stdout + done.stderr]
        return done

    def kubectl(self, *words: str, given: str = "") -> str:
        """Ask the cluster with an independent program."""
        return run_kubectl(self.environment, *words, given=given)

    def slots(self) -> list[dict[str, Any]]:
        """Return what `codexctl slots` tells."""
        found: list[dict[str, Any]] = json.loads(self.codexctl("slots", "--output", "json").stdout)[
            "slots"
        ]
        return found

    def ask(self, namespace: str, service: str, path: str = "") -> str:
        """Return what a service answers; the API server passes the request on."""
        place = f"/api/v1/namespaces/{namespace}/services/{service}:http/proxy/{path}"
        return self.kubectl("get", "--raw", place)

    def keep_certificate(self, slot: int) -> None:
        """Keep what an earlier life of the slot has got from cert-manager, which is not here."""
        host = f"slot-{slot}.ai.market.example.com"
        issued = Authority().issue(host, ends=timedelta(days=90), self_signed=True)
        name, alike = f"market-slot-{slot}-tls", {"cert-manager.io/alt-names": host}
        secret = json.dumps(issued.secret(name, annotations=alike))
        self.kubectl("create", "namespace", KEPT_CERTIFICATES)
        self.kubectl("-n", KEPT_CERTIFICATES, "create", "-f", "-", given=secret)

    @property
    def _variables(self) -> dict[str, str]:
        registry = self.environment["SANDBOX_REGISTRY"]
        return {
            **self.environment,
            **SECRETS,
            "DATA_ROOT": str(self.data),
            "MARKET_REGISTRY": f"{registry}/market",
            "MARKET_UPSTREAM": f"{registry}/market-upstream",
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": self.github.url,
            "GITHUB_REPOSITORY": self.github.repository,
            "GITHUB_RUN_ID": "1",
        }


@pytest.fixture
def agency(cluster_environment: dict[str, str], tmp_path: Path) -> Iterator[Agency]:
    """Give a checkout, and remove afterwards what a broken run has left."""
    registry = cluster_environment["SANDBOX_REGISTRY"]
    for name, recipe in UPSTREAM.items():
        images.push(registry, f"market-upstream/{name}", BASE_REFERENCE, recipe)
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT / "examples/market", folder)
    data = Path(cluster_environment["KUBECONFIG"]).with_name(f"market-{os.getpid()}")
    with github_server() as github:  # the node has a /tmp of its own
        place = Agency(folder, cluster_environment, github, data)
        yield place
    slots = [f"market-dev-{number}" for number in range(1, 5)]
    left = (RECORDS, KEPT_CERTIFICATES, *slots)
    place.kubectl("delete", "namespace", *left, "--ignore-not-found", "--wait=false")
    shutil.rmtree(data, ignore_errors=True)


def test_an_agent_gets_its_market(agency: Agency) -> None:
    """Taken, made ready, answering, told of, left alone while nothing changes, and taken down."""
    agency.codexctl("ensure-slot", *ISSUE)
    [taken] = agency.slots()
    number, namespace = taken["slot"], taken["namespace"]
    assert namespace == f"market-dev-{number}"
    agency.keep_certificate(number)

    made = agency.codexctl("ensure-ready", *ISSUE, "--output", "json")

    told = json.loads(made.stdout)
    assert (told["infraReady"], told["created"], told["recreated"]) == (True, True, False)
    assert told["url"] == f"https://slot-{number}.ai.market.example.com"
    assert "<title>Market</title>" in agency.ask(namespace, "web")
    offers = json.loads(agency.ask(namespace, "api", "api/offers"))["offers"]
    assert "Thing 1" in {each["title"] for each in offers}  # a slot has examples
    pod = ("-n", namespace, "exec", "deploy/codex", "-c", "codex", "--")
    source = agency.kubectl(*pod, "cat", "market/services/api/server.py")
    assert source == (agency.folder / "services/api/server.py").read_text()
    assert "slot" in agency.kubectl(*pod, "cat", ".codex/AGENTS.md")
    assert not [value for value in SECRETS.values() if value in agency.kubectl(*pod, "env")]
    kept = agency.kubectl("-n", namespace, "get", "secrets", "-o", "name").split()
    assert sorted(kept) == ["secret/market", f"secret/market-slot-{number}-tls"]

    again = agency.codexctl("ensure-ready", *ISSUE)
    assert "nothing has changed, and all of it is healthy" in again.stderr
    assert "data-directories" not in again.stderr

    agency.codexctl("comment-pr", *ISSUE)
    [comment] = agency.github.bodies
    assert f"https://slot-{number}.ai.market.example.com/api/offers" in comment

    agency.codexctl("cleanup", *ISSUE)
    assert agency.slots() == []
    namespaces = json.loads(agency.kubectl("get", "namespaces", "-o", "json"))["items"]
    assert namespace not in {each["metadata"]["name"] for each in namespaces}
    assert list((agency.data / "slots").rglob("*")) == []
