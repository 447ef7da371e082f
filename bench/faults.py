"""
Play every scenario of `tests.scenarios` with codexctl and its peers on the cluster of KUBECONFIG.

    python bench/faults.py [--tools codexctl,kubectl,helm3,helm4] [--at-once 10] [--only NAME,...]

Each program deploys the same manifests into a namespace of its own and waits as it can; some play
side by side. Prints Markdown: what each program said about each scenario, the totals, and how long
after the grace codexctl decided.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from compare import CODEXCTL, ROOT, sandbox_environment
from peers import HELM, build_helm
from signs import Signs, Told
from verdicts import Verdict, print_goals, print_scenarios, print_totals

sys.path.insert(0, str(ROOT))
from tests.scenarios.catalogue import SCENARIOS
from tests.scenarios.stage import MANIFESTS, Stage
from tests.support.faulty_registry import FaultyRegistry

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.scenarios.model import Scenario

TOOLS = ("codexctl", "kubectl", *HELM)
_CUT_S = 60
"""What the peers wait for when something is broken: most of them would wait in vain for ever."""
_MORE_S = 60
"""How much longer than a scenario lasts they wait for it when all will be well."""
_LIMIT_S = 600
"""No program waits that long."""
_FOREIGN = ("CODEXCTL_", "GITHUB_", "HELM_", "KUBERNETES_", "PYTHON", "XDG_")

Commands = list[list[str]]
"""Run one after the other until one fails."""


def codexctl(scenario: Scenario, stage: Stage) -> Commands:
    """Apply and wait until it is healthy or broken."""
    where = ["--manifests", str(stage.folder / MANIFESTS), "--namespace", stage.namespace]
    return [[str(CODEXCTL), "apply-wait", *where, "--wait-timeout", f"{scenario.timeout_s:.0f}s"]]


def kubectl(scenario: Scenario, stage: Stage) -> Commands:
    """Apply, then look at each workload, as scripts do."""
    program = [stage.environment["SANDBOX_KUBECTL"], "--namespace", stage.namespace]
    patience = f"--timeout={_patience_s(scenario)}s"
    commands = [[*program, "apply", "--filename", str(stage.folder / MANIFESTS)]]
    for each in scenario.objects:
        name = f"{each['kind'].lower()}/{each['metadata']['name']}"
        if each["kind"] in {"Deployment", "StatefulSet", "DaemonSet"}:
            commands.append([*program, "rollout", "status", name, patience])
        elif each["kind"] == "Job":
            commands.append([*program, "wait", "--for=condition=Complete", name, patience])
    return commands


def helm(name: str) -> Callable[[Scenario, Stage], Commands]:
    """Return how helm 3 or 4 installs a chart of the manifests and waits for all it can."""
    program = build_helm(name)

    def commands(scenario: Scenario, stage: Stage) -> Commands:
        chart = _write_chart(stage)
        # What was there before was made by others; helm would refuse to touch it.
        taking = ["--take-ownership", *(["--force-conflicts"] if name == "helm4" else [])]
        waiting = ["--wait", "--wait-for-jobs", "--timeout", f"{_patience_s(scenario)}s"]
        install = [program, "upgrade", "--install", "bench", str(chart)]
        return [[*install, "--namespace", stage.namespace, *taking, *waiting]]

    return commands


def _patience_s(scenario: Scenario) -> int:
    return _CUT_S if scenario.fault else int(scenario.lasts_s) + _MORE_S


def _write_chart(stage: Stage) -> Path:
    chart = stage.folder / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: bench\nversion: 1.0.0\n")
    (chart / "templates" / MANIFESTS).write_text((stage.folder / MANIFESTS).read_text())
    return chart


@dataclass
class Bench:
    """One run of the benchmark."""

    environment: dict[str, str]
    folder: Path
    faulty: str
    signs: Signs
    verdicts: list[Verdict] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def play_all(
        self,
        tools: dict[str, Callable[[Scenario, Stage], Commands]],
        scenarios: list[Scenario],
        at_once: int,
    ) -> None:
        """Let every program play every scenario, the longest first, some side by side."""
        turns = [(s, t) for s in scenarios for t in tools if t == "codexctl" or not s.is_ours]
        random.Random(1).shuffle(turns)  # noqa: S311 - so that the programs take turns
        turns.sort(key=lambda turn: -_length_s(*turn))
        with ThreadPoolExecutor(at_once) as pool:
            for scenario, tool in turns:
                pool.submit(self._play, scenario, tool, tools[tool])

    def _play(
        self, scenario: Scenario, tool: str, commands: Callable[[Scenario, Stage], Commands]
    ) -> None:
        namespace = f"bench-{tool}-{scenario.name}"
        folder = self.folder / tool / scenario.name
        stage = Stage(namespace, folder, self.environment, self.faulty)
        try:
            with stage.set_for(scenario):
                argv = commands(scenario, stage)
                with stage.meanwhile(scenario.during):
                    told, exit_code, seconds = self._run(argv, tool)
        except Exception as error:  # noqa: BLE001 - one that cannot be played must not end all
            self.failures.append(f"{scenario.name}, {tool}: {error}")
            _tell(self.failures[-1])
            return
        signs, restarts = self.signs.told(namespace), self.signs.restarts(namespace)
        verdict = Verdict(scenario, tool, exit_code, seconds, told, signs, restarts)
        self.verdicts.append(verdict)
        _tell(f"{scenario.name}, {tool}: {verdict.word} after {seconds:.1f} s")

    def _run(self, commands: Commands, tool: str) -> tuple[list[Told], int, float]:
        """Run commands until one fails; return their lines, the exit code, the wall seconds."""
        home = self.folder / "homes" / tool
        home.mkdir(parents=True, exist_ok=True)
        env = {name: each for name, each in os.environ.items() if not name.startswith(_FOREIGN)}
        env |= self.environment | {"HOME": str(home), "NO_COLOR": "1"}
        begun, told, code = time.monotonic(), list[Told](), 0
        for argv in commands:
            code = _read(argv, env, told)
            if code:
                break
        return told, code, time.monotonic() - begun


def _read(argv: list[str], env: dict[str, str], told: list[Told]) -> int:
    """Run one command and add what it says, with the time of each line."""
    with subprocess.Popen(
        argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        limit = threading.Timer(_LIMIT_S, process.kill)
        limit.daemon = True
        limit.start()
        assert process.stdout is not None  # noqa: S101 - for the type checker
        told.extend(Told(time.monotonic(), line.rstrip()) for line in process.stdout)
        limit.cancel()
    return process.returncode


def _length_s(scenario: Scenario, tool: str) -> float:
    """Return about how long a turn takes."""
    return _CUT_S if scenario.fault and tool != "codexctl" else scenario.lasts_s


def _tell(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1] if __doc__ else "")
    parser.add_argument("--tools", default=",".join(TOOLS), help="default: %(default)s")
    parser.add_argument("--at-once", type=int, default=10, help="turns side by side (default: 10)")
    parser.add_argument("--only", default="", help="names of scenarios, separated by commas")
    options = parser.parse_args()
    options.tools = options.tools.split(",")
    options.only = [name for name in options.only.split(",") if name]
    names = [scenario.name for scenario in SCENARIOS]
    if unknown := {*options.tools} - {*TOOLS} | {*options.only} - {*names}:
        parser.error(f"no such tools or scenarios: {', '.join(sorted(unknown))}")
    return options


def main() -> None:
    """Play; print what there is even when the run is cut short; leave nothing behind."""
    options = _parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    environment = sandbox_environment()
    environment.setdefault("SANDBOX_KUBECTL", "kubectl")
    ways = {"codexctl": lambda: codexctl, "kubectl": lambda: kubectl}
    ways |= {name: lambda name=name: helm(name) for name in HELM}
    tools = {name: ways[name]() for name in options.tools}
    chosen = [s for s in SCENARIOS if not options.only or s.name in options.only]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        faulty = ""
        if "SANDBOX_REGISTRIES" in environment:
            faulty = stack.enter_context(FaultyRegistry(environment)).address
        chosen = [scenario for scenario in chosen if faulty or not scenario.needs_faults]
        signs = stack.enter_context(Signs(environment))
        bench = Bench(environment, Path(folder), faulty, signs)
        try:
            bench.play_all(tools, chosen, options.at_once)
        except KeyboardInterrupt:
            bench.failures.append("interrupted: this is what there is")
        print_scenarios(bench.verdicts, options.tools)
        print_totals(bench.verdicts, options.tools)
        print_goals(bench.verdicts)
        sys.exit("\n".join(bench.failures) or None)


if __name__ == "__main__":
    main()
