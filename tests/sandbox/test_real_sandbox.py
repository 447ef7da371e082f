"""The sandbox as its users meet it: real components, real pods, a real machine."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox import addresses, configuration, processes

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Sandbox, Snapshot

pytestmark = pytest.mark.sandbox

SHOP = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: web
      image: IMAGE
      readinessProbe: {httpGet: {port: 8080, path: /}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  restartPolicy: Never
  securityContext: {runAsUser: 1000, runAsNonRoot: true}
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
  containers:
    - name: client
      image: IMAGE
      volumeMounts: [{name: data, mountPath: /data}]
      command:
        - sh
        - -c
        - until wget -qO /data/page http://web/page 2>/dev/null; do sleep .2; done; cat /data/page
"""
DONE = "--for=jsonpath={.status.phase}=Succeeded"


def test_two_checkouts_run_side_by_side(
    make_sandbox: Callable[[str], Sandbox], running: Sandbox, tmp_path: Path
) -> None:
    """
    Each checkout has its own cluster, registry and addresses.

    In each, a pushed image runs as a plain user, reaches another service by
    its DNS name and writes to a persistent volume.
    """
    other = make_sandbox("other")
    other.run("up")
    pages = {running: "page of one", other: "page of other"}
    for sandbox, text in pages.items():
        (tmp_path / "page").write_text(text)
        image = sandbox.run(
            *("push", "shop/web:1", "--add", f"{tmp_path}:/srv", "--workdir", "/srv"),
            *("--user", "1000", "--", "python3", "-m", "http.server", "8080"),
        ).strip()
        sandbox.kubectl("apply", "-f", "-", stdin=SHOP.replace("IMAGE", image))
    for sandbox, text in pages.items():
        sandbox.kubectl("wait", DONE, "pod/client", "--timeout=150s")
        assert sandbox.kubectl("logs", "client") == text
    assert running.variables()["SANDBOX_REGISTRY"] != other.variables()["SANDBOX_REGISTRY"]


def test_another_registry_is_made_known_by_a_file(running: Sandbox) -> None:
    """Images come from wherever ``SANDBOX_REGISTRIES`` says, from the next pull on."""
    own = addresses.recorded(running.state)
    assert own is not None
    known = Path(running.variables()["SANDBOX_REGISTRIES"]) / "localhost:9"
    known.mkdir()
    url = f"http://{own.node}:{addresses.REGISTRY_PORT}"
    (known / configuration.HOSTS).write_text(configuration.render_hosts(url))
    running.kubectl("run", "other", "--image=localhost:9/base:1", "--restart=Never", "--", "true")
    running.kubectl("wait", DONE, "pod/other", "--timeout=150s")


def test_a_second_up_changes_nothing(running: Sandbox) -> None:
    """Whoever runs ``up`` on a running sandbox keeps every process of it."""
    before = {name: component["pid"] for name, component in running.status().items()}
    running.run("up")
    running.run("up", "--control-plane")
    after = running.status()
    assert {name: component["pid"] for name, component in after.items()} == before
    assert running.try_run("status").returncode == 0


def test_a_dead_component_comes_back(running: Sandbox) -> None:
    """A component that dies is started again, and ``status`` tells so."""
    os.kill(running.status()["kube-scheduler"]["pid"], signal.SIGKILL)
    running.run("up")
    scheduler = running.status()["kube-scheduler"]
    assert scheduler["ready"]
    assert scheduler["restarts"] == 1


def test_up_repairs_after_the_top_process_was_killed(running: Sandbox) -> None:
    """What ran before a crash runs again after ``up``; the state is kept."""
    running.kubectl("create", "namespace", "kept")
    top = processes.load(running.state / "top.json")
    assert top is not None
    top.send(signal.SIGKILL)
    running.run("up")  # at once: the kernel is still taking the old node down
    assert "kept" in running.kubectl("get", "namespaces")


def test_up_repairs_what_a_killed_up_left_half_done(
    make_sandbox: Callable[[str], Sandbox],
) -> None:
    """Killing ``up`` at any moment costs nothing but running it again."""
    sandbox = make_sandbox("half")
    for delay_s in (0.15, 0.6):
        starting = sandbox.start("up", "--control-plane")
        time.sleep(delay_s)
        starting.kill()
        starting.communicate()
    sandbox.run("up", "--control-plane")
    assert sandbox.try_run("status").returncode == 0


def test_an_interrupted_up_ends_what_it_started(make_sandbox: Callable[[str], Sandbox]) -> None:
    """Ctrl-C leaves no half-started sandbox, and one line instead of a traceback."""
    sandbox = make_sandbox("interrupted")
    starting = sandbox.start("up", "--control-plane")
    assert starting.stderr is not None
    assert any("starting" in line for line in starting.stderr)
    starting.send_signal(signal.SIGINT)
    _, err = starting.communicate(timeout=10)
    assert starting.returncode == 130
    assert "Traceback" not in err
    assert sandbox.status() == {}
    recorded = addresses.recorded(sandbox.state)
    assert recorded is not None
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{recorded.cgroup}"))


def test_a_control_plane_grows_into_a_node(make_sandbox: Callable[[str], Sandbox]) -> None:
    """Tests that need no pods start faster; ``up`` adds the node when it is wanted."""
    sandbox = make_sandbox("control")
    sandbox.run("up", "--control-plane")
    small = sandbox.status()
    assert "kubelet" not in small
    assert sandbox.kubectl("get", "--raw", "/readyz") == "ok"
    sandbox.run("up")
    full = sandbox.status()
    assert full["kubelet"]["ready"]
    assert full["etcd"]["pid"] == small["etcd"]["pid"]


@pytest.mark.parametrize("killed", [False, True], ids=["down", "killed"])
def test_nothing_is_left_behind(
    make_sandbox: Callable[[str], Sandbox],
    snapshot: Callable[[], Snapshot],
    without_others: Callable[[Snapshot, addresses.Addresses], Snapshot],
    processes_in: Callable[[str], list[str]],
    *,
    killed: bool,
) -> None:
    """After ``down`` the machine is as before, also when the top process was killed."""
    before = snapshot()
    sandbox = make_sandbox("trace")
    sandbox.run("up")
    image = sandbox.variables()["SANDBOX_REGISTRY"] + "/base:1"
    sandbox.kubectl("run", "sleeper", f"--image={image}", "--", "sleep", "1000")
    sandbox.kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=150s")
    top = processes.load(sandbox.state / "top.json")
    assert top is not None
    namespace = str(Path(f"/proc/{top.pid}/ns/pid_for_children").readlink())
    assert processes_in(namespace)
    if killed:
        top.send(signal.SIGKILL)
    sandbox.run("down")
    assert processes_in(namespace) == []
    own = addresses.recorded(sandbox.state)
    assert own is not None
    assert without_others(snapshot(), own) == without_others(before, own)
