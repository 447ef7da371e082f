"""Programs that steps run: their output, their end, and the end of everything they started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from codexctl_tasks.errors import Interrupted
from codexctl_tasks.world.process import Ended, run_program
from tests.support.processes import command_lines, is_running, wait_for

BASH = ("bash", "--noprofile", "--norc", "-euo", "pipefail")
LONG = "987654"
"""Seconds to sleep that nobody else sleeps; a test's own follow."""


def run(script: str, *, timeout_s: float = 30.0, **environ: str) -> tuple[Ended, list[str]]:
    """Run a script and return how it ended and what it wrote."""
    lines: list[str] = []
    ended = run_program(
        BASH,
        script=script,
        folder=Path(),
        environ={"PATH": os.environ["PATH"], **environ},
        timeout_s=timeout_s,
        tell=lines.append,
    )
    return ended, lines


@pytest.fixture
def mark() -> str:
    """Return a number of seconds to sleep by which a test finds its own processes."""
    return f"{LONG}.{os.getpid()}{time.monotonic_ns() % 10**9}"


def test_output_line_by_line_and_the_exit_code() -> None:
    """Both streams, as a terminal would show them, and the code that the script ended with."""
    ended, lines = run("echo one; echo two >&2; printf three; exit 7")

    assert ended == Ended(7)
    assert lines == ["one", "two", "three"]


def test_a_script_stops_at_its_first_mistake() -> None:
    """Unset variables, failing commands and failing parts of a pipe end it."""
    assert run("false; echo on")[0].exit_code == 1
    assert run("false | cat; echo on") == (Ended(1), [])
    ended, lines = run('echo "$NOT_SET"; echo on')
    assert ended.exit_code == 1
    assert "NOT_SET: unbound variable" in lines[0]


def test_death_by_a_signal_is_128_and_its_number() -> None:
    """As a shell shows it."""
    assert run("kill -KILL $$")[0] == Ended(128 + signal.SIGKILL)


def test_the_script_is_in_no_command_line(mark: str) -> None:
    """What was templated into it can be read neither in the list of processes nor on a disk."""
    seen: list[str] = []

    def look(line: str) -> None:
        if line == "now":
            seen.extend(command_lines())

    run_program(
        BASH,
        script=f"echo now; : 'hunter{mark}'; sleep 0.3",
        folder=Path(),
        environ={"PATH": os.environ["PATH"]},
        timeout_s=30,
        tell=look,
    )

    assert any("--noprofile" in line for line in seen)
    assert not any(f"hunter{mark}" in line for line in seen)


def test_large_scripts_and_odd_bytes_arrive_whole() -> None:
    """A script longer than a pipe or a command line, and bytes that are no UTF-8."""
    filler = "#" * 400_000
    _, lines = run(f"{filler}\nprintf '%s\\n' \"$ODD\" | od -An -tx1", ODD="a\udcffb")

    assert lines == [" 61 ff 62 0a"]


def test_a_program_reads_nothing() -> None:
    """A command that asks for input gets its end at once instead of hanging."""
    assert run("cat; read -r answer || echo nobody")[1] == ["nobody"]


def test_progress_bars_show_what_is_left_of_them() -> None:
    """Carriage returns paint over what was before, as on a terminal."""
    assert run("printf '10%%\\r50%%\\r100%%\\r\\n'; printf 'done\\r\\n'")[1] == ["100%", "done"]


def test_a_line_without_end_is_told_in_pieces() -> None:
    """A megabyte without a line feed neither fills the memory nor is lost."""
    _, lines = run("head -c 1000000 /dev/zero | tr '\\0' x")

    assert sum(map(len, lines)) == 1_000_000
    assert max(map(len, lines)) <= 32 * 1024


def test_what_is_over_its_time_is_ended(mark: str) -> None:
    """With its children, in the time that was given."""
    ended, lines = run(f"echo begun; sleep {mark} & sleep {mark}", timeout_s=0.5)

    assert ended.is_over_time
    assert lines == ["begun"]
    assert not is_running(mark)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which orphans are whose")
@pytest.mark.parametrize(
    "start",
    [
        "setsid sleep {0} & sleep {0}",
        "(setsid sleep {0} &) ; sleep {0}",
        "env -i setsid --fork $(command -v sleep) {0}; sleep {0}",
        "(trap '' TERM; setsid bash -c 'trap \"\" TERM; sleep {0}; :' &) ; sleep {0}",
    ],
)
def test_children_in_sessions_of_their_own_are_ended_too(start: str, mark: str) -> None:
    """Whether they called `setsid`, lost their parent, or do not listen to SIGTERM."""
    script = f"{start.format(mark)}"

    ended, _ = run(script, timeout_s=0.7)

    assert ended.is_over_time
    assert not is_running(mark)


