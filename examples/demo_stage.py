"""What the demos have in common: the sandbox, commands that must succeed, and the end."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from demo_tools import (
    ROOT,
    Cluster,
    DemoError,
    Narrator,
    SetupError,
    Shell,
    check_registry,
    parse_exports,
)

if TYPE_CHECKING:
    from collections.abc import Callable

UPSTREAM = "upstream"
"""Folder of the sandbox's registry that stands in for docker.io."""
BASES = {"redis:7": "redis-server", "python:3.11-slim": "python3"}
"""What the shop stands on, and the program of each."""
_INTERRUPTED = 130
_WRONG_SETUP = 2


@dataclass
class Stage:
    """Where a demo plays."""

    narrator: Narrator
    shell: Shell
    codexctl: Path
    sandbox: bool
    registry: str = ""

    def start_cluster(self) -> None:
        """Begin a step: a Kubernetes to deploy to."""
        tell = self.narrator
        if not self.sandbox:
            tell.step("Your own cluster, since SANDBOX=off")
            self.registry = os.environ.get("SANDBOX_REGISTRY") or "localhost:5001"
            check_registry(self.registry)
            address = Cluster(self.shell.environment).address
            tell.success(f"the cluster {address} and the registry {self.registry} answer")
            return
        tell.step("Start a Kubernetes")
        tell.say(
            "The sandbox is a real Kubernetes with one node, made from source on this "
            "machine. The first start builds it, which takes some minutes; later ones "
            "take seconds."
        )
        self.succeed("python3 -m sandbox up", hint="its last line says what is missing")
        shown = subprocess.run(
            [sys.executable, "-m", "sandbox", "env"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        variables = parse_exports(shown.stdout)
        if "SANDBOX_REGISTRY" not in variables:
            raise DemoError("the sandbox does not say how to use it: python3 -m sandbox env")
        self.shell.environment.update(variables)
        self.registry = variables["SANDBOX_REGISTRY"]
        tell.success(f"Kubernetes runs, with a registry for images at {self.registry}")

    def push_bases(self) -> None:
        """Push what the shop stands on, if it is the sandbox, and tell its templates where."""
        self.shell.environment["SHOP_REGISTRY"] = self.registry
        if not self.sandbox:
            return
        self.narrator.say("The sandbox has no internet; these two stand in for docker.io:")
        for image, program in BASES.items():
            self.succeed(f"python3 -m sandbox push {UPSTREAM}/{image} -- {program}")
        self.shell.environment["SHOP_UPSTREAM"] = f"{self.registry}/{UPSTREAM}"

    def succeed(self, line: str, hint: str = "read its output above") -> None:
        """Run a command of this repository, which begins with ``python3``."""
        self.narrator.command(line)
        done = self.shell.run([sys.executable, *shlex.split(line)[1:]], ROOT)
        if done.exit_code:
            what = " ".join(shlex.split(line)[1:4])
            raise DemoError(f"`{what}` ended with exit code {done.exit_code}: {hint}")

    def preparations(self) -> list[str]:
        """Return what a person types once, before codexctl."""
        lines = [f"cd {ROOT}"]
        if shutil.which("codexctl") != str(self.codexctl):
            lines.append(f'export PATH="{self.codexctl.parent}:$PATH"')
        if self.sandbox:
            lines.append('eval "$(python3 -m sandbox env)"')
        lines.append(f"export SHOP_REGISTRY={self.registry}")
        if self.sandbox:
            lines.append(f"export SHOP_UPSTREAM={self.registry}/{UPSTREAM}")
        return lines


class Play(Protocol):
    """A demo that is ready to begin."""

    def play(self) -> None:
        """Play all steps."""
        ...


def perform(steps: int, prepare: Callable[[Narrator], Play]) -> int:
    """Play a demo; every failure is one line. Return the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background jobs ignore SIGINT
        signal.signal(number, signal.default_int_handler)
    narrator = Narrator(steps)
    try:
        _use_the_right_python()
        prepare(narrator).play()
    except SetupError as error:
        return _fail(str(error), _WRONG_SETUP)
    except DemoError as error:
        return _fail(f"demo: step {narrator.step_number} failed: {error}", 1)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return _fail(
            "demo: interrupted: its commands have ended; run it again to start over", _INTERRUPTED
        )
    return 0


def _use_the_right_python() -> None:
    """Go on in the repository's environment when this Python lacks what codexctl needs."""
    if find_spec("kubernetes"):
        return
    python = ROOT / ".venv" / "bin" / "python"
    if not python.exists() or Path(sys.prefix) == python.parent.parent:
        raise SetupError("python: has no package kubernetes: run `make demo`, which installs it")
    os.execv(python, [str(python), *sys.argv])  # noqa: S606 - the same program, no shell


def _fail(line: str, code: int) -> int:
    sys.stdout.flush()
    print(f"\n{line}" if sys.stdout.isatty() else line, file=sys.stderr)
    return code
