"""The launcher of a run, with every shell that images have: what ends, and what is left."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.pid_room import STRANGER
from tests.support.shell import ROOT, SLOW_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes namespaces")
DEBIAN = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@pytest.fixture(params=["dash", "busybox"])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """Give a function that plays a trial with one of the shells, and nothing but its programs."""
    shell, path = "dash", DEBIAN
    if request.param == "busybox":
        shell, path = _busybox(tmp_path / "bin")
    volume = tmp_path / "volume"
    volume.mkdir()
    room = [sys.executable, "-m", "tests.support.pid_room", shell, path, str(volume)]

    def run(trial: str) -> dict[str, Any]:
        alone = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
        # Process 1 does not reap, as that of most containers.
        done = subprocess.run(
            [*alone, "sh", "-c", '"$@" & wait $!', "init", *room, trial],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=SLOW_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run


def _busybox(folder: Path) -> tuple[str, str]:
    program = shutil.which("busybox")
    if not program:
        pytest.skip("busybox is missing")
    folder.mkdir()
    names = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout
    for name in names.split():
        (folder / name).symlink_to(program)
    return str(folder / "sh"), str(folder)


def test_a_run_from_its_prompt_to_its_end(play: Callable[[str], dict[str, Any]]) -> None:
    """The agent has its prompt on stdin and its secrets as they are; its exit code is told."""
    assert play("plain") == {
        "code": 3,
        "how": "ended",
        "message": "s 'e\"$x",
        "stderr": "hello $(x) ü\n",
        "heard": ["hi"],
        "left": [STRANGER],
    }


@pytest.mark.parametrize(
    ("trial", "how"), [("hiding", "ended"), ("deadline", "timeout"), ("killed", "ended")]
)
def test_nothing_of_an_agent_is_left(
    play: Callable[[str], dict[str, Any]], trial: str, how: str
) -> None:
    """Sessions of their own, orphans and empty environments are found; strangers are left alone."""
    told = play(trial)
    assert (told["how"], told["left"]) == (how, [STRANGER])


def test_cancellation_at_any_moment(play: Callable[[str], dict[str, Any]]) -> None:
    """A run that has just begun is cancelled as surely as one that is at work."""
    told = play("cancelled")
    assert told == {"told": ["cancelled"] * 2, "ended": [True] * 2, "left": [STRANGER]}


def test_a_start_that_is_interrupted_is_cancelled(play: Callable[[str], dict[str, Any]]) -> None:
    """Whether it has begun or not when the client gives up: the agent does not work on."""
    assert play("interrupted") == {"found": True, "how": "cancelled", "left": [STRANGER]}


def test_an_agent_that_removes_its_run_is_ended(play: Callable[[str], dict[str, Any]]) -> None:
    """Whoever removes what is known of him gains nothing by it."""
    told = play("removed")
    assert (told["stderr"], told["left"]) == ("its folder was removed", [STRANGER])


def test_files_that_never_end_keep_nobody_waiting(play: Callable[[str], dict[str, Any]]) -> None:
    """Pipes and links in place of what is read are as good as nothing; what is written replaces."""
    told = play("traps")
    assert (told["code"], told["how"], told["left"]) == (5, "ended", [STRANGER])
    assert (told["message"], told["stderr"], told["heard"]) == ("", "", [])
    assert told["threads"] == [["t", 0], ["", 0], ["t", 7]]


def test_an_end_that_cannot_be_read_is_a_failure(play: Callable[[str], dict[str, Any]]) -> None:
    """Whoever makes a pipe of it has not ended well."""
    told = play("closed")
    assert (told["code"], told["how"], told["left"]) == (1, "ended", [STRANGER])


def test_nothing_is_left_of_an_agent_that_killed_its_launcher(
    play: Callable[[str], dict[str, Any]],
) -> None:
    """It can write how it ended, but not work on: what is left of it is ended from our side."""
    told = play("forged")
    assert (told["code"], told["how"], told["left"]) == (0, "ended", [STRANGER])


def test_an_agent_that_stopped_its_launcher_can_be_cancelled(
    play: Callable[[str], dict[str, Any]],
) -> None:
    """Nobody has to delete its pod."""
    told = play("stopped")
    assert (told["ended"], told["code"], told["how"]) == (True, 137, "cancelled")
    assert told["left"] == [STRANGER]


def test_an_agent_that_hides_its_launcher_is_ended(play: Callable[[str], dict[str, Any]]) -> None:
    """What it removes or makes unreadable does not keep it alive."""
    told = play("hidden")
    assert told["told"] == ["its launcher was killed", "its folder was removed"]
    assert told["left"] == [STRANGER]


def test_nobody_who_was_there_before_instructs_an_agent(
    play: Callable[[str], dict[str, Any]],
) -> None:
    """Skills of the workspace are switched off, those of its home are gone."""
    told = play("planted")
    found = tomllib.loads(told["message"])
    paths = [
        f"{told['place']}/.{each}/SKILL.md" for each in ("agents/skills/one", "codex/skills/two")
    ]
    assert sorted(found["skills"]["config"], key=lambda each: each["path"]) == [
        {"path": path, "enabled": False} for path in paths
    ]
    assert (found["a"], told["stderr"].split()) == (1, ["config.toml"])
    assert "the path of a skill" in told["refused"]


def test_one_agent_at_a_time(play: Callable[[str], dict[str, Any]]) -> None:
    """A second start is refused while the first lives, and cleans up after it when it has died."""
    told = play("twice")
    assert "run 1 of an agent goes on there" in told["refused"]
    assert told["going_on"] == [f"1 {os.uname().nodename}"]
    assert (told["number"], told["code"], told["left"]) == ("2", 0, [STRANGER])
