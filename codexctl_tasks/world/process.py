"""Run a program, tell its output line by line, and end it with everything it has started."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol, Self

from codexctl_tasks.errors import Interrupted
from codexctl_tasks.world.families import GRACE_S, STARTING, TICK_S, Family, adopt_orphans, orphans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

DRAIN_S = 0.5
"""For output that is still in the pipe when the program has ended: a child may hold it open."""
LONGEST_LINE = 16 * 1024
"""In bytes; what is longer is told in pieces."""
_THREAD = threading.local()
"""Of each thread: ``crew``, to which the programs belong that it runs."""


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
        Interrupted: The crew to which this thread belongs has been stopped.
    """
    crew: Crew | None = getattr(_THREAD, "crew", None)
    check = crew.check if crew else lambda: None
    adopt_orphans()
    family = Family(frozenset(orphans()), is_alone=crew is None)
    if crew:
        crew.families.add(family)
    with _taken_along(family):
        try:
            check()
            with STARTING:
                process = _start(command, script, folder, environ)
                family.begin(process)
            is_over_time = not _follow(process, tell, time.monotonic() + timeout_s, check)
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
            if crew:
                crew.families.discard(family)
    code = process.wait()
    return Ended(code if code >= 0 else 128 - code, is_over_time)


def _start(
    command: Sequence[str], script: str, folder: Path, environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    with _as_file(script) as handed_over:
        return subprocess.Popen(
            [*command, *(f"/dev/fd/{fd}" for fd in handed_over)],
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=handed_over,
        )


@contextmanager
def _taken_along(programs: Family | Crew) -> Iterator[None]:
    """Let a signal that ends this process at once, such as a second Ctrl-C, end these first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def die(number: int, _: object) -> None:
        programs.kill()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    deadly = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) == signal.SIG_DFL]
    for number in deadly:
        signal.signal(number, die)
    try:
        yield
    except Interrupted:  # once more, while they were being ended
        programs.kill()
        raise
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
    check: Callable[[], None],
) -> bool:
    """Tell the output until the program has ended, checking on; False: its time is over."""
    lines = _Lines(tell)
    output: IO[bytes] = process.stdout  # type: ignore[assignment]  # as PIPE was asked for
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while (left_s := deadline_s - time.monotonic()) > 0:
            check()
            if process.poll() is not None:
                deadline_s = min(deadline_s, time.monotonic() + DRAIN_S)
            if selector.select(min(left_s, TICK_S)):
                if not (piece := os.read(output.fileno(), LONGEST_LINE)):
                    break  # closed: nobody can write any more
                lines.take(piece)
            elif process.poll() is not None:
                break
    lines.flush()
    while process.poll() is None and time.monotonic() < deadline_s:
        check()  # it has closed its output and goes on
        with suppress(subprocess.TimeoutExpired):
            process.wait(min(TICK_S, max(deadline_s - time.monotonic(), 0.0)))
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


class Crew:
    """
    Programs that several threads run side by side: stopped together, and nothing of them is left.

    A signal reaches only the main thread. It stays in the ``with`` block of a crew while others,
    inside of `joined`, run programs: when the block is left by an exception, these are ended, and
    whoever wants to start another one gets `Interrupted`. What programs have left in the
    background ends with the block, however it ends.
    """

    def __init__(self) -> None:
        self._is_stopped = threading.Event()
        self._members = 0
        self._change = threading.Condition()
        self._strangers: frozenset[int] = frozenset()
        self.families: set[Family] = set()
        """Of the programs that run now."""

    def __enter__(self) -> Self:
        adopt_orphans()
        self._strangers = frozenset(orphans())
        return self

    def __exit__(self, *_: object) -> None:
        with _taken_along(self):  # the first signal has taken the handlers away
            self._is_stopped.set()
            with self._change:
                self._change.wait_for(lambda: not self._members, timeout=3 * GRACE_S)
            Family(self._strangers).end()

    def kill(self) -> None:
        """End all of it at once, as far as it is known in this moment."""
        for family in (*self.families, Family(self._strangers)):
            family.kill()

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Let what this thread runs inside of the block belong to the crew."""
        with self._change:
            self._members += 1
        _THREAD.crew = self
        try:
            yield
        finally:
            _THREAD.crew = None
            with self._change:
                self._members -= 1
                self._change.notify_all()

    def check(self) -> None:
        """Raise `Interrupted` if it has been stopped."""
        if self._is_stopped.is_set():
            raise Interrupted(signal.SIGINT)
