"""
Measure the sync of sources beside `kubectl cp`, interleaved in one run, on the sandbox.

    python bench/sync.py [--runs 3] [--files 20000] [--megabytes 300] [--random]

Each program brings the same folder into a pod, into a place that is empty; then ten files change,
and it brings the folder once more. Prints a table in Markdown; quote the ratios.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
from pathlib import Path
from typing import Any

from accounts import Administrator
from compare import CODEXCTL, Commands, measure, sandbox_environment

_NAMESPACE = "bench-sync"
_POD, _VOLUME = "agent", "/volume"
_FOLDERS = 400
_CHANGED = 10
_GOAL_AGAIN_S = 2.0


def library() -> bytes:
    """Return some 10 MB of real sources: those of Python's own library."""
    folder = Path(os.__file__).parent
    return b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))


def make_sources(folder: Path, files: int, megabytes: int, *, is_random: bool) -> list[Path]:
    """Write files like those of a project: many small ones, some large ones; return them."""
    chance = random.Random("sync")  # noqa: S311 - nobody guesses it
    words = chance.randbytes(2**24) if is_random else library()
    weights = [chance.paretovariate(1.2) for _ in range(files)]
    share = megabytes * 10**6 / sum(weights)
    made = []
    for number, weight in enumerate(weights):
        path = folder / f"package-{number % _FOLDERS:03}" / f"module_{number:05}.py"
        path.parent.mkdir(exist_ok=True)
        size, start = int(weight * share), chance.randrange(len(words))
        content = (words[start:] + words * (size // len(words) + 1))[:size]
        path.write_bytes(content)
        made.append(path)
    return made


def change(files: list[Path], run: int) -> None:
    """Change ten of the files, each time others."""
    for path in random.Random(run).sample(files, _CHANGED):  # noqa: S311
        path.write_bytes(path.read_bytes() + b"#")


def objects(image: str) -> list[dict[str, Any]]:
    """Return a volume claim and a pod that has it."""
    container = {
        "name": "agent",
        "image": image,
        "command": ["sleep", "100000"],
        "volumeMounts": [{"name": "volume", "mountPath": _VOLUME}],
    }
    volume = {"name": "volume", "persistentVolumeClaim": {"claimName": "workspace"}}
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "workspace", "namespace": _NAMESPACE},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "4Gi"}},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": _POD, "namespace": _NAMESPACE},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [container],
                "volumes": [volume],
            },
        },
    ]


class Bench:
    """Brings a folder into the pod, with either program."""

    def __init__(self, env: dict[str, str], kubectl: str, folder: Path) -> None:
        self._env, self._kubectl, self._folder = env, kubectl, folder
        (folder.parent / "nothing.yaml").write_text(
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: nothing}}"
        )

    def commands(self, program: str, place: str) -> Commands:
        """Return what brings the folder to a place on the volume."""
        if program == "kubectl":
            source = f"{self._folder}/."
            command = [self._kubectl, "--namespace", _NAMESPACE, "cp", source]
            return Commands(program, [[*command, f"{_POD}:{_VOLUME}/{place}"]])
        nothing = str(self._folder.parent / "nothing.yaml")
        command = [str(CODEXCTL), "sync-sources", "--manifests", nothing]
        where = ["--namespace", _NAMESPACE, "--folder", str(self._folder), "--path", place]
        return Commands(program, [[*command, *where]])

    def run(self, program: str, place: str) -> float:
        """Return how many seconds it takes."""
        return measure(self.commands(program, place), self._env, self._folder).wall_s

    def inside(self, script: str) -> None:
        """Run a script in the pod."""
        command = [self._kubectl, "--namespace", _NAMESPACE, "exec", _POD, "--", "sh", "-c", script]
        measure(Commands("inside", [command]), self._env, self._folder)


def print_row(title: str, goal: str, ours: list[float], theirs: list[float]) -> None:
    """Print what was measured: medians, and their ratio."""
    our, their = statistics.median(ours), statistics.median(theirs)
    print(f"| {title} | {goal} | {our:.2f} | {their:.2f} | {our / their:.2f} |")


def main() -> None:
    """Measure, print the table, leave nothing behind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=3, help="of each program (default: 3)")
    parser.add_argument("--files", type=int, default=20_000, help="files (default: 20000)")
    parser.add_argument("--megabytes", type=int, default=300, help="of all files (default: 300)")
    parser.add_argument("--random", action="store_true", help="random bytes instead of sources")
    options = parser.parse_args()
    env = sandbox_environment()
    admin = Administrator(env.get("SANDBOX_KUBECTL", "kubectl"), env)
    admin.clean()
    found: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "sources"
        folder.mkdir()
        files = make_sources(folder, options.files, options.megabytes, is_random=options.random)
        try:
            admin.create_namespace(_NAMESPACE)
            admin.apply(*objects(f"{env['SANDBOX_REGISTRY']}/base:1"))
            ready = ("wait", "--for=condition=Ready", f"pod/{_POD}", "--namespace", _NAMESPACE)
            admin.run(*ready, "--timeout=120s")
            bench = Bench({**env, "XDG_CACHE_HOME": f"{name}/caches"}, admin.kubectl, folder)
            for run in range(options.runs):
                programs = ("codexctl", "kubectl")[:: 1 if run % 2 else -1]
                for program in programs:
                    place = f"{program}-{run}"
                    # Nothing is removed before the end: for some seconds ext4 looks for inodes that
                    # were not just freed, and whoever is measured then takes twice as long.
                    bench.inside(f"mkdir -p {_VOLUME}/{place}; sync")
                    found.setdefault((program, "first"), []).append(bench.run(program, place))
                    change(files, run)
                    found.setdefault((program, "again"), []).append(bench.run(program, place))
                    bench.inside("sync")
        finally:
            admin.clean(wait=False)
    print(f"load: {os.getloadavg()[0]:.1f}; medians of {options.runs}\n")
    print("| | goal | codexctl | kubectl cp | ratio |\n|---|---|---|---|---|")
    print_row("first time, s", "ratio 1", found["codexctl", "first"], found["kubectl", "first"])
    goal = f"{_GOAL_AGAIN_S:.0f} s"
    print_row(
        f"{_CHANGED} files changed, s", goal, found["codexctl", "again"], found["kubectl", "again"]
    )


if __name__ == "__main__":
    main()
