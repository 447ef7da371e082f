"""
Run a program, tell its output line by line, and end it with everything it has started.

The program gets a session of its own. On Linux this process becomes the one to which orphans are
given, so that also a child which called ``setsid``, forked and lost its parent is found: it is one
of our children then, in a session that is not ours. Elsewhere the process group has to do.
"""

from __future__ import annotations

import ctypes
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

GRACE_S = 5.0
"""Between SIGTERM and SIGKILL: enough for a shell's trap to clean up."""
DRAIN_S = 0.5
"""For output that is still in the pipe when the program has ended: a child may hold it open."""
LONGEST_LINE = 16 * 1024
"""In bytes; what is longer is told in pieces."""
_TICK_S = 0.1
_SET_CHILD_SUBREAPER = 36
"""Of ``prctl``, see prctl(2)."""
_RUNNING: set[int] = set()
"""Programs that run now, in any thread; a session has the number of the program it was made for."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended."""

    exit_code: int
    """As a shell shows it: 128 and the signal's number if one ended it."""
    is_over_time: bool = False
    """It was ended because its time was over."""


class RunProgram(Protocol):
    """How a flow runs a program."""

    def __call__(
        self,
        command: Sequence[str],
        *,
        script: str = "",
        folder: Path,
        environ: Mapping[str, str],
        timeout_s: float,
        tell: Callable[[str], None],
    ) -> Ended:
        """See `run_program`."""
        ...


def run_program(
    command: Sequence[str],
    *,
    script: str = "",
    folder: Path,
    environ: Mapping[str, str],
    timeout_s: float,
    tell: Callable[[str], None],
) -> Ended:
    """
    Run a program to its end; it reads nothing, and its stdout and stderr are told as one.

    Whatever it has left in the background goes on when it ended by itself with 0, as in a shell;
    otherwise, also when this call is interrupted, everything that it started is ended.

    Args:
        command: Program and arguments.
        script: Handed over as a file that has no name, whose path is added to *command*: what is
            in it shows up neither in the list of processes nor on a disk. Empty: none.
        folder: Where it runs.
        environ: Its whole environment.
        timeout_s: How long it may take.
        tell: Called with every line, without its end.

    Raises:
        FileNotFoundError, PermissionError: The program cannot be started.
    """
    _adopt_orphans()
    family = _Family()
    with _taken_along(family), _as_file(script) as handed_over:
        try:
            process = subprocess.Popen(
                [*command, *(f"/dev/fd/{fd}" for fd in handed_over)],
                cwd=folder,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=handed_over,
            )
            family.begin(process)
            is_over_time = not _follow(process, tell, time.monotonic() + timeout_s)
            if is_over_time or process.poll():
                family.end()
        except BaseException as error:
            # What could not be started has left nothing; another thread's may just be starting.
            if family.has_begun or not isinstance(error, Exception):
                with _taken_along(family):  # the first signal has taken the handlers away
                    family.end()
            raise
        finally:
            family.leave()
    code = process.wait()
    return Ended(code if code >= 0 else 128 - code, is_over_time)


@contextmanager
def _taken_along(family: _Family) -> Iterator[None]:
    """Let a signal that ends this process at once, such as a second Ctrl-C, end *family* first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def die(number: int, _: object) -> None:
        family.kill()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    deadly = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) == signal.SIG_DFL]
    for number in deadly:
        signal.signal(number, die)
    try:
        yield
    finally:
        for number in deadly:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def _as_file(script: str) -> Iterator[tuple[int, ...]]:
    if not script:
        yield ()
        return
    with tempfile.TemporaryFile() as file:
        file.write(script.encode("utf-8", "surrogateescape"))
        file.seek(0)
        yield (file.fileno(),)


def _follow(
    process: subprocess.Popen[bytes],
    tell: Callable[[str], None],
    deadline_s: float,
) -> bool:
    """Tell the output until the program has ended; False: its time is over."""
    lines = _Lines(tell)
    output: IO[bytes] = process.stdout  # type: ignore[assignment]  # as PIPE was asked for
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while (left_s := deadline_s - time.monotonic()) > 0:
            if process.poll() is not None:
                deadline_s = min(deadline_s, time.monotonic() + DRAIN_S)
            if selector.select(min(left_s, _TICK_S)):
                if not (piece := os.read(output.fileno(), LONGEST_LINE)):
                    break  # closed: nobody can write any more
                lines.take(piece)
            elif process.poll() is not None:
                break
    lines.flush()
    with suppress(subprocess.TimeoutExpired):  # it may have closed its output and go on
        process.wait(max(deadline_s - time.monotonic(), 0.0))
    return process.poll() is not None


class _Lines:
    """Makes lines of pieces of output."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._rest = tell, b""

    def take(self, piece: bytes) -> None:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._put(line)
        while len(self._rest) > LONGEST_LINE:
            head, self._rest = self._rest[:LONGEST_LINE], self._rest[LONGEST_LINE:]
            self._put(head)

    def flush(self) -> None:
        if self._rest:
            self._put(self._rest)
        self._rest = b""

    def _put(self, line: bytes) -> None:
        # A bar of progress paints over itself: what is left of it at the end is what counts.
        shown = line.rstrip(b"\r").rpartition(b"\r")[2]
        self._tell(shown.decode("utf-8", "replace"))