def test_a_failed_script_leaves_nothing_behind(mark: str) -> None:
    """What it had started for its own use does not go on without it."""
    ended, _ = run(f"sleep {mark} & exit 3")

    assert ended == Ended(3)
    assert not is_running(mark)


def test_a_successful_script_may_leave_a_server_behind(mark: str) -> None:
    """As in a shell; a later step that fails does not take it down either."""
    ended, lines = run(f"echo begun; sleep {mark} & echo $!")
    assert ended == Ended(0)
    assert is_running(mark)
    assert run("exit 1")[0] == Ended(1)
    assert is_running(mark)

    os.kill(int(lines[1]), signal.SIGKILL)
    os.waitpid(int(lines[1]), 0)
    assert not is_running(mark)


def test_a_trap_has_time_to_clean_up(tmp_path: Path) -> None:
    """SIGTERM comes first."""
    witness = tmp_path / "cleaned"

    ended, _ = run(f"trap 'touch {witness}; exit 1' TERM; sleep 30 & wait", timeout_s=3)

    assert ended.is_over_time
    assert witness.exists()


def test_an_interruption_ends_the_program(mark: str) -> None:
    """Ctrl-C while a step runs: nothing of it goes on."""

    def interrupt(line: str) -> None:
        if line == "begun":
            raise Interrupted(signal.SIGINT)

    with pytest.raises(Interrupted):
        run_program(
            BASH,
            script=f"echo begun; setsid sleep {mark} & sleep {mark}",
            folder=Path(),
            environ={"PATH": os.environ["PATH"]},
            timeout_s=30,
            tell=interrupt,
        )

    assert not is_running(mark)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interruption_at_any_moment(mark: str) -> None:
    """Also while the program is being started: nothing is left that nobody knows of."""

    def interrupt(number: int, _: object) -> None:
        raise Interrupted(number)

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for moment in range(100):
            with suppress(Interrupted):
                signal.setitimer(signal.ITIMER_REAL, 0.0005 * (moment + 1))
                run(f"sleep {mark}", timeout_s=5)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert not is_running(mark)


def test_a_second_ctrl_c_takes_the_program_along(tmp_path: Path, mark: str) -> None:
    """It ends codexctl at once, and what the step has started does not go on alone."""
    stubborn = f"""
        trap ': >told' TERM
        setsid bash -c 'trap "" TERM; sleep {mark}; sleep {mark}' &
        : >begun
        while true; do sleep 0.05 || true; done
    """
    code = f"""
import signal
from pathlib import Path
from codexctl_tasks.errors import Interrupted
from codexctl_tasks.world.process import run_program

def interrupt(number, _):
    signal.signal(number, signal.SIG_DFL)
    raise Interrupted(number)

signal.signal(signal.SIGINT, interrupt)
environ = {{"PATH": {os.environ["PATH"]!r}}}
run_program({BASH!r}, script={stubborn!r}, folder=Path(), environ=environ, timeout_s=60, tell=print)
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    with process:
        wait_for(tmp_path / "begun")
        process.send_signal(signal.SIGINT)
        wait_for(tmp_path / "told")
        process.send_signal(signal.SIGINT)

        assert process.wait(30) == -signal.SIGINT

    assert not is_running(mark)


def test_a_program_that_is_missing() -> None:
    """The caller is told; nothing is left open."""
    with pytest.raises(FileNotFoundError):
        run_program(
            ["no-such-program"],
            folder=Path(),
            environ={"PATH": "/nowhere"},
            timeout_s=5,
            tell=lambda _: None,
        )


def test_two_at_once_do_not_end_each_other(mark: str) -> None:
    """A step that is ended in one thread leaves the program of another one alone."""
    results: dict[str, Ended] = {}

    def work(name: str, script: str, timeout_s: float) -> None:
        results[name] = run(script, timeout_s=timeout_s)[0]

    threads = [
        threading.Thread(target=work, args=("long", "sleep 1.5", 30.0)),
        threading.Thread(target=work, args=("short", f"sleep {mark}", 0.3)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == {"long": Ended(0), "short": Ended(128 + signal.SIGTERM, is_over_time=True)}


def test_one_that_fails_leaves_those_alone_that_are_just_starting() -> None:
    """As builders are asked side by side: one that is missing a part does not end another."""
    codes: dict[str, set[int]] = {"exit 1": set(), "sleep 0.05": set()}

    def work(script: str, begin: threading.Barrier) -> None:
        begin.wait()
        codes[script].add(run(script)[0].exit_code)

    for _ in range(40):
        begin = threading.Barrier(6)
        threads = [threading.Thread(target=work, args=(each, begin)) for each in (*codes,) * 3]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert codes == {"exit 1": {1}, "sleep 0.05": {0}}
