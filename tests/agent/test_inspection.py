"""Where the work of an agent begins: at our checkout's commit, whatever the workspace holds."""

from __future__ import annotations

import io
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.agent.scripts import LAST, SURVEY
from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.flows.agent.inspection import Inspection
from codexctl_tasks.settings import prompt_run_request
from codexctl_tasks.stack.model import Agent
from tests.support.fakes import FakeCluster, fake_outside
from tests.support.git_server import run_git
from tests.support.shell import QUICK_S
from tests.unit.agent.test_running import FakeShell

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fakes import FakeClock

OTHER = "b" * 40


class Desk:
    """Looks at a container beside a checkout of two commits."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        self.folder, self._clock = folder, clock
        self.stream = io.StringIO()
        for words in (("init", "--quiet"), *[("commit", "-q", "--allow-empty", "-m", "x")] * 2):
            run_git(folder, *words)
        self.commit = run_git(folder, "rev-parse", "HEAD")

    def base(self, *told: str, kind: str = "dev", thread: str = "") -> str:
        """Return where the work begins when the container tells this."""
        shell = FakeShell(self._clock)
        lines = ("version codex-cli 0.169.0", *told, "folder yes", "")
        shell.answers = {"SURVEY": ["\n".join(lines).encode()]}
        request = prompt_run_request(slot="1", kind=kind, folder=str(self.folder), resume=thread)
        outside = fake_outside(FakeCluster(), self._clock, self.stream)
        _, base = Inspection(request, shell, outside).inspect(Agent())  # type: ignore[arg-type]
        [(_, words)] = shell.asked
        assert words[-1] == (self.commit if (self.folder / ".git").exists() else "")
        return base

    def survey(self, **variables: str) -> list[str]:
        """Return what the real script tells of a container with these variables."""
        place = self.folder
        command = ["sh", "-c", SURVEY, "sh", place, place, place, "", self.commit]
        env = {"PATH": os.environ["PATH"], **variables}
        done = subprocess.run(command, env=env, capture_output=True, timeout=QUICK_S, check=True)
        told = done.stdout.decode().splitlines()
        return [line for line in told if not line.startswith("version ")]


@pytest.fixture
def desk(tmp_path: Path, clock: FakeClock) -> Desk:
    """Give a checkout."""
    return Desk(tmp_path, clock)


def test_a_workspace_as_it_was_synced(desk: Desk) -> None:
    """Nothing is to be told."""
    assert desk.base(f"head {desk.commit}", "base yes") == desk.commit
    assert desk.stream.getvalue() == ""


def test_commits_that_an_earlier_run_has_left(desk: Desk) -> None:
    """They are no base: they belong to the work, and are looked at before they are published."""
    assert desk.base(f"head {OTHER}", "base yes") == desk.commit
    assert "is at bbbbbbbbbbbb: commits since" in desk.stream.getvalue()


def test_a_workspace_of_another_history(desk: Desk) -> None:
    """What was made there could not be published: the run ends before it has cost anything."""
    with pytest.raises(ConfigurationError, match=r"did not grow out of our .*sync-sources"):
        desk.base(f"head {OTHER}")
    assert desk.base(f"head {OTHER}", kind="plan") == desk.commit
    assert "did not grow out of our" in desk.stream.getvalue()


def test_no_history_at_all(desk: Desk) -> None:
    """Without git on one of both sides no work could leave: it is not begun, unless it is none."""
    with pytest.raises(ConfigurationError, match=r"shop: has no commit .* sync the sources with"):
        desk.base("head ")
    assert desk.base("head ", kind="plan") == ""
    (desk.folder / ".git").rename(desk.folder / "elsewhere")
    with pytest.raises(ConfigurationError, match=f"{desk.folder}: has no commit .* check it out"):
        desk.base(f"head {OTHER}")
    assert desk.base(f"head {OTHER}", kind="plan") == ""


def test_a_thread_that_is_not_there_is_told_of(desk: Desk) -> None:
    """Whoever goes on with the last thread learns that there is none; with one nothing is said."""
    known = (f"head {desk.commit}", "base yes")
    desk.base(*known, "thread 0199-x", thread=LAST)
    assert desk.stream.getvalue() == ""
    desk.base(*known, thread=LAST)
    assert "no earlier thread here: a new one begins" in desk.stream.getvalue()


@pytest.mark.parametrize(
    ("name", "warning"),
    [
        ("OPENAI_API_KEY", "has the key of a model in its environment"),
        ("GH_TOKEN", "has a token of GitHub in its environment"),
        ("GITHUB_TOKEN", "has a token of GitHub in its environment"),
        ("GH_PAT", "has a token of GitHub in its environment"),
        ("CODEXCTL_GH_PAT", "has a token of GitHub in its environment"),
        ("GITHUB_TOKENS", ""),
        ("NO_GH_PATH", ""),
    ],
)
def test_a_secret_that_the_agent_could_read(desk: Desk, name: str, warning: str) -> None:
    """Whoever puts one into the agent's pod is told, by its kind; its value is not looked at."""
    assert desk.base(*desk.survey(**{name: "s3cret"})) == desk.commit
    told = desk.stream.getvalue()
    assert warning in told
    assert told.count("where the agent can read it: take it out, ") == bool(warning)
    assert "s3cret" not in told


def test_an_empty_variable_is_no_secret(desk: Desk) -> None:
    """A pod may have the name of a token without having one."""
    desk.base(*desk.survey(OPENAI_API_KEY="", GH_TOKEN="", TEAM_GH_PAT=""))
    assert desk.stream.getvalue() == ""
