"""``comment-pr`` as a workflow runs it: real commands, a real API server, a small GitHub."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.github_server import GitHubServer, github_server
from tests.support.shell import BIN, clean_environment, run, run_kubectl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster

AT_ONCE = 3
PATIENCE_S = 120


@pytest.fixture
def server() -> Iterator[GitHubServer]:
    """Run a small GitHub."""
    with github_server() as running:
        yield running


def _environment(playground: Playground, server: GitHubServer) -> dict[str, str]:
    """Write a ``services.yaml``; return the environment of a step of a workflow."""
    run_kubectl(playground.environment, "create", "namespace", playground.namespace)
    stack = {
        "project": "shop",
        "namespace": {"patterns": {"ai": f"{playground.namespace}-{{{{ Slot }}}}"}},
        "environments": {"ai": {}},
        "maxSlots": 2,
        "baseDomain": {"ai": "ai.example.com"},
        "state": {"configmapNamespace": playground.namespace, "configmapPrefix": "shop-slot-"},
        "codex": {"promptLang": "ru", "links": [{"title": "Shop", "path": "/"}]},
    }
    (playground.folder / "services.yaml").write_text(yaml.safe_dump(stack))
    return {
        **playground.environment,
        "CODEXCTL_GH_PAT": "secret-token",
        "GITHUB_API_URL": server.url,
        "GITHUB_REPOSITORY": server.repository,
        "GITHUB_RUN_ID": "1",
    }


def test_from_allocation_to_the_end(playground: Playground, server: GitHubServer) -> None:
    """Several jobs tell at the same moment; there is one comment, which lives as the slot does."""
    environment = _environment(playground, server)
    folder = playground.folder
    taken = run("ensure-slot", "--issue", "12", cwd=folder, env=environment)
    assert taken.returncode == 0, taken.stderr
    slot = json.loads(run("slots", "--output", "json", cwd=folder, env=environment).stdout)
    number = str(slot["slots"][0]["slot"])
    changed = ("slot-set", "--slot", number, "--state", "ready")
    assert run(*changed, cwd=folder, env=environment).returncode == 0

    telling = [
        subprocess.Popen(
            [BIN / "codexctl", "comment-pr", "--issue", "12", "--output", "json"],
            cwd=folder,
            env=clean_environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(AT_ONCE)
    ]
    told = [process.communicate(timeout=PATIENCE_S) for process in telling]

    assert [process.returncode for process in telling] == [0] * AT_ONCE, told
    assert len(server.comments) == 1
    assert f"### Слот {number} готов" in server.bodies[0]
    assert f"- [Shop](https://dev-{number}.ai.example.com/)" in server.bodies[0]
    assert {json.loads(out)["url"] for out, _ in told} == {server.comments[0]["html_url"]}

    record = ("delete", "configmap", f"shop-slot-{number}", "--namespace", playground.namespace)
    run_kubectl(environment, *record)
    missing = run("comment-pr", "--issue", "12", cwd=folder, env=environment)
    assert (missing.returncode, "shop/web#12 has no slot" in missing.stderr) == (2, True)
    gone = ("comment-pr", "--issue", "12", "--slot", number, "--state", "released")
    assert run(*gone, cwd=folder, env=environment).returncode == 0
    assert [f"### Слот {number} удалён" in body for body in server.bodies] == [True]
    assert "secret-token" not in missing.stderr + "".join(out + err for out, err in told)