class _Family:
    """
    A program with everything it has started.

    It exists before the program does: an exception that a signal raises while that is being
    started leaves nothing behind either.
    """

    def __init__(self) -> None:
        self._strangers = frozenset(_orphans())
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, process: subprocess.Popen[bytes]) -> None:
        """Remember the program."""
        self._process = process
        _RUNNING.add(process.pid)

    @property
    def has_begun(self) -> bool:
        """Whether the program is known."""
        return self._process is not None

    def leave(self) -> None:
        """Look after it no longer; its output was open so far, for what its traps may say."""
        if self._process:
            _RUNNING.discard(self._process.pid)
        if self._process and self._process.stdout:
            self._process.stdout.close()

    def end(self) -> None:
        """End all of it: politely, then for certain."""
        self._signal(signal.SIGTERM)
        if not self._is_gone_within(GRACE_S):
            end_s = time.monotonic() + GRACE_S
            while time.monotonic() < end_s:  # what forks while it is being killed is found again
                self._signal(signal.SIGKILL)
                if self._is_gone_within(_TICK_S):
                    break
        if self._process:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE_S)

    def kill(self) -> None:
        """End all of it at once, as far as it is known in this moment."""
        self._signal(signal.SIGKILL)

    def _is_gone_within(self, seconds: float) -> bool:
        end_s = time.monotonic() + seconds
        while self._members():
            if time.monotonic() >= end_s:
                return False
            time.sleep(_TICK_S / 5)
        return True

    def _signal(self, number: signal.Signals) -> None:
        if self._process and not _knows_processes():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
        for pid in self._members():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    def _members(self) -> set[int]:
        """Return the processes that still run."""
        own = {self._process.pid} if self._process else set()
        running = own if self._process and self._process.poll() is None else set()
        if not _knows_processes():
            return running
        orphans = set(_orphans(not_of=_RUNNING - own)) - self._strangers - own
        for pid in orphans:
            with suppress(ChildProcessError):  # only we can bury those that were given to us
                os.waitpid(pid, os.WNOHANG)
        return _descendants(orphans | running)


def _knows_processes() -> bool:
    return sys.platform == "linux"


def _adopt_orphans() -> None:
    if _knows_processes():
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    parent: int
    session: int


def _processes() -> list[_Process]:
    """Return everything that runs on this machine, as far as it can be seen; no zombies."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat") if _knows_processes() else ():
        with suppress(OSError):  # gone meanwhile
            # The name in brackets may hold blanks and brackets itself.
            state, parent, _, session = (
                entry.read_text("utf-8", "replace").rpartition(")")[2].split()[:4]
            )
            if state != "Z":
                found.append(_Process(int(entry.parent.name), int(parent), int(session)))
    return found


def _orphans(*, not_of: AbstractSet[int] = frozenset()) -> Iterator[int]:
    """
    Yield our children in other sessions: programs that we run, and what they left behind.

    *not_of*: Sessions that somebody else looks after.
    """
    theirs = not_of | {os.getsid(0)}
    for process in _processes():
        if process.parent == os.getpid() and process.session not in theirs:
            yield process.pid


def _descendants(roots: set[int]) -> set[int]:
    found, processes = set(roots), _processes()
    alive = {process.pid for process in processes}
    while more := {p.pid for p in processes if p.parent in found} - found:
        found |= more
    return found & alive
