"""Running the real command, as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
QUICK_S = 60
SLOW_S = 300


def clean_environment(**extra: str) -> dict[str, str]:
    """Return the environment without anything that changes what codexctl does."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CODEXCTL_", "GITHUB_", "KUBERNETES_", "INVOKE_", "PYTHON"))
        and name not in ("KUBECONFIG", "NO_COLOR")
    }
    return {**kept, **extra}


def run(
    *arguments: str | Path,
    cwd: Path,
    env: dict[str, str] | None = None,
    timeout_s: float = SLOW_S,
    program: str = "codexctl",
) -> subprocess.CompletedProcess[str]:
    """Run a console script of this environment and return what it wrote."""
    return subprocess.run(
        [BIN / program, *arguments],
        cwd=cwd,
        env=clean_environment(**(env or {})),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def kubectl_path(env: Mapping[str, str]) -> str:
    """Return the sandbox's own kubectl, or the one on PATH for somebody's own cluster."""
    return env.get("SANDBOX_KUBECTL", "kubectl")


def run_kubectl(
    env: Mapping[str, str], *arguments: str, given: str = "", check: bool = True
) -> str:
    """
    Run kubectl on the cluster that these variables lead to; return what it printed.

    No namespace is added. *given*: its input. Without *check* it may fail.
    """
    return subprocess.run(
        [kubectl_path(env), *arguments],
        env=clean_environment(**env),
        input=given,
        capture_output=True,
        text=True,
        check=check,
        timeout=QUICK_S,
    ).stdout


def run_program_in(folder: Path, *command: str) -> bytes:
    """Run a program of this machine, which must not fail, and return what it wrote."""
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        timeout=SLOW_S,
        check=False,
        env=clean_environment(),
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout
