"""Programs that threads run side by side: they end together, and nothing of them is left."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from codexctl_tasks.errors import Interrupted
from codexctl_tasks.world.process import Crew, Ended, run_program
from tests.support.processes import is_running, wait_for

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells which orphans are whose"
)
BASH = ("bash", "--noprofile", "--norc", "-euo", "pipefail")


@pytest.fixture
def mark() -> str:
    """Return a number of seconds to sleep by which a test finds its own processes."""
    return f"876543.{os.getpid()}{time.monotonic_ns() % 10**9}"


class Worker:
    """A thread that runs a script as one of a crew."""

    def __init__(self, crew: Crew, script: str, timeout_s: float = 60.0) -> None:
        self.ended: Ended | BaseException | None = None
        self._crew, self._script, self._timeout_s = crew, script, timeout_s
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._work)
        self.thread.start()

    def begun(self) -> Worker:
        """Return when the script has written a line."""
        self._lines.get(timeout=30)
        return self

    def _work(self) -> None:
        try:
            with self._crew.joined():
                self.ended = run_program(
                    BASH,
                    script=self._script,
                    folder=Path(),
                    environ={"PATH": os.environ["PATH"]},
                    timeout_s=self._timeout_s,
                    tell=self._lines.put,
                )
        except BaseException as error:  # noqa: BLE001 - what the test is about
            self.ended = error


def test_an_interruption_ends_all_of_them(mark: str) -> None:
    """Ctrl-C reaches the main thread only; the programs of the others are gone all the same."""
    with suppress(Interrupted), Crew() as crew:
        workers = [
            Worker(crew, f"setsid sleep {mark} & echo begun; sleep {mark}").begun(),
            Worker(crew, f"(setsid sleep {mark} &); echo begun; exec >&-; sleep {mark}").begun(),
        ]
        raise Interrupted(signal.SIGINT)

    assert all(isinstance(worker.ended, Interrupted) for worker in workers)
    assert not is_running(mark)


def test_nothing_is_started_after_the_end(mark: str) -> None:
    """A thread that was between two programs does not begin the second one."""
    crew = Crew()
    with pytest.raises(Interrupted), crew:
        raise Interrupted(signal.SIGTERM)

    late = Worker(crew, f"sleep {mark}")
    late.thread.join()

    assert isinstance(late.ended, Interrupted)
    assert not is_running(mark)


def test_one_that_is_over_its_time_leaves_the_daemons_of_others_alone(mark: str) -> None:
    """A build that fails does not take away the helper that another one has put aside."""
    with Crew() as crew:
        other = Worker(crew, f"(setsid sleep {mark}1 &); echo begun; sleep 1.5; echo on").begun()
        late = Worker(crew, f"echo begun; sleep {mark}2", timeout_s=0.3).begun()
        late.thread.join()
        still_there = is_running(f"{mark}1")
        other.thread.join()

    assert late.ended == Ended(128 + signal.SIGTERM, is_over_time=True)
    assert other.ended == Ended(0)
    assert still_there
    assert not is_running(mark)


def test_daemons_from_before_go_on(mark: str) -> None:
    """What an earlier step has started is not of the crew."""
    lines: list[str] = []
    run_program(
        BASH,
        script=f"sleep {mark} & echo $!",
        folder=Path(),
        environ={"PATH": os.environ["PATH"]},
        timeout_s=30,
        tell=lines.append,
    )

    with Crew() as crew:
        Worker(crew, "exit 1").thread.join()

    assert is_running(mark)
    os.kill(int(lines[0]), signal.SIGKILL)
    os.waitpid(int(lines[0]), 0)


def test_a_second_ctrl_c_takes_all_of_them_along(tmp_path: Path, mark: str) -> None:
    """The first one asks them to end, which they do not hear; the second one ends all at once."""
    script = f"trap '' TERM; (setsid sleep {mark} &); : >NAME; while true; do sleep {mark}; done"
    code = f"""
import signal, threading
from pathlib import Path
from codexctl_tasks.errors import Interrupted
from codexctl_tasks.world.process import Crew, run_program

def interrupt(number, _):
    signal.signal(number, signal.SIG_DFL)
    raise Interrupted(number)

def work(name):
    environ = {{"PATH": {os.environ["PATH"]!r}}}
    script = {script!r}.replace("NAME", name)
    with crew.joined():
        run_program({BASH!r}, script=script, folder=Path(), environ=environ, timeout_s=60,
                    tell=print)

signal.signal(signal.SIGINT, interrupt)
try:
    with Crew() as crew:
        for name in ("one", "two"):
            threading.Thread(target=work, args=(name,), daemon=True).start()
        try:
            signal.pause()
        finally:
            Path("told").touch()
except Interrupted:
    raise SystemExit(9)
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    with process:
        wait_for(tmp_path / "one")
        wait_for(tmp_path / "two")
        process.send_signal(signal.SIGINT)
        wait_for(tmp_path / "told")
        time.sleep(0.3)  # the crew asks its programs to end, for seconds
        process.send_signal(signal.SIGINT)

        assert process.wait(30) == -signal.SIGINT

    assert not is_running(mark)
