"""A workspace that cannot take the sources: one line says why, and it is left as it was."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.slots.sync.place import Volume, pod_body
from tests.cluster.test_sync import (
    ARRIVED,
    MEGABYTE,
    Interrupter,
    Workspace,
    agent,
    claim,
    create,
)
from tests.support.shell import run_kubectl

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster

STATE = "/volume/.codexctl"


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A pod with a claim of its own, in which a sync must fail."""

    name: str
    said: tuple[str, ...]
    """Any of these is in the line, as programs differ."""
    state: dict[str, Any] | None = None
    """An empty volume of this kind where the sync has its state; None: the claim."""
    mount: dict[str, Any] = field(default_factory=dict)
    """How that is mounted."""
    user: int = 0
    image: str = ""
    """In place of the usual one."""


TROUBLES = (
    Trouble(name="read-only", said=("ead-only file system",), state={}, mount={"readOnly": True}),
    Trouble(name="full", said=("o space left",), state={"medium": "Memory", "sizeLimit": "1Mi"}),
    Trouble(name="forbidden", said=("ermission denied",), user=1000),
    Trouble(name="no-shell", said=("executable file not found", "no such file"), image="pause:1"),
)


def pod(playground: Playground, trouble: Trouble) -> dict[str, Any]:
    """Return the pod; the folder of the state belongs to root unless it is a volume itself."""
    mounts = [{"name": "volume", "mountPath": "/volume"}]
    volumes: list[dict[str, Any]] = [
        {"name": "volume", "persistentVolumeClaim": {"claimName": trouble.name}}
    ]
    first = {
        "name": "first",
        "image": playground.image,
        "command": ["mkdir", "-m", "755", STATE],
        "volumeMounts": mounts,
    }
    if trouble.state is not None:
        volumes.append({"name": "state", "emptyDir": trouble.state})
        mounts = [*mounts, {"name": "state", "mountPath": STATE, **trouble.mount}]
    container = {
        "name": "agent",
        "image": playground.image,
        "command": ["sleep", "100000"],
        "securityContext": {"runAsUser": trouble.user},
        "volumeMounts": mounts,
    }
    if trouble.image:
        registry = playground.environment["SANDBOX_REGISTRY"]
        container = {**container, "image": f"{registry}/{trouble.image}", "command": ["/pause"]}
    spec = {
        "terminationGracePeriodSeconds": 0,
        "initContainers": [first],
        "containers": [container],
        "volumes": volumes,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": trouble.name}, "spec": spec}


def test_a_workspace_that_cannot_take_it(playground: Playground, tmp_path: Path) -> None:
    """Read-only, full, not ours, without a shell: one line each, and nothing under its name."""
    env, namespace = playground.environment, playground.namespace
    workspace = Workspace(playground, tmp_path / "sources")
    workspace.write("a", os.urandom(3 * MEGABYTE))
    items = [each for t in TROUBLES for each in (claim(t.name), pod(playground, t))]
    given = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    run_kubectl(env, "create", "namespace", namespace)
    run_kubectl(env, "apply", "--namespace", namespace, "-f", "-", given=given)
    ready = ("wait", "--namespace", namespace, "--for=condition=Ready", "pod", "--all")
    run_kubectl(env, *ready, "--timeout=60s")

    for trouble in TROUBLES:
        done = workspace.sync("--claim", trouble.name)

        assert done.returncode == 4, (trouble, done)
        lines = [line for line in done.stderr.splitlines() if line.startswith("error")]
        assert len(lines) == 1, (trouble, done.stderr)
        assert any(text in lines[0] for text in trouble.said), (trouble, lines)
        assert "retry" not in done.stderr, (trouble, done.stderr)
        if not trouble.image:
            look = ("exec", trouble.name, "--", "find", "/volume", "-name", "a", "-type", "f")
            found = run_kubectl(env, "--namespace", namespace, *look)
            assert not found.startswith("/volume/shop"), (trouble, found)


def test_an_image_without_a_shell_is_told(playground: Playground, tmp_path: Path) -> None:
    """The pod that was made with it cannot start: it is removed, and the line says why."""
    create(playground, claim())
    workspace = Workspace(playground, tmp_path / "sources")
    workspace.write("a", "a")

    done = workspace.sync("--image", f"{playground.environment['SANDBOX_REGISTRY']}/pause:1")

    assert done.returncode == 4
    assert "ended before it was used: see whether its image has a shell" in done.stderr
    assert staying_pods(playground) == []


@pytest.mark.parametrize(
    ("sent", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_a_run_that_is_ended_leaves_no_pod_behind(
    playground: Playground,
    started: list[subprocess.Popen[str]],
    tmp_path: Path,
    sent: signal.Signals,
    code: int,
) -> None:
    """Ended in the middle, its pod is removed; one that could not be is used by the next run."""
    create(playground, claim())
    playground.write(agent(playground), file="agent.yaml")
    workspace = Workspace(playground, tmp_path / "sources")
    for number in range(40):
        workspace.write(f"{number:02}", os.urandom(MEGABYTE))
    process: list[subprocess.Popen[str]] = []
    with Interrupter(workspace, process, sent) as proxy:
        flags = (*workspace.flags, "--kubeconfig", str(proxy.kubeconfig(tmp_path / "slow.conf")))
        process.append(playground.start("sync-sources", *flags))
        started.append(process[0])
        _, told = process[0].communicate()
    left = staying_pods(playground)

    report = workspace.synced()

    assert process[0].returncode == code, told
    assert report["sent"] + report["resumed"] == 40
    assert report["resumed"] >= ARRIVED
    assert len(left) == (1 if sent is signal.SIGKILL else 0)
    assert staying_pods(playground) == left
    assert not left or left == [report["pod"]]


def staying_pods(playground: Playground) -> list[str]:
    """Return the names of pods that are not being deleted."""
    pods = [each["metadata"] for each in playground.kubectl("get", "pods")["items"]]
    return [each["name"] for each in pods if "deletionTimestamp" not in each]


def test_a_pod_that_nobody_uses_ends(playground: Playground) -> None:
    """What a killed run has left does not keep the volume: it stays only while it is used."""
    create(playground, claim())
    volume = Volume(
        namespace=playground.namespace,
        claim="workspace",
        path=PurePosixPath("shop"),
        image=playground.image,
    )
    body = pod_body(volume, node="")
    body["metadata"]["name"] = "left"
    body["spec"]["containers"][0]["command"][-2:] = ["1", "4"]
    words = ("--namespace", playground.namespace)
    env = playground.environment
    run_kubectl(env, "apply", *words, "-f", "-", given=json.dumps(body))
    run_kubectl(env, "wait", *words, "--for=condition=Ready", "pod/left", "--timeout=60s")

    used = run_kubectl(env, "exec", *words, "left", "--", "sh", "-c", "sleep 10; echo still there")
    ended = ("--for=jsonpath={.status.phase}=Succeeded", "--timeout=50s")
    run_kubectl(env, "wait", *words, "pod/left", *ended)

    assert used == "still there\n"
