"""
What a program has started, and its end.

Each program gets a session of its own. On Linux this process becomes the one to which orphans are
given, so that also a child which called ``setsid``, forked and lost its parent is found: it is one
of our children then, in a session that is not ours. Elsewhere the process group has to do.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

GRACE_S = 5.0
"""Between SIGTERM and SIGKILL: enough for a shell's trap to clean up."""
TICK_S = 0.1
RUNNING: set[int] = set()
"""Programs that run now, in any thread; a session has the number of the program it was made for."""
STARTING = threading.RLock()
"""Held while a program starts: before it is in `RUNNING` another thread would end it as its own."""
_SET_CHILD_SUBREAPER = 36
"""Of ``prctl``, see prctl(2)."""


class Family:
    """
    A program with everything it has started.

    It exists before the program does: an exception that a signal raises while that is being
    started leaves nothing behind either.
    """

    def __init__(self, strangers: frozenset[int], *, is_alone: bool = True) -> None:
        """
        Describe a family without a program: only what programs have left behind.

        Args:
            strangers: What others had left behind before it began.
            is_alone: Whether everything that has been left behind since then is its own; else
                only what is known by descent or session.
        """
        self._process: subprocess.Popen[bytes] | None = None
        self._strangers, self._is_alone = strangers, is_alone
        self._seen: set[int] = set()

    def begin(self, process: subprocess.Popen[bytes]) -> None:
        """Remember the program."""
        self._process = process
        RUNNING.add(process.pid)

    @property
    def has_begun(self) -> bool:
        """Whether the program is known."""
        return self._process is not None

    def leave(self) -> None:
        """Look after it no longer; its output was open so far, for what its traps may say."""
        if self._process:
            RUNNING.discard(self._process.pid)
        if self._process and self._process.stdout:
            self._process.stdout.close()

    def end(self) -> None:
        """End all of it: politely, then for certain."""
        self._signal(signal.SIGTERM)
        if not self._is_gone_within(GRACE_S):
            end_s = time.monotonic() + GRACE_S
            while time.monotonic() < end_s:  # what forks while it is being killed is found again
                self._signal(signal.SIGKILL)
                if self._is_gone_within(TICK_S):
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
            time.sleep(TICK_S / 5)
        return True

    def _signal(self, number: signal.Signals) -> None:
        if self._process and not _knows_processes():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
        first = self._process.pid if self._process else 0
        # The program first: a shell whose child dies before it hears of the end goes on, to an end
        # of its own, and does not run its trap.
        for pid in sorted(self._members(), key=lambda pid: pid != first):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    def _members(self) -> set[int]:
        """Return the processes that still run."""
        own = {self._process.pid} if self._process else set()
        running = own if self._process and self._process.poll() is None else set()
        if not _knows_processes():
            return running
        orphans = self._own_orphans(own) - own
        for pid in orphans:
            with suppress(ChildProcessError):  # only we can bury those that were given to us
                os.waitpid(pid, os.WNOHANG)
        found = _descendants(orphans | running)
        self._seen |= found
        return found

    def _own_orphans(self, own: set[int]) -> set[int]:
        if self._is_alone:
            with STARTING:
                return set(orphans(not_of=RUNNING - own)) - self._strangers
        known = self._seen | {p.pid for p in _processes() if p.session in own}
        return set(orphans()) & known


def _knows_processes() -> bool:
    return sys.platform == "linux"


def adopt_orphans() -> None:
    """Let orphans of what this process starts be given to it."""
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


def orphans(*, not_of: AbstractSet[int] = frozenset()) -> Iterator[int]:
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
