"""
Process 1 of the node: starts every program, starts again what died, reaps the rest.

Started by `lifecycle` as ``unshare ... python3 -m sandbox.node STATE BINARIES``
in namespaces of its own. It waits for a line on its input, so that a starter
that dies half-way leaves no node that nobody knows of. SIGHUP makes it read
the plan again and start what is new.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from sandbox import forwarder, namespaces
from sandbox.addresses import REGISTRY_PORT, Addresses
from sandbox.configuration import FORWARDER, STATE, Program, load_plan

# Nothing of the person's own environment, above all no HTTP proxy.
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}
_TICK_S = 0.1
_STEADY_S = 20.0  # a program that ran this long starts again at once when it dies
_LONGEST_PAUSE_S = 5.0
_LOG_LIMIT = 32 * 1024 * 1024


@dataclass
class Running:
    """A program as process 1 knows it: its process (0 for none) and its history."""

    program: Program
    pid: int = 0
    started: float = 0.0
    restarts: int = 0
    failures: int = 0
    start_at: float = field(default=0.0)

    def note_death(self, now: float) -> None:
        """Decide when to start it again: at once at first, later with growing pauses."""
        self.failures = 0 if now - self.started > _STEADY_S else self.failures + 1
        pause = min(0.2 * 2 ** max(0, self.failures - 1), _LONGEST_PAUSE_S)
        self.pid, self.restarts, self.start_at = 0, self.restarts + 1, now + pause


class Supervisor:
    """Keeps the programs of the plan running."""

    def __init__(self, state: Path, host_network: int, addresses: Addresses) -> None:
        self._state = state
        self._host_network = host_network
        self._addresses = addresses
        self._running: dict[str, Running] = {}
        self._volumes: set[str] = set()
        self._bound_at = 0.0

    def read_plan(self) -> None:
        """Take on the programs that are new in the plan."""
        plan = load_plan(self._state / "plan.json")
        for program in plan.programs if plan else []:
            self._running.setdefault(program.name, Running(program))

    def work(self) -> None:
        """Start, reap and tidy, for ever."""
        while True:
            changed = self._start_due() | self._reap()
            if changed:
                self._report()
            self._open_volumes()
            self._bound_logs()
            signal.sigtimedwait([signal.SIGCHLD], _TICK_S)

    def _start_due(self) -> bool:
        now = time.time()
        due = [r for r in self._running.values() if not r.pid and r.start_at <= now]
        for running in due:
            running.pid, running.started = self._start(running.program), now
            if not running.pid:
                running.note_death(now)
        return bool(due)

    def _start(self, program: Program) -> int:
        log = self._state / "log" / f"{program.name}.log"
        with log.open("ab") as output:
            if program.name == FORWARDER:
                return self._fork_forwarder(output.fileno())
            try:
                process = subprocess.Popen(
                    program.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=_ENVIRONMENT,
                    cwd="/",
                    start_new_session=True,
                    preexec_fn=_accept_signals,  # noqa: PLW1509 - no threads here
                )
            except OSError as error:
                output.write(f"cannot start {program.argv[0]}: {error}\n".encode())
                return 0
        process.returncode = 0  # reaped below, not by subprocess
        return process.pid

    def _fork_forwarder(self, output: int) -> int:
        """Run the forwarder in the host's network; a fork needs no files from outside."""
        if pid := os.fork():
            return pid
        try:
            _accept_signals()
            os.dup2(output, 1)
            os.dup2(output, 2)
            namespaces.enter_network(self._host_network)
            forwarder.forward(self._addresses.registry_port, self._addresses.node, REGISTRY_PORT)
        except BaseException:  # noqa: BLE001 - whatever it is belongs in the log
            traceback.print_exc()
        os._exit(1)

    def _reap(self) -> bool:
        """Collect the dead: programs, and orphans that process 1 inherits."""
        changed = False
        with contextlib.suppress(ChildProcessError):
            while pid := os.waitpid(-1, os.WNOHANG)[0]:
                for running in self._running.values():
                    if running.pid == pid:
                        running.note_death(time.time())
                        changed = True
        return changed

    def _report(self) -> None:
        """Write down what runs, for ``status``; ids are those inside the namespace."""
        report = {
            name: {"pid": r.pid, "restarts": r.restarts, "started": r.started}
            for name, r in self._running.items()
        }
        file = self._state / "running.json"
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(report, indent=1))
        partial.replace(file)

    def _open_volumes(self) -> None:
        """
        Let every user write to new volumes.

        The provisioner makes them for root only, and nothing else adapts
        them to the user of a pod.
        """
        names = set(os.listdir("/tmp/hostpath_pv"))  # noqa: S108, PTH208 - fixed, cheap
        for name in names - self._volumes:
            with contextlib.suppress(OSError):
                Path("/tmp/hostpath_pv", name).chmod(0o777)  # noqa: S108
        self._volumes = names

    def _bound_logs(self) -> None:
        if time.monotonic() < self._bound_at:
            return
        self._bound_at = time.monotonic() + 10
        for log in (self._state / "log").glob("*.log"):
            with contextlib.suppress(OSError):
                if log.stat().st_size > _LOG_LIMIT:
                    os.truncate(log, 0)


def _accept_signals() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def main(state: Path, binaries: Path) -> None:
    """Set the node up inside the new namespaces and keep it running."""
    if not sys.stdin.readline():
        return
    plan = load_plan(state / "plan.json")
    if plan is None:
        return
    addresses = Addresses(plan.number)
    host_network = namespaces.leave_network()
    namespaces.plug_cable(addresses, host_network)
    namespaces.arrange_mounts(state, binaries)
    os.chdir("/")
    supervisor = Supervisor(Path(STATE), host_network, addresses)
    supervisor.read_plan()
    signal.signal(signal.SIGHUP, lambda *_: supervisor.read_plan())
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    supervisor.work()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
