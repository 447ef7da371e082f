"""A folder with manifests and a cluster that is a dictionary: the tasks from beginning to end."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import CodexctlError
from codexctl_tasks.settings import deploy_request
from tests.support.fakes import FakeCluster, fake_outside
from tests.support.objects import pod, replica_set, waiting

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from codexctl_tasks.requests.runs import DeployRequest
    from codexctl_tasks.world.outside import Outside
    from tests.support.fakes import FakeClock

    Task = Callable[[DeployRequest, Outside], int]

SPEC = "spec: {replicas: 1}"
WAVE = '  annotations: {codexctl/wave: "%s"}'
BAD_NAME = waiting("InvalidImageName", "couldn't parse image name")


class Stage:
    """A folder with manifests, a cluster, and what was shown."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        self.folder, self.clock = folder, clock
        self.cluster, self.stream = FakeCluster(), io.StringIO()
        self.cluster.on_apply = healthy
        self.cluster.strict_namespaces = True

    @property
    def outside(self) -> Outside:
        """Everything that the tasks need of the outside."""
        return fake_outside(self.cluster, self.clock, self.stream)

    def write(self, *manifests: str) -> None:
        """Write these manifests, and no others."""
        (self.folder / "app.yaml").write_text("".join(manifests))

    def request(self, **given: Any) -> DeployRequest:
        """Return the request of somebody who gives these flags."""
        return deploy_request(manifests=["app.yaml"], namespace="shop", **given)

    def run(self, task: Task, **given: Any) -> int:
        """Run a task and return its exit code; what was shown and called before is forgotten."""
        self.cluster.calls.clear()
        self.stream.seek(0)
        self.stream.truncate()
        return task(self.request(**given), self.outside)

    def refused(self, task: Task, **given: Any) -> CodexctlError:
        """Run a task that ends with an error, and return the error."""
        with pytest.raises(CodexctlError) as caught:
            self.run(task, **given)
        return caught.value

    @property
    def shown(self) -> str:
        """What was shown since the last run began."""
        return self.stream.getvalue()

    def sent(self, verb: str) -> list[str]:
        """Return the calls of a verb since the last run began, without it."""
        return [c.removeprefix(f"{verb} ") for c in self.cluster.calls if c.startswith(f"{verb} ")]

    @property
    def names(self) -> set[str]:
        """What is in the cluster, without the Namespace and what a run keeps for itself."""
        return {
            f"{kind} {name}"
            for kind, _, name in self.cluster.objects
            if kind != "Namespace" and not name.startswith("codexctl-")
        }


def report_of(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the one JSON document on stdout."""
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def healthy(stored: dict[str, Any]) -> None:
    """Give a workload the status of a complete rollout."""
    if "spec" not in stored:
        return
    stored["status"] = {
        "observedGeneration": stored["metadata"]["generation"],
        "updatedReplicas": 1,
        "replicas": 1,
        "availableReplicas": 1,
        "phase": "Bound",
        "conditions": [{"type": "Complete", "status": "True"}],
    }


def pending(stored: dict[str, Any]) -> None:
    """Give a workload the status of a rollout that has just begun."""
    stored["status"] = {"observedGeneration": stored["metadata"]["generation"]}


def broken(
    cluster: FakeCluster, container: dict[str, Any] = BAD_NAME
) -> Callable[[dict[str, Any]], None]:
    """Return a hook after which the Deployment ``web`` has one pod with this container."""

    def on_apply(stored: dict[str, Any]) -> None:
        if (stored["kind"], stored["metadata"]["name"]) != ("Deployment", "web"):
            healthy(stored)
            return
        pending(stored)
        stored["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "1"}
        own = replica_set(owner=stored["metadata"]["uid"])
        cluster.objects["ReplicaSet", "shop", "web-1"] = own
        cluster.objects["Pod", "shop", "web-1-a"] = pod("web-1-a", container)

    return on_apply
