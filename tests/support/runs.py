"""A small stack for runs that are disturbed, and what they leave behind in the cluster."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from tests.support.deploys import kubectl
from tests.support.shell import QUICK_S

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from tests.cluster.conftest import Playground
    from tests.support.faults import Fault, Faults

    Finished = subprocess.CompletedProcess[str]

STACK = ("--stack", "shop")
INVENTORY = LEASE = "codexctl-shop"
ENDS_WITHIN_S = 20
"""Far below the request timeout of 30 s: whoever waits for a dead server is found out."""
REAL = "force=(true|false)$"
"""The query of an apply that is no dry run."""
_KINDS = "configmaps,deployments,poddisruptionbudgets,leases"
_OF_KUBERNETES = "kube-root-ca.crt"


def config(name: str, **data: str) -> dict[str, Any]:
    """Return an object of the first stage."""
    return _object("v1", "ConfigMap", name, data=data)


def idle(name: str, **annotations: str) -> dict[str, Any]:
    """Return an object of the second stage: it is healthy at once, on a plane without a node."""
    labels = {"app": name}
    pod = {"containers": [{"name": "app", "image": "example.com/none:1"}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    made = _object("apps/v1", "Deployment", name, spec=spec)
    made["metadata"]["annotations"] = annotations
    return made


def budget(name: str, most: int = 1) -> dict[str, Any]:
    """Return an object of the third stage."""
    spec = {"maxUnavailable": most, "selector": {"matchLabels": {"app": name}}}
    return _object("policy/v1", "PodDisruptionBudget", name, spec=spec)


def namespace(name: str) -> dict[str, Any]:
    """Return an object that all others need."""
    return _object("v1", "Namespace", name)


def _object(api_version: str, kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **more}


OLD = (config("a", mode="old"), config("kept"), config("left"), idle("web"), budget("web"))
"""What an earlier run has applied."""
NEW = (
    *(config("a", mode="new"), config("added"), config("kept")),
    *(idle("web", reason="new"), budget("web", 2)),
)
"""To change, to create, to leave alone; `left` is to be pruned."""


def apply(
    playground: Playground, faults: Faults | None = None, *flags: str, task: str = "apply-wait"
) -> Finished:
    """Apply the manifests as one stack and prune what left it, through *faults* if given."""
    return playground.codexctl(task, *STACK, *through(playground, faults), *flags)


def through(playground: Playground, faults: Faults | None) -> tuple[str, ...]:
    """Return the flags that lead a run through a proxy."""
    if faults is None:
        return ()
    return ("--kubeconfig", str(faults.kubeconfig(playground.folder.parent / "faults.conf")))


def prepared(playground: Playground) -> Playground:
    """Let an earlier run apply `OLD`, and desire `NEW` from now on."""
    playground.write(*OLD)
    done = apply(playground, task="apply")
    assert done.returncode == 0, done.stderr
    playground.write(*NEW)
    return playground


def mended(playground: Playground) -> list[Any]:
    """Run once more, undisturbed; return the state after it."""
    done = apply(playground)
    assert (done.returncode, failures(done)) == (0, []), done.stderr
    return state_of(playground)


def state_of(playground: Playground) -> list[Any]:
    """Return all objects of the namespace but what differs between two runs that did the same."""
    items = playground.kubectl("get", _KINDS, "--show-managed-fields")["items"]
    found = [_lasting(each) for each in items if each["metadata"]["name"] != _OF_KUBERNETES]
    text = json.dumps(sorted(found, key=json.dumps)).replace(playground.namespace, "NAMESPACE")
    return list(json.loads(text))


def names_of(state: list[Any]) -> set[str]:
    """Return the objects of a state in short: ``ConfigMap/a``."""
    return {f"{each['kind']}/{each['metadata']['name']}" for each in state}


def _lasting(found: dict[str, Any]) -> dict[str, Any]:
    metadata = found["metadata"]
    managers = [
        {key: value for key, value in entry.items() if key != "time"}
        for entry in metadata.get("managedFields") or ()
        if entry["manager"] == "codexctl"
    ]
    annotations = {
        name: value
        for name, value in (metadata.get("annotations") or {}).items()
        if not name.startswith("deployment.kubernetes.io/")
    }
    kept = {key: metadata[key] for key in ("name", "labels", "finalizers") if key in metadata}
    rest = {key: value for key, value in found.items() if key not in ("metadata", "status")}
    return {**rest, "metadata": {**kept, "annotations": annotations, "managers": managers}}


def failures(result: Finished) -> list[str]:
    """Return the lines that say what ended a run; a defect shows as a failing test."""
    assert "Traceback" not in result.stderr, result.stderr
    assert "internal error" not in result.stderr, result.stderr
    return [line for line in result.stderr.splitlines() if line.startswith("error: ")]


def wait_until(happened: Callable[[], object]) -> None:
    """Return when it has."""
    deadline = time.monotonic() + QUICK_S
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def wait_for_hit(fault: Fault, process: subprocess.Popen[str], times: int = 1) -> None:
    """Return when a running program has met a fault."""
    wait_until(lambda: fault.hits >= times or process.poll() is not None)
    assert process.poll() is None, process.communicate()


def folder_beside(playground: Playground, name: str) -> Path:
    """Return another folder for manifests."""
    folder = playground.folder.parent / name
    folder.mkdir()
    return folder


def delete(playground: Playground, *arguments: str) -> None:
    """Delete as a person would, and return at once."""
    kubectl(playground, "delete", *arguments, "--wait=false")


def shorten_lease(playground: Playground) -> None:
    """Let the next run wait for a dead one for a second, not for 20."""
    promise = '{"spec":{"leaseDurationSeconds":1}}'
    playground.kubectl("patch", "lease", LEASE, "--type=merge", "--patch", promise)
