"""
Measure codexctl beside kubectl, interleaved in one run, on the cluster of KUBECONFIG.

    python bench/compare.py [--runs 5]

Prints a table: the median of each, and the ratio of the medians. Absolute figures say more about
the machine than about the programs; quote the ratios.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import resource
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]
CODEXCTL = Path(sys.executable).with_name("codexctl")
NAMESPACE = "bench-shop"
_WORKLOADS = ("statefulset/redis", "deployment/api", "deployment/web")


@dataclass(frozen=True)
class Run:
    """One finished process, with all its children."""

    wall_s: float
    cpu_s: float
    memory_mib: float
    """Largest resident size of one of them."""
    ended_at: float
    """`time.monotonic` when it was collected."""


@dataclass(frozen=True)
class Commands:
    """A program under measurement: its commands, run one after the other."""

    name: str
    argv: list[list[str]]


class CommandFailed(SystemExit):
    """A command under measurement failed; where nobody expects that, it ends the run."""


def measure(commands: Commands, env: dict[str, str], cwd: Path, time_limit_s: float = 600) -> Run:
    """Run commands one after the other; wall clock and CPU of all of them."""
    begun, cpu, memory = time.monotonic(), 0.0, 0.0
    for argv in commands.argv:
        process = subprocess.Popen(
            argv, cwd=cwd, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        complaint, usage = _collect(process, time_limit_s)
        if process.returncode:
            raise CommandFailed(f"{shlex.join(argv)}: exit code {process.returncode}: {complaint}")
        cpu += usage.ru_utime + usage.ru_stime
        memory = max(memory, usage.ru_maxrss / 1024)
    ended = time.monotonic()
    return Run(ended - begun, cpu, memory, ended)


def _collect(
    process: subprocess.Popen[bytes], time_limit_s: float
) -> tuple[str, resource.struct_rusage]:
    """Return what a process prints on stderr, and its use; it does not outlive us or the limit."""
    assert process.stderr is not None  # noqa: S101 - for the type checker
    limit = threading.Timer(time_limit_s, process.kill)
    limit.daemon = True
    limit.start()
    try:
        complaint = process.stderr.read().decode(errors="replace")
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        limit.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return complaint, usage


def compare(
    title: str,
    ours: Commands,
    theirs: Commands,
    value: Callable[[Commands], float],
    runs: int,
) -> None:
    """Print one row: medians of both and their ratio, after one warm-up each."""
    value(ours), value(theirs)
    pairs = [(value(ours), value(theirs)) for _ in range(runs)]
    our, their = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = f"{our / their:.2f}" if their else "-"
    print(f"{title:<46} {our:>9.3f} {their:>9.3f} {ratio:>7}")


def own_environment() -> dict[str, str]:
    """
    Return the caller's environment without what changes how Python runs.

    With PYTHONDONTWRITEBYTECODE each run compiles codexctl anew, which takes longer than many of
    its tasks; where it is installed, that was done once.
    """
    return {name: each for name, each in os.environ.items() if not name.startswith("PYTHON")}


def sandbox_environment() -> dict[str, str]:
    """Return the environment that leads to the sandbox, or the caller's own with SANDBOX=off."""
    if os.environ.get("SANDBOX") != "off":
        subprocess.run([sys.executable, "-m", "sandbox", "up"], cwd=ROOT, check=True)
    shown = subprocess.run(
        [sys.executable, "-m", "sandbox", "env"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    pairs = (
        shlex.split(line.removeprefix("export "))[0].partition("=")
        for line in shown.stdout.splitlines()
    )
    found = {name: value for name, _, value in pairs}
    return {
        **own_environment(),
        **found,
        "SHOP_REGISTRY": found["SANDBOX_REGISTRY"],
        "NO_COLOR": "1",
    }


def bench_start_up(env: dict[str, str], kubectl: str, runs: int) -> None:
    """CPU seconds until a program has said something without talking to a cluster."""
    theirs = Commands("kubectl", [[kubectl, "version", "--client"]])
    for flag in ("--list", "--help"):
        ours = Commands("codexctl", [[str(CODEXCTL), flag]])
        compare(
            f"start-up, CPU s: {flag} / version",
            ours,
            theirs,
            lambda c: measure(c, env, ROOT).cpu_s,
            runs,
        )


def bench_unchanged(env: dict[str, str], kubectl: str, runs: int) -> None:
    """Deploy the healthy, unchanged shop again and wait for it."""
    shop = ROOT / "examples/shop"
    flags = ["--env", "staging", "--namespace", NAMESPACE]
    ours = Commands("codexctl", [[str(CODEXCTL), "apply-wait", *flags]])
    measure(ours, env, shop)
    rendered = subprocess.run(
        [CODEXCTL, "render", *flags], cwd=shop, env=env, check=True, capture_output=True
    )
    manifests = Path(env.get("TMPDIR", "/tmp")) / f"bench-{os.getpid()}.yaml"  # noqa: S108
    manifests.write_bytes(rendered.stdout)
    in_namespace = [kubectl, "--namespace", NAMESPACE]
    theirs = Commands(
        "kubectl",
        [
            [
                kubectl,
                "apply",
                "--server-side",
                "--force-conflicts",
                "--field-manager=codexctl",
                "-f",
                str(manifests),
            ],
            *([*in_namespace, "rollout", "status", name] for name in _WORKLOADS),
            [*in_namespace, "wait", "--for=condition=Complete", "job", "--all"],
        ],
    )
    try:
        for title, value in (
            ("unchanged shop, wall s", lambda c: measure(c, env, shop).wall_s),
            ("unchanged shop, CPU s", lambda c: measure(c, env, shop).cpu_s),
        ):
            compare(title, ours, theirs, value, runs)
    finally:
        manifests.unlink()


def main() -> None:
    """Run all benchmarks; the images of the shop must have been pushed, as the demo does."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each (default: 5)")
    runs = parser.parse_args().runs
    env = sandbox_environment()
    kubectl = env.get("SANDBOX_KUBECTL", "kubectl")
    print(f"{'medians of ' + str(runs):<46} {'codexctl':>9} {'kubectl':>9} {'ratio':>7}")
    try:
        bench_start_up(env, kubectl, runs)
        bench_unchanged(env, kubectl, runs)
    finally:
        delete = [kubectl, "delete", "namespace", NAMESPACE, "--ignore-not-found"]
        subprocess.run(delete, env=env, check=True, capture_output=True)


if __name__ == "__main__":
    main()
