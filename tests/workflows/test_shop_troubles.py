"""What the developer sees whose push to the shop's repository does not end well."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.processes import command_lines
from tests.support.shell import SLOW_S
from tests.workflows.shop import SOURCE, Shop

if TYPE_CHECKING:
    import subprocess

    from tests.support.act import Run

pytestmark = pytest.mark.cluster

WEB = "deploy/services/web.yaml"
CRASH = "raise SystemExit('no configuration found')\n"
BROKEN_IMAGE = "ARG PYTHON\nFROM $PYTHON\nRUN echo cannot compile this && exit 3\n"


def _changed(path: str, old: str, new: str) -> dict[str, str]:
    text = (SOURCE / path).read_text()
    assert old in text
    return {path: text.replace(old, new)}


def test_code_that_crashes(shop: Shop, deployed: Run) -> None:
    """An annotation at file and line of the manifest, the log in the summary; old pods serve on."""
    assert deployed.exit_code == 0
    impatient = _changed(
        WEB, '    codexctl/wave: "2"\n', '    codexctl/wave: "2"\n    codexctl/crash-limit: "1"\n'
    )
    run = shop.push({"web/server.py": CRASH, **impatient})
    assert run.exit_code == 1
    assert run.steps.get("Deploy and wait") == "failure", run.tail
    assert run.outputs["result"] == "failed"
    assert run.outputs["failed"] == f"Deployment {shop.namespace}/web"
    [(text, place)] = [each for each in run.errors if "Deployment" in each[0]]
    assert "crashed with exit code 1" in text
    assert place["file"] == WEB
    assert impatient[WEB].splitlines()[int(place["line"]) - 1].startswith("apiVersion: apps/v1")
    assert "no configuration found" in run.summary
    assert "Mountain cheese" in shop.page()


def test_an_image_that_cannot_be_built(shop: Shop, deployed: Run) -> None:
    """The builder's own words are in the log; nothing in the cluster is touched."""
    assert deployed.exit_code == 0
    run = shop.push({"web/Dockerfile": BROKEN_IMAGE})
    assert run.exit_code == 1
    assert run.steps.get("Mirror and build images") == "failure", run.tail
    assert run.steps.get("Deploy and wait", "skipped") == "skipped"
    assert re.search(r"cannot compile this", "\n".join(run.lines))
    assert any("web" in text for text, _ in run.errors)


def test_a_cancelled_run(shop: Shop, deployed: Run) -> None:
    """It reports how far it came and gives its lease back, so that the next one need not wait."""
    assert deployed.exit_code == 0
    never_ready = _changed(WEB, "path: /health", "path: /never")

    def cancel(act: subprocess.Popen[str]) -> None:
        """Interrupt the step's process, as GitHub's runner does, amid the rollout."""
        end_s = time.monotonic() + SLOW_S
        while _probe(shop) != "/never":
            assert act.poll() is None, "the run has ended"
            assert time.monotonic() < end_s, "the deploy does not begin"
            time.sleep(0.1)
        assert shop.lease_holder()
        os.kill(_process_of(act.pid, "codexctl ci deploy"), signal.SIGINT)

    run = shop.push(never_ready, interrupt=cancel)
    assert run.exit_code == 1
    assert run.steps.get("Deploy and wait") == "failure", run.tail
    assert run.outputs["result"] == "interrupted"
    assert "interrupted" in run.summary
    assert f"Deployment {shop.namespace}/web" in run.summary.replace("&#45;", "-")
    assert shop.lease_holder() == ""
    assert not [line for line in command_lines() if str(shop.folder) in line]


def test_an_account_that_may_not_deploy(shop: Shop, deployed: Run) -> None:
    """The first step says which rights are missing, before any image is made."""
    assert deployed.exit_code == 0
    shop.kubectl("-n", shop.namespace, "create", "serviceaccount", "reader")
    token = shop.kubectl("-n", shop.namespace, "create", "token", "reader").strip()
    config = yaml.safe_load(shop.kubeconfig)
    for each in config["users"]:
        each["user"] = {"token": token}
    run = shop.push(secrets={"KUBECONFIG": yaml.safe_dump(config)})
    assert run.exit_code == 1
    assert run.steps.get("Check what the deploy needs") == "failure", run.tail
    assert run.steps.get("Mirror and build images", "skipped") == "skipped"
    assert any("may not" in text and "deployments" in text for text, _ in run.errors), run.errors


def test_a_secret_that_nobody_gave(shop: Shop) -> None:
    """Production does not deploy without a password, and the error names the variable."""
    caller = ".github/workflows/staging.yml"
    run = shop.push(
        _changed(caller, "environment: staging", "environment: production"),
        secrets={"SHOP_DB_PASSWORD": ""},
    )
    assert run.exit_code == 1
    assert run.steps.get("Check what the deploy needs") == "failure", run.tail
    assert any("SHOP_DB_PASSWORD" in text for text, _ in run.errors), run.errors


def _probe(shop: Shop) -> str:
    """Return the path that tells the cluster whether the web is ready."""
    path = "jsonpath={.spec.template.spec.containers[0].readinessProbe.httpGet.path}"
    return shop.kubectl("-n", shop.namespace, "get", "deployment/web", "-o", path)


def _process_of(ancestor: int, text: str) -> int:
    """Return the process below *ancestor* whose command line holds a text."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(after_name[1]), []).append(int(stat.parent.name))
    family = [ancestor]
    for each in family:
        family += children.get(each, [])
    for each in family:
        try:
            line = Path(f"/proc/{each}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if text in line:
            return each
    raise LookupError(f"no process {text}")
