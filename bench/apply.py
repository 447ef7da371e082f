"""
Measure `codexctl apply` beside its peers, interleaved in one run, on the cluster of KUBECONFIG.

    python bench/apply.py [--objects 400,2000] [--runs 3] [--tools codexctl,bare,helm3:new,...]

Each program applies the same mixed stack to a namespace of its own: new, unchanged, with one object
changed, and with a tenth removed. The namespace is deleted before the next program begins; the
programs take turns, in another order each time. `bare` is the physical limit: a Go program that
sends every object and does nothing else. Prints tables in Markdown; quote the ratios.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

from accounts import Administrator, ClusterError, wait_until
from compare import CommandFailed, Commands, measure, sandbox_environment
from mixed import KINDS, SELECTOR, Stack, write_stacks
from peers import STEPS, TOOLS, Tool, find_tool
from results import Sample, Samples, print_goals, print_tables

_TIME_LIMIT_S = 900.0
_WARM_UP = 20
"""Objects of the run that fills the caches of each program and is not counted."""
_FOREIGN = ("CODEXCTL_", "GITHUB_", "HELM_", "KUBE", "PYTHON", "XDG_")
"""Variables that would make a difference between this machine and another; without
PYTHONDONTWRITEBYTECODE the warm-up compiles what an installed package has compiled."""


class Bench:
    """One run of the benchmark."""

    def __init__(self, admin: Administrator, tools: list[Tool], folder: Path) -> None:
        self._admin = admin
        self._tools = tools
        self._folder = folder
        self._kubeconfigs = admin.open_accounts([tool.name for tool in tools], folder)
        self.samples: Samples = defaultdict(list)
        self.failures: list[str] = []

    def run(self, sizes: list[int], runs: int) -> None:
        """Let every program take its turn, with every number of objects, several times."""
        self._run_all(_WARM_UP, self._write(_WARM_UP), 0)
        self.samples.clear()
        for objects in sizes:
            stacks = self._write(objects)
            for number in range(1, runs + 1):
                self._run_all(objects, stacks, number)

    def _write(self, objects: int) -> dict[str, Stack]:
        """Write stacks in a process of its own, so that this one keeps small (see README)."""
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
            return other.submit(write_stacks, folder, objects).result()

    def _run_all(self, objects: int, stacks: dict[str, Stack], number: int) -> None:
        first = number % len(self._tools)
        for tool in self._tools[first:] + self._tools[:first]:
            _tell(f"run {number}, {objects} objects: {tool.name}")
            try:
                self._take_turn(tool, stacks, objects)
            except (CommandFailed, ClusterError) as error:
                self.failures.append(f"run {number}, {objects} objects: {tool.name} failed")
                _tell(f"  failed: {str(error)[:2000]}")

    def _take_turn(self, tool: Tool, stacks: dict[str, Stack], objects: int) -> None:
        namespace = f"bench-{tool.name}"
        self._admin.create_namespace(namespace)
        try:
            for step in tool.steps:
                argv = tool.command(step, stacks[step], namespace)
                if not argv:
                    _tell(f"  {step:<10} skipped: {tool.name} cannot do this")
                    continue
                sample = self._measure(tool, argv)
                self._check(stacks[step], namespace)
                self.samples[objects, tool.name, step].append(sample)
                _tell(f"  {step:<10} {sample.wall_s:7.2f} s, {sample.requests} requests")
                if step == "new":
                    self._let_settle(namespace)
        finally:
            self._admin.run("delete", "namespace", namespace)

    def _measure(self, tool: Tool, argv: list[str]) -> Sample:
        """Run one command at a home of its own, with caches of its own."""
        home = self._folder / "homes" / tool.name
        home.mkdir(parents=True, exist_ok=True)
        env = {name: each for name, each in os.environ.items() if not name.startswith(_FOREIGN)}
        env |= {"HOME": str(home), "KUBECONFIG": str(self._kubeconfigs[tool.name])}
        before = self._admin.count_requests(tool.name)
        run = measure(Commands(tool.name, [argv]), env | tool.environment, home, _TIME_LIMIT_S)
        return Sample(**vars(run), requests=self._admin.count_requests(tool.name) - before)

    def _check(self, stack: Stack, namespace: str) -> None:
        """Make sure that a step did what it was to do."""
        get = ["get", "--namespace", namespace]
        kinds = ",".join(_resource(kind) for kind in KINDS)
        found = self._admin.run(*get, kinds, "--selector", SELECTOR, "--output", "name").split()
        if len(found) != stack.objects:
            raise ClusterError(f"{namespace}: {len(found)} objects instead of {stack.objects}")
        level = ["configmap", stack.changed, "--output", "jsonpath={.data.LEVEL}"]
        if self._admin.run(*get, *level) != stack.level:
            raise ClusterError(f"{namespace}: ConfigMap {stack.changed} is not {stack.level}")

    def _let_settle(self, namespace: str) -> None:
        """Wait until the controllers have seen everything: their load is nobody's time."""
        kinds = "deployments,horizontalpodautoscalers,services,endpointslices"
        shown = '{range .items[*]}{.kind} {.status.conditions[0].type}{"\\n"}{end}'
        get = ["get", kinds, "--namespace", namespace, "--output", f"jsonpath={shown}"]

        def is_settled() -> bool:
            kinds = Counter(line.strip() for line in self._admin.run(*get).splitlines())
            without_status = kinds["Deployment"] + kinds["HorizontalPodAutoscaler"]
            return not without_status and kinds["Service"] == kinds["EndpointSlice"]

        wait_until(is_settled, f"{namespace}: status of all objects", patience_s=120)


