"""
Processes on this machine, known by more than their number.

A process id is used again after its owner died, so a process is remembered
together with its start time and the boot it belongs to, and only ended when
all three still agree.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class Identity:
    """
    One process, never to be confused with a later one of the same number.

    Attributes:
        pid: process id as seen from here.
        started: clock ticks since boot, field 22 of ``/proc/PID/stat``.
        boot: the kernel's id of this boot.

    """

    pid: int
    started: int
    boot: str

    def is_alive(self, proc: Path = _PROC) -> bool:
        """Tell whether this very process still runs (a zombie does not)."""
        return identify(self.pid, proc) == self

    def send(self, number: signal.Signals, proc: Path = _PROC) -> None:
        """Send a signal to this very process; do nothing when it is gone."""
        if not self.is_alive(proc):
            return
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(self.pid)
            try:
                if self.is_alive(proc):  # the handle keeps the number from being used again
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)


def identify(pid: int, proc: Path = _PROC) -> Identity | None:
    """Read who runs under a process id; None when nobody does."""
    fields = _stat(pid, proc)
    if not fields or fields[0] in "ZX":
        return None
    boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
    return Identity(pid=pid, started=int(fields[19]), boot=boot)


def _stat(pid: int, proc: Path) -> list[str]:
    """Return the fields of ``/proc/PID/stat`` from the state (field 3) on."""
    try:
        return (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return []


def save(identity: Identity, file: Path) -> None:
    """Remember a process in a file."""
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(identity)))
    partial.replace(file)


def load(file: Path) -> Identity | None:
    """Return the process remembered in a file, dead or alive; None when there is none."""
    try:
        return Identity(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def is_running(file: Path) -> bool:
    """Tell whether the process remembered in a file still runs."""
    remembered = load(file)
    return remembered is not None and remembered.is_alive()


def list_children(pid: int, proc: Path = _PROC) -> list[int]:
    """Return the ids of the processes that a process started."""
    numbers = [int(entry.name) for entry in proc.iterdir() if entry.name.isdigit()]
    return [n for n in numbers if (fields := _stat(n, proc)) and int(fields[1]) == pid]


def wait_until_gone(pids: list[int], timeout_s: float) -> bool:
    """Wait until no process has one of these ids; False when time runs out."""
    deadline = time.monotonic() + timeout_s
    while any(identify(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def list_inside(init: int, proc: Path = _PROC) -> dict[int, int]:
    """
    Map ids inside the process namespace of `init` to ids as seen from here.

    Inside, every process has a number of its own: the last of its ``NSpid``.
    """

    def namespace(pid: str) -> str:
        try:
            return str((proc / pid / "ns/pid").readlink())
        except OSError:
            return ""

    ours = namespace(str(init))
    found: dict[int, int] = {}
    for entry in proc.iterdir():
        if not entry.name.isdigit() or not ours or namespace(entry.name) != ours:
            continue
        with contextlib.suppress(OSError, StopIteration):
            status = (entry / "status").read_text().splitlines()
            numbers = next(line for line in status if line.startswith("NSpid:")).split()
            found[int(numbers[-1])] = int(entry.name)
    return found
