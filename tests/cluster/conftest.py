"""A namespace, manifests and a runner for each test against the real cluster."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sandbox import prerequisites
from tests.support.control_plane import ControlPlane
from tests.support.shell import BIN, clean_environment, kubectl_path, run, run_kubectl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_NUMBERS = itertools.count(1)


@dataclass
class Playground:
    """One namespace of the cluster and one folder of manifests."""

    namespace: str
    folder: Path
    environment: dict[str, str] = field(repr=False)

    @property
    def image(self) -> str:
        """An image with a shell, Python and Redis that the cluster can pull."""
        return f"{self.environment['SANDBOX_REGISTRY']}/base:1"

    @property
    def kubectl_path(self) -> str:
        """The sandbox's own kubectl, or the one on PATH for somebody's own cluster."""
        return kubectl_path(self.environment)

    def write(self, *objects: dict[str, Any], file: str = "all.yaml") -> None:
        """Write manifests, one document each."""
        (self.folder / file).write_text(yaml.safe_dump_all(objects, sort_keys=False))

    def codexctl(self, task: str, *flags: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a task on the folder."""
        return run(*self._arguments(task, flags), cwd=self.folder, env={**self.environment, **env})

    def start(self, task: str, *flags: str, **env: str) -> subprocess.Popen[str]:
        """Start a task on the folder and return at once."""
        return subprocess.Popen(
            [BIN / "codexctl", *self._arguments(task, flags)],
            cwd=self.folder,
            env=clean_environment(**self.environment, **env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def kubectl(self, *arguments: str) -> Any:
        """Ask the cluster with an independent program; returns the decoded JSON."""
        words = ("--namespace", self.namespace, *arguments, "--output", "json")
        return json.loads(run_kubectl(self.environment, *words))

    def workload(self, name: str, script: str = "sleep 100000", **container: Any) -> dict[str, Any]:
        """Return a Deployment with one pod that runs a shell script."""
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {**self._pod(script, container)},
                },
            },
        }

    def job(self, name: str, script: str) -> dict[str, Any]:
        """Return a Job that runs a shell script once."""
        pod = {**self._pod(script, {}), "restartPolicy": "Never"}
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name},
            "spec": {"backoffLimit": 0, "template": {"spec": pod}},
        }

    def _pod(self, script: str, container: dict[str, Any]) -> dict[str, Any]:
        command = ["sh", "-c", script]
        return {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "app", "image": self.image, "command": command, **container}],
        }

    def _arguments(self, task: str, flags: tuple[str, ...]) -> list[str]:
        return [task, "--manifests", str(self.folder), "--namespace", self.namespace, *flags]


@pytest.fixture
def playground(cluster_environment: dict[str, str], tmp_path: Path) -> Iterator[Playground]:
    """Give a namespace that nobody else uses, and remove it afterwards."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    namespace = f"test-{worker}-{os.getpid()}-{next(_NUMBERS)}"
    place = Playground(namespace, folder, cluster_environment)
    yield place
    removal = ("delete", "namespace", namespace, "--ignore-not-found", "--wait=false")
    run_kubectl(place.environment, *removal, check=False)


@pytest.fixture
def wait_for_line() -> Callable[[subprocess.Popen[str], str], str]:
    """Give a function that reads stderr of a process until a text appears."""

    def read(process: subprocess.Popen[str], text: str) -> str:
        assert process.stderr is not None
        seen = ""
        for line in process.stderr:
            seen += line
            if text in line:
                return seen
        pytest.fail(f"{text!r} never appeared in:\n{seen}")

    return read


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Give a list; processes put into it are ended after the test, however it went."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Give a control plane that may be killed and restarted: nobody else uses it."""
    problems = prerequisites.find_problems(prerequisites.examine())
    if problems:
        pytest.skip("; ".join(map(str, problems)))
    with ControlPlane(tmp_path_factory.mktemp("planes")) as plane:
        yield plane


@pytest.fixture
def plane_playground(control_plane: ControlPlane, tmp_path: Path) -> Playground:
    """Give a namespace and manifests on `control_plane`, where no pod ever runs."""
    control_plane.up()
    folder = tmp_path / "manifests"
    folder.mkdir()
    return Playground(f"test-{next(_NUMBERS)}", folder, control_plane.environment)