def _resource(kind: str) -> str:
    """Return `deployments.apps` for `apps/v1/Deployment`, as kubectl understands it best."""
    group, version, name = kind.split("/")
    return name if group == "core" else f"{name}.{version}.{group}"


def _tell(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1] if __doc__ else "")
    parser.add_argument("--objects", default="400,2000", help="sizes (default: 400,2000)")
    parser.add_argument("--runs", type=int, default=3, help="counted runs (default: 3)")
    parser.add_argument(
        "--tools",
        default=",".join(TOOLS),
        help="default: %(default)s; with ':new+unchanged' behind a name only these steps of it",
    )
    options = parser.parse_args()
    options.objects = [int(size) for size in options.objects.split(",")]
    options.tools = dict(map(_chosen_steps, options.tools.split(",")))
    if unknown := {*options.tools} - {*TOOLS} | {*sum(options.tools.values(), ())} - {*STEPS}:
        parser.error(f"no such tools or steps: {', '.join(sorted(unknown))}")
    return options


def _chosen_steps(text: str) -> tuple[str, tuple[str, ...]]:
    """Read a name, or a name with steps: `helm3:new+unchanged`."""
    name, _, steps = text.partition(":")
    return name, tuple(steps.split("+")) if steps else STEPS


def main() -> None:
    """Measure; print what there is even when the run is cut short; leave nothing behind."""
    options = _parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    env = sandbox_environment()
    kubectl = env.get("SANDBOX_KUBECTL", "kubectl")
    os.environ.update(env)
    tools = [replace(find_tool(name, kubectl), steps=s) for name, s in options.tools.items()]
    admin = Administrator(kubectl, env)
    admin.clean()
    with tempfile.TemporaryDirectory() as name:
        try:
            bench = Bench(admin, tools, Path(name))
            try:
                bench.run(options.objects, options.runs)
            except KeyboardInterrupt:
                bench.failures.append("interrupted: this is what there is")
            print_tables(bench.samples, tools, options.objects)
            print_goals(bench.samples, options.objects)
            sys.exit("\n".join(bench.failures) or None)
        finally:
            admin.clean(wait=False)


if __name__ == "__main__":
    main()
