"""
The demo of an agent's run, played once from beginning to end on the sandbox.

It is held at its end, as with ``make demo-agent HOLD=1``, for somebody who goes on by hand.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from demo_tools import parse_exports
from demo_world import BRANCH, KEY, REPO, SAID, TOKEN

from tests.support.git_server import run_git
from tests.support.shell import clean_environment, run_kubectl

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "demo-agent"
LONGEST_S = 1500
"""With building the sandbox and fetching Codex on a slow machine."""

pytestmark = [
    pytest.mark.demo,
    pytest.mark.skipif(os.environ.get("SANDBOX") == "off", reason="plays in the sandbox only"),
]


@dataclass(frozen=True)
class Played:
    """A demo that is over."""

    stdout: str
    stderr: str
    by_hand: subprocess.CompletedProcess[str]
    """What was typed meanwhile in another terminal."""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    out, complaints = (tmp_path_factory.mktemp("demo") / name for name in ("out", "err"))
    with out.open("w") as written, complaints.open("w") as complained:
        demo = subprocess.Popen(
            [sys.executable, str(ROOT / "examples" / "demo_agent.py")],
            env={**os.environ, "HOLD": "1"},
            stdout=written,
            stderr=complained,
        )
    try:
        until = time.monotonic() + LONGEST_S
        while "In another terminal" not in out.read_text() and demo.poll() is None:
            assert time.monotonic() < until, out.read_text()[-5000:]
            time.sleep(0.2)
        assert demo.poll() is None, out.read_text()[-5000:] + complaints.read_text()
        typed = out.read_text().partition("In another terminal")[2]
        lines = re.findall(r"^\$ (.*)", typed, re.MULTILINE)
        by_hand = subprocess.run(
            ["bash", "-ec", "\n".join(lines)],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
    finally:
        demo.send_signal(signal.SIGINT)
        code = demo.wait(LONGEST_S)
    assert code == 0, out.read_text()[-5000:] + complaints.read_text()
    return Played(out.read_text(), complaints.read_text(), by_hand)


def test_all_steps_go_as_told(played: Played) -> None:
    """A newcomer who types ``make demo-agent`` sees the steps of the workflow, in its order."""
    steps = re.findall(r"^(\d)/8 ", played.stdout, re.MULTILINE)
    assert steps == list("12345678")
    typed = re.findall(r"^\$ codexctl ci (\S+)", played.stdout, re.MULTILINE)
    assert typed == ["gate", "ensure-slot", "ensure-ready", "prompt-run", "publish", "finish"]


def test_a_commit_is_on_the_git_server(played: Played) -> None:
    """The agent's own commit, on a branch of its own, with the change that it spoke of."""
    repository = FOLDER / "forge" / f"{REPO}.git"
    log = run_git(repository, "log", "--format=%an: %s", f"main..{BRANCH}")
    assert log == "Agent: Say how many products there are"
    changed = run_git(repository, "diff", "--name-only", "main", BRANCH)
    assert changed == "web/page.py"
    page = run_git(repository, "show", f"{BRANCH}:web/page.py")
    assert "{len(shelf.products)} products." in page
    assert f"{BRANCH} into main" in played.stdout


def test_the_agent_saw_the_shop_at_work(played: Played) -> None:
    """What it verified came from the API of its own slot."""
    events = (FOLDER / "result" / "events.jsonl").read_text()
    assert "<p>4 products. This page was seen 2 times.</p>" in events
    assert SAID.splitlines()[0] in played.stdout
    assert "warning: agent:" not in played.stdout  # such as that Codex does not know the model


def test_people_are_told(played: Played) -> None:
    """The draft names the Issue that it closes, and the comment on the Issue the pull request."""
    assert "  | Closes #7\n" in played.stdout
    assert "Pull request: #8" in played.stdout


def test_somebody_goes_on_by_hand(played: Played) -> None:
    """The tasks as docs/ai-run.md lists them, typed one after the other, end in a pull request."""
    told = played.by_hand.stdout + played.by_hand.stderr
    assert played.by_hand.returncode == 0, told
    assert "#10" in told, told
    page = run_git(FOLDER / "forge" / f"{REPO}.git", "show", "codex/issue-9:web/page.py")
    assert "<p>Welcome! This page" in page


def test_nothing_is_left_behind(played: Played) -> None:
    """The slots are gone; neither key nor token stand in what was told or kept."""
    shown = subprocess.run(
        [sys.executable, "-m", "sandbox", "env"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    kept = ("-n", "shop-system", "get", "configmaps", "-o", "jsonpath={.items[*].data.repo}")
    assert REPO not in run_kubectl(parse_exports(shown.stdout), *kept).split()
    told = [played.stdout, played.stderr, played.by_hand.stdout, played.by_hand.stderr]
    told += [path.read_text(errors="replace") for path in (FOLDER / "result").iterdir()]
    assert not [text for text in told if KEY in text or TOKEN in text]
