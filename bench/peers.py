"""
The programs under measurement: how each is built, and its command for each step.

`commands` is the one place to change what a program is asked to do.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from compare import CODEXCTL, ROOT
from mixed import KINDS, SELECTOR

sys.path.insert(0, str(ROOT))
from sandbox.places import exclusive, find_places
from sandbox.toolchain import find_go

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mixed import Stack

STEPS = ("new", "unchanged", "changed", "removed")
HELM = {"helm3": "helm.sh/helm/v3/cmd/helm@v3.22.0", "helm4": "helm.sh/helm/v4/cmd/helm@v4.3.1"}
TOOLS = ("codexctl", "bare", "kubectl-ssa", "kubectl", *HELM)
_BUILD = ("-trimpath", "-ldflags", "-s -w")
_APPLYSET = ["--server-side", "--prune", "--applyset=bench"]
"""In every step, so that the last one knows what to prune."""
_PRUNE = ["--prune", f"--selector={SELECTOR}", *(f"--prune-allowlist={kind}" for kind in KINDS)]
"""Without the list of kinds, kubectl leaves most of them behind."""


@dataclass(frozen=True)
class Tool:
    """
    A program under measurement.

    Attributes:
        name: its name in options and tables.
        version: what it says about itself.
        environment: what it needs beside the cluster's address.
        command: its command for a step, a stack and a namespace; None where it cannot do the step.
        steps: those that it is asked to do, in the order of `STEPS`.

    """

    name: str
    version: str
    environment: dict[str, str]
    command: Callable[[str, Stack, str], list[str] | None]
    steps: tuple[str, ...] = STEPS


def find_tool(name: str, kubectl: str) -> Tool:
    """Return a program by name, built if it has not been yet."""
    if name == "codexctl":
        return Tool(name, _first_line([str(CODEXCTL), "--version"]), {}, _codexctl)
    if name == "bare":
        program = _build_bare()

        def bare(step: str, stack: Stack, namespace: str) -> list[str] | None:
            return None if step == "removed" else [program, str(stack.manifests), namespace]

        return Tool(name, "client-go", {}, bare)
    if name in HELM:
        program = build_helm(name)

        def helm(_step: str, stack: Stack, namespace: str) -> list[str]:
            upgrade = [program, "upgrade", "--install", "bench", str(stack.chart)]
            return [*upgrade, "--namespace", namespace]

        return Tool(name, HELM[name].rpartition("@")[2], {}, helm)

    def apply(step: str, stack: Stack, namespace: str) -> list[str]:
        flags = _PRUNE if step == "removed" else []
        if name == "kubectl-ssa":
            flags = _APPLYSET
        return [kubectl, "apply", "--namespace", namespace, "-f", str(stack.manifests), *flags]

    applyset = {"KUBECTL_APPLYSET": "true"} if name == "kubectl-ssa" else {}
    return Tool(name, _first_line([kubectl, "version", "--client"]), applyset, apply)


def _codexctl(step: str, stack: Stack, namespace: str) -> list[str] | None:
    """Prune with `apply-wait`: `apply` leaves what left the stack where it is."""
    task = "apply-wait" if step == "removed" else "apply"
    named = ["--stack", "bench"] if _knows_stacks() else []
    if step == "removed" and not named:
        return None
    flags = ["--manifests", str(stack.manifests), "--namespace", namespace]
    return [str(CODEXCTL), task, *flags, *named]


@cache
def _knows_stacks() -> bool:
    shown = subprocess.run([CODEXCTL, "apply", "--help"], check=False, capture_output=True)
    return b"--stack" in shown.stdout


def _cache() -> Path:
    """Return the folder of built programs, beside the sandbox's own."""
    return find_places().cache.with_name("codexctl-bench")


def build_helm(name: str) -> str:
    """Build helm 3 or 4, as `HELM` names them, unless it is there; return its path."""
    package = HELM[name]
    program = _cache() / f"helm-{package.rpartition('@')[2]}" / "helm"
    return _build(program, ["install", *_BUILD, package], find_places().cache)


def _build_bare() -> str:
    source = ROOT / "bench" / "bare"
    content = b"".join(file.read_bytes() for file in sorted(source.iterdir()))
    program = _cache() / f"bare-{hashlib.sha256(content).hexdigest()[:12]}" / "bare"
    return _build(program, ["build", *_BUILD, "-o", str(program), "."], source)


def _build(program: Path, arguments: list[str], folder: Path) -> str:
    """Build a program with Go unless it is there; the first time takes minutes."""
    with exclusive(_cache() / "build.lock", "building the peers"):
        if not program.exists():
            go = find_go(find_places().cache)
            print(f"building {program.name}, once: go {shlex.join(arguments)}", file=sys.stderr)
            own = {"CGO_ENABLED": "0", "GOWORK": "off", "GOBIN": str(program.parent)}
            subprocess.run([go, *arguments], cwd=folder, env={**os.environ, **own}, check=True)
    return str(program)


def _first_line(command: list[str]) -> str:
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return shown.partition("\n")[0].split()[-1]
