"""The reusable workflow in a caller's hands, up to a cluster that does not answer."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.accounts import NOWHERE
from tests.support.act import PUSH
from tests.support.shell import BIN, QUICK_S, clean_environment
from tests.workflows.reference import workflows

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.act import Forge

CALLER = """
on: [push, pull_request, workflow_run, issue_comment]
permissions: {}
jobs:
  deploy:
    permissions:
      contents: read
    uses: org/codexctl/.github/workflows/staging-deploy.yml@main
    with: %s
    secrets:
      KUBECONFIG: ${{ secrets.KUBECONFIG }}
      CODEXCTL_ENV_FILE: ${{ secrets.CODEXCTL_ENV_FILE }}
"""
STACK = """
project: shop
environments: {staging: {}}
services:
  - {name: web, manifests: [{path: web.yaml}]}
"""
MANIFEST = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n"
STRANGER, OWN = {"full_name": "stranger/shop"}, {"full_name": "team/shop"}
SECRETS = {"KUBECONFIG": NOWHERE, "CODEXCTL_ENV_FILE": "DB_PASSWORD=sentinel-of-the-database\n"}


class Caller:
    """A repository that deploys with one `uses:` line."""

    def __init__(self, forge: Forge, folder: Path) -> None:
        self._forge, self.folder = forge, folder

    def run(self, inputs: str = "{}", **run: Any) -> Any:
        """Run its workflow."""
        source = self.folder / "sources"
        source.mkdir()
        files = {
            "services.yaml": STACK,
            "web.yaml": MANIFEST,
            ".github/workflows/staging.yml": CALLER % inputs,
        }
        caller = self._forge.add_caller("team/shop", source, files)
        return self._forge.run(caller, "staging.yml", **{"secrets": SECRETS, **run})


@pytest.fixture
def caller(tmp_path: Path, forge: Forge) -> Caller:
    return Caller(forge, tmp_path)


def test_a_cluster_that_does_not_answer_is_an_annotation(caller: Caller) -> None:
    """The caller sees the address, before any image is made, and no secret."""
    run = caller.run("{images: none}")
    assert run.exit_code == 1
    assert (
        run.steps["Set up codexctl"] == run.steps["Check out the calling repository"] == "success"
    )
    assert run.steps["Check what the deploy needs"] == "failure", run.log
    assert "Deploy and wait" not in run.steps or run.steps["Deploy and wait"] == "skipped"
    assert any("127.0.0.1:9" in text for text, _ in run.errors)
    shown = [line for line in run.lines if "add-mask" not in line]
    assert "sentinel" not in "\n".join(shown)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("{images: some}", "CODEXCTL_IMAGES: 'some' is unknown: use one of mirror, build, all"),
        ("{environment: stagin}", "did you mean"),
    ],
)
def test_a_wrong_input_is_named(caller: Caller, inputs: str, message: str) -> None:
    """With what is allowed, before anything is done."""
    run = caller.run(inputs)
    assert run.exit_code == 1
    assert run.steps["Check what the deploy needs"] == "failure"
    assert any(message in text for text, _ in run.errors), run.errors


def test_an_input_is_never_run_as_shell(caller: Caller) -> None:
    """Whoever may set an input cannot run commands with the job's secrets."""
    run = caller.run("{vars: '$(touch hacked)', environment: 'staging\"; touch hacked; \"'}")
    assert run.exit_code == 1
    assert "touch hacked" in run.log
    assert not list(caller.folder.rglob("hacked"))


def test_a_missing_kubeconfig_is_said(caller: Caller) -> None:
    """A runner without one, and no secret: the error says so."""
    run = caller.run("{images: none}", secrets={})
    assert run.exit_code == 1
    assert any("kubeconfig" in text.lower() for text, _ in run.errors), run.errors


@pytest.mark.parametrize(
    ("event", "inputs", "payload"),
    [
        ("push", "{}", {**PUSH, "head_commit": {"message": "Mend a comment [skip ci]"}}),
        ("pull_request", "{}", {"pull_request": {"head": {"repo": STRANGER}}}),
        ("workflow_run", "{}", {"workflow_run": {"head_repository": STRANGER}}),
        ("issue_comment", "{ref: refs/pull/7/merge}", {"issue": {"pull_request": {"url": "u"}}}),
    ],
    ids=["skip-ci", "fork", "after-a-fork", "below-a-fork"],
)
def test_what_must_not_deploy_does_not(
    caller: Caller, event: str, inputs: str, payload: dict[str, Any]
) -> None:
    """A commit that says so, and what a stranger proposes."""
    run = caller.run(inputs, event=event, payload=payload)
    assert run.exit_code == 0, run.log
    assert run.steps == {}


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        ("pull_request", {"pull_request": {"head": {"repo": OWN}}}),
        ("workflow_run", {"workflow_run": {"head_repository": OWN}}),
        ("issue_comment", {"issue": {"pull_request": {"url": "u"}}}),
    ],
)
def test_what_the_repository_itself_proposes_deploys(
    caller: Caller, event: str, payload: dict[str, Any]
) -> None:
    """Only forks are kept out; below a pull request its base is deployed without *ref*."""
    run = caller.run("{images: none}", event=event, payload=payload)
    assert run.steps["Check what the deploy needs"] == "failure"


def test_a_cancelled_run_ends_in_order(tmp_path: Path) -> None:
    """GitHub interrupts the process of the step: codexctl itself, which still reports."""
    (tmp_path / "services.yaml").write_text(STACK)
    (tmp_path / "web.yaml").write_text(MANIFEST)
    [workflow] = [each for each in workflows() if each.path.name == "staging-deploy.yml"]
    step = next(s for s in workflow.content["jobs"]["deploy"]["steps"] if s.get("id") == "deploy")
    outputs = tmp_path / "outputs"
    process = subprocess.Popen(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=tmp_path,
        env=clean_environment(
            PATH=f"{BIN}:{os.environ['PATH']}",
            GITHUB_ACTIONS="true",
            GITHUB_OUTPUT=str(outputs),
            RUNNER_TEMP=str(tmp_path),
            CODEXCTL_ENV="staging",
            CODEXCTL_SECRET_KUBECONFIG=NOWHERE,
        ),
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        assert any("cannot be reached" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=QUICK_S)
    assert process.returncode == 130
    assert "interrupted" in outputs.read_text()
    assert not list(tmp_path.glob("codexctl-*"))
