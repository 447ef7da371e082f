"""
Measure how `codexctl` waits, beside kubectl, interleaved in one run, on the cluster of KUBECONFIG.

    python bench/waiting.py [--runs 3] [--objects 100] [--seconds 60]

kubectl's side is `kubectl apply` and then `kubectl rollout status` of each Deployment, as scripts
do it. When something happened is noted by a watch of this script's own. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from accounts import Administrator, ClusterError
from compare import CODEXCTL, ROOT, sandbox_environment

sys.path.insert(0, str(ROOT))
from codexctl_tasks.rollout.symptoms import GRACE_IMAGE_MISSING_S

if TYPE_CHECKING:
    from collections.abc import Callable

_NAMESPACE = "bench-waiting"
_SLOW = ("slow-1", "slow-2", "slow-3")
_CAUSE = "image not found"
_READY = "jsonpath={.metadata.name} {.status.availableReplicas}{'\\n'}"
_WAITS = "jsonpath={.status.containerStatuses[*].state.waiting.reason}{'\\n'}"
_PATIENCE_S = 120.0
_PERCENT = 100


@dataclass(frozen=True)
class Row:
    """
    One line of the table.

    Attributes:
        title: what was measured, with its unit.
        goal: the largest value that is good for codexctl.
        ours: of codexctl, one for each run.
        theirs: of kubectl; empty where it has none.

    """

    title: str
    goal: float
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        mark = "reached" if max(self.ours) <= self.goal else "**missed**"
        return (
            f"| {self.title} | {self.goal:.3g} | {_spread(self.ours)} | {_spread(self.theirs)}"
            f" | {mark} |"
        )


def _spread(values: list[float]) -> str:
    if not values:
        return "-"
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


@dataclass
class Process:
    """
    A finished program.

    Attributes:
        code: its exit code.
        begun_s: `time.monotonic` when it was started.
        ended_s: when it was collected.
        cpu_s: with all its children.
        lines: of stderr, each with the time at which it came.

    """

    code: int
    begun_s: float
    ended_s: float
    cpu_s: float
    lines: list[tuple[float, str]]

    def first(self, text: str) -> float:
        """Return when the first line with a text came."""
        found = (at_s for at_s, line in self.lines if text in line)
        if (at_s := next(found, None)) is None:
            shown = "".join(line for _, line in self.lines)
            raise ClusterError(f"{text!r} was never shown:\n{shown}")
        return at_s


def observe(argv: list[str], env: dict[str, str]) -> Process:
    """Run a program and note when it says what."""
    begun_s, lines = time.monotonic(), list[tuple[float, str]]()
    with subprocess.Popen(
        argv, env=env, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None  # noqa: S101 - for the type checker
        lines.extend((time.monotonic(), line) for line in process.stderr)
        _, status, usage = os.wait4(process.pid, 0)
        ended_s = time.monotonic()
        process.returncode = os.waitstatus_to_exitcode(status)
    return Process(process.returncode, begun_s, ended_s, usage.ru_utime + usage.ru_stime, lines)


class Sight:
    """Use it as a context: a watch that notes when a line satisfies a condition first."""

    def __init__(self, bench: Bench, kind: str, shown: str, is_it: Callable[[str], bool]) -> None:
        self._argv = [*bench.kubectl, "get", kind, "--watch", "--output", shown]
        self._env, self._is_it = bench.env, is_it
        self._seen = threading.Event()
        self._at_s = 0.0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._argv,
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def at_s(self) -> float:
        """When it was, by `time.monotonic`."""
        if not self._seen.wait(_PATIENCE_S):
            raise ClusterError(f"the watch never showed it: {self._argv}")
        return self._at_s

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        for line in self._process.stdout:
            if self._is_it(line):
                self._at_s = time.monotonic()
                self._seen.set()
                return


class Bench:
    """The programs, their accounts and their manifests."""

    def __init__(self, admin: Administrator, env: dict[str, str], folder: Path) -> None:
        self._admin, self.env, self._folder = admin, env, folder
        self.kubectl = [admin.kubectl, "--namespace", _NAMESPACE]
        self._accounts = admin.open_accounts(["codexctl", "kubectl"], folder)
        self._file = folder / "manifests.json"
        self._image = f"{env['SANDBOX_REGISTRY']}/base:1"

    def exit_after_ready(self, runs: int) -> list[Row]:
        """Seconds from the moment the last Deployment is available to the exit."""
        row = Row("exit after the last workload is ready, s", 0.3)
        self._write(*(self._slow(name, number) for number, name in enumerate(_SLOW, 1)))
        for _ in range(runs):
            for name, values in (("codexctl", row.ours), ("kubectl", row.theirs)):
                self._begin_anew()
                missing = set(_SLOW)

                def is_last(line: str, missing: set[str] = missing) -> bool:
                    missing -= {line.removesuffix(" 1\n")}
                    return not missing

                with Sight(self, "deployments", _READY, is_last) as sight:
                    done = self._deploy(name, list(_SLOW), "120s")
                    values.append(done.ended_s - sight.at_s)
        return [row]

    def missing_image(self, runs: int) -> list[Row]:
        """How soon an image that does not exist is told, and fails the rollout."""
        told = Row("cause told after the API server showed it, s", 3.0)
        failed = Row(f"verdict after the grace of {GRACE_IMAGE_MISSING_S:.0f} s, s", 3.0)
        self._write(_deployment("broken", {"image": self._image.replace("base:1", "none:1")}))
        for _ in range(runs):
            self._begin_anew()
            with Sight(self, "pods", _WAITS, lambda line: "ImagePull" in line) as sight:
                done = self._deploy("codexctl", ["broken"], "120s")
                told.ours.append(done.first(_CAUSE) - sight.at_s)
                failed.ours.append(done.ended_s - sight.at_s - GRACE_IMAGE_MISSING_S)
        return [told, failed]

    def many(self, runs: int, objects: int, seconds: int) -> list[Row]:
        """Requests and CPU of a wait for Deployments whose pods no node takes."""
        asked = Row(f"requests while {objects} Deployments are not ready for {seconds} s", 20.0)
        busy = Row("CPU meanwhile, % of one core", 10.0)
        nowhere = {"nodeSelector": {"none-such": "true"}}
        names = [f"idle-{number}" for number in range(objects)]
        self._write(*(_deployment(name, {"image": self._image}, **nowhere) for name in names))
        self._begin_anew()
        self._run("codexctl", ["apply", *self._flags()])
        for _ in range(runs):
            for name, requests, shares in (
                ("codexctl", asked.ours, busy.ours),
                ("kubectl", asked.theirs, busy.theirs),
            ):
                before = self._admin.count_requests(name)
                done = self._wait(name, names, seconds)
                requests.append(self._admin.count_requests(name) - before)
                share = done.cpu_s / (done.ended_s - done.begun_s)
                shares.append(_PERCENT * share)
        return [asked, busy]

    def _deploy(self, name: str, workloads: list[str], timeout: str) -> Process:
        if name == "codexctl":
            return self._run(name, ["apply-wait", *self._flags(), "--wait-timeout", timeout])
        status = [f"rollout status deployment/{each} --timeout {timeout}" for each in workloads]
        return self._run_script([f"apply --filename {self._file}", *status])

    def _wait(self, name: str, workloads: list[str], seconds: int) -> Process:
        if name == "codexctl":
            return self._run(name, ["wait", *self._flags(), "--wait-timeout", f"{seconds}s"])
        each_s = seconds / len(workloads)
        return self._run_script(
            [f"rollout status deployment/{each} --timeout {each_s}s" for each in workloads]
        )

    def _flags(self) -> list[str]:
        return ["--manifests", str(self._file), "--namespace", _NAMESPACE]

    def _run(self, name: str, argv: list[str]) -> Process:
        env = {**self.env, "KUBECONFIG": str(self._accounts[name])}
        return observe([str(CODEXCTL), *argv], env)

    def _run_script(self, commands: list[str]) -> Process:
        """Run kubectl several times, as a shell script would."""
        env = {**self.env, "KUBECONFIG": str(self._accounts["kubectl"])}
        script = "\n".join(f"{' '.join(self.kubectl)} {command}" for command in commands)
        return observe(["sh", "-c", script], env)

    def _begin_anew(self) -> None:
        self._admin.run(
            *("delete", "deployments", "--all", "--namespace", _NAMESPACE),
            *("--cascade=foreground", "--wait"),
        )

    def _slow(self, name: str, after_s: int) -> dict[str, Any]:
        script = f"sleep {after_s}; touch /tmp/ready; sleep 10000"
        probe = {"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1}  # noqa: S108
        container = {"image": self._image, "command": ["sh", "-c", script]}
        return _deployment(name, {**container, "readinessProbe": probe})

    def _write(self, *objects: dict[str, Any]) -> None:
        every = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self._file.write_text(json.dumps(every))


def _deployment(name: str, container: dict[str, Any], **pod: Any) -> dict[str, Any]:
    labels = {"app": name}
    spec = {
        "containers": [{"name": "app", **container}],
        "terminationGracePeriodSeconds": 0,
        **pod,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def main() -> None:
    """Measure, print the table, leave nothing behind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=3, help="runs of each (default: 3)")
    parser.add_argument("--objects", type=int, default=100, help="Deployments (default: 100)")
    parser.add_argument("--seconds", type=int, default=60, help="to wait for them (default: 60)")
    options = parser.parse_args()
    env = sandbox_environment()
    admin = Administrator(env.get("SANDBOX_KUBECTL", "kubectl"), env)
    admin.clean()
    with tempfile.TemporaryDirectory() as name:
        try:
            admin.create_namespace(_NAMESPACE)
            bench = Bench(admin, env, Path(name))
            rows = [
                *bench.exit_after_ready(options.runs),
                *bench.missing_image(options.runs),
                *bench.many(options.runs, options.objects, options.seconds),
            ]
            print("medians (smallest to largest)\n")
            print("| | goal | codexctl | kubectl | |\n|---|---|---|---|---|")
            print("\n".join(map(str, rows)))
        finally:
            admin.clean(wait=False)


if __name__ == "__main__":
    main()
