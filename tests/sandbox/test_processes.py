"""Only processes that the sandbox started are ended."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sandbox import processes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """Return a process that does nothing."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_a_process_is_known_again(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """What was remembered is found alive, and ended when asked."""
    identity = processes.identify(sleeper.pid)
    assert identity is not None
    processes.save(identity, tmp_path / "top.json")
    assert processes.is_running(tmp_path / "top.json")
    identity.send(signal.SIGKILL)
    assert sleeper.wait(timeout=5) == -signal.SIGKILL
    assert not processes.is_running(tmp_path / "top.json")


@pytest.mark.parametrize("change", [{"started": 1}, {"boot": "another"}])
def test_a_reused_process_id_is_left_alone(
    sleeper: subprocess.Popen[bytes], change: dict[str, object]
) -> None:
    """A stranger that got the number of a dead process is never ended."""
    identity = processes.identify(sleeper.pid)
    assert identity is not None
    stranger = replace(identity, **change)  # type: ignore[arg-type]
    assert not stranger.is_alive()
    stranger.send(signal.SIGKILL)
    assert sleeper.poll() is None


def test_a_zombie_counts_as_dead() -> None:
    """A process that ended is gone even while nobody has collected it."""
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert processes.identify(process.pid) is None
    process.wait()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}'])
def test_a_stale_record_is_no_process(tmp_path: Path, content: str) -> None:
    """A half-written record does not stop ``up`` or ``down``."""
    (tmp_path / "top.json").write_text(content)
    assert not processes.is_running(tmp_path / "top.json")
