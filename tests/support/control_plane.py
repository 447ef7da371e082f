"""
A control plane of its own: etcd, API server and controller manager, no node, for one test run.

Tests that kill the API server use it, so that the sandbox of all other tests is left in peace. It
runs beside that one, with addresses and a state folder of its own, and is ended and wiped even
when the test run is killed.
"""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from sandbox import processes
from tests.support.shell import ROOT, SLOW_S, clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

API_SERVER = "kube-apiserver"
_GONE_WITHIN_S = 10.0


class ControlPlane:
    """Use it as a context: it runs inside."""

    def __init__(self, states: Path) -> None:
        self._settings = clean_environment(
            CODEXCTL_SANDBOX_STATE=str(states),
            CODEXCTL_SANDBOX_CHECKOUT=f"/checkouts/plane-{uuid.uuid4().hex[:8]}",
        )
        self._settings.pop("SANDBOX", None)
        self._guard: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}
        """The variables that lead to it: KUBECONFIG, SANDBOX_KUBECTL and others."""

    def __enter__(self) -> Self:
        # Its input ends with this process, however that ends.
        command = shlex.join([sys.executable, "-m", "sandbox", "down", "--wipe"])
        self._guard = subprocess.Popen(
            ["sh", "-c", f"cat; exec {command}"],
            cwd=ROOT,
            env=self._settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            self.up()
            lines = (shlex.split(line)[1] for line in self._sandbox("env").splitlines())
            self.environment = {name: value for name, _, value in (e.partition("=") for e in lines)}
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._end() == 0, "python3 -m sandbox down --wipe failed"

    def up(self) -> None:
        """Start or repair it; return when the API server answers again and all else is ready."""
        self._sandbox("up", "--control-plane")

    def down(self) -> None:
        """End all of it, until `up`; what etcd holds is kept."""
        self._sandbox("down")

    def kill_api_server(self) -> None:
        """End it at once, as a crash does; it starts again by itself, within some seconds."""
        server = self._api_server()
        server.send(signal.SIGKILL)
        assert processes.wait_until_gone([server.pid], _GONE_WITHIN_S)

    @contextmanager
    def silent_api_server(self) -> Iterator[None]:
        """Let it fall silent inside: connections stay open, and nothing is answered."""
        server = self._api_server()
        server.send(signal.SIGSTOP)
        try:
            yield
        finally:
            server.send(signal.SIGCONT)

    @property
    def restarts(self) -> int:
        """How often the API server was started again since `up` has started the plane."""
        return int(self._component()["restarts"])

    def _api_server(self) -> processes.Identity:
        found = processes.identify(int(self._component()["pid"]))
        assert found is not None, f"{API_SERVER} is not running"
        return found

    def _component(self) -> dict[str, Any]:
        components = json.loads(self._sandbox("status", "--json", check=False))
        return next(each for each in components if each["name"] == API_SERVER)

    def _sandbox(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "sandbox", *arguments],
            cwd=ROOT,
            env=self._settings,
            capture_output=True,
            text=True,
            timeout=SLOW_S,
            check=False,
        )
        assert done.returncode == 0 or not check, f"{arguments}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def _end(self) -> int:
        """End and wipe it; return the exit code of that."""
        assert self._guard is not None
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        return self._guard.wait(SLOW_S)
