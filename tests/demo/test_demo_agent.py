"""The demo of an agent's run, played once from beginning to end on the sandbox."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from demo_tools import Cluster, parse_exports
from demo_world import BRANCH, KEY, REPO, SAID, TOKEN

from tests.support.git_server import run_git

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "demo-agent"
LONGEST_S = 1500
"""With building the sandbox and fetching Codex on a slow machine."""

pytestmark = [
    pytest.mark.demo,
    pytest.mark.skipif(os.environ.get("SANDBOX") == "off", reason="plays in the sandbox only"),
]


@pytest.fixture(scope="module")
def played() -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "demo_agent.py")],
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    return done


def test_all_steps_go_as_told(played: subprocess.CompletedProcess[str]) -> None:
    """A newcomer who types ``make demo-agent`` sees the steps of the workflow, in its order."""
    steps = re.findall(r"^(\d)/8 ", played.stdout, re.MULTILINE)
    assert steps == list("12345678")
    typed = re.findall(r"^\$ codexctl ci (\S+)", played.stdout, re.MULTILINE)
    assert typed == ["gate", "ensure-slot", "ensure-ready", "prompt-run", "publish", "finish"]


def test_a_commit_is_on_the_git_server(played: subprocess.CompletedProcess[str]) -> None:
    """The agent's own commit, on a branch of its own, with the change that it spoke of."""
    repository = FOLDER / "forge" / f"{REPO}.git"
    log = run_git(repository, "log", "--format=%an: %s", f"main..{BRANCH}")
    assert log == "Agent: Say how many products there are"
    changed = run_git(repository, "diff", "--name-only", "main", BRANCH)
    assert changed == "web/page.py"
    page = run_git(repository, "show", f"{BRANCH}:web/page.py")
    assert "{len(shelf.products)} products." in page
    assert f"{BRANCH} into main" in played.stdout


def test_the_agent_saw_the_shop_at_work(played: subprocess.CompletedProcess[str]) -> None:
    """What it verified came from the API of its own slot."""
    events = (FOLDER / "result" / "events.jsonl").read_text()
    assert "<p>4 products. This page was seen 2 times.</p>" in events
    assert SAID.splitlines()[0] in played.stdout


def test_people_are_told(played: subprocess.CompletedProcess[str]) -> None:
    """The draft names the Issue that it closes, and the comment on the Issue the pull request."""
    assert "  | Closes #7\n" in played.stdout
    assert "Pull request: #8" in played.stdout


def test_nothing_is_left_behind(played: subprocess.CompletedProcess[str]) -> None:
    """The slot is gone; neither key nor token stand in what was told or kept."""
    shown = subprocess.run(
        [sys.executable, "-m", "sandbox", "env"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    cluster = Cluster({**os.environ, **parse_exports(shown.stdout)})
    result = json.loads((FOLDER / "result" / "result.json").read_text())
    assert not cluster.has_namespace(result["namespace"])
    told = [played.stdout, played.stderr]
    told += [path.read_text(errors="replace") for path in (FOLDER / "result").iterdir()]
    assert not [text for text in told if KEY in text or TOKEN in text]
