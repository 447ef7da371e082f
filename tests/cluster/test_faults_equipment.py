"""The equipment for tests of faults, tried on the real API server."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import BrokenStreamError, ClusterError, TransientClusterError
from codexctl_tasks.requests.basis import ClusterSettings
from codexctl_tasks.world.clock import SystemClock
from codexctl_tasks.world.cluster import CONNECTIONS, Resource
from codexctl_tasks.world.kubernetes import connect
from codexctl_tasks.world.parallel import in_parallel
from sandbox import processes
from tests.support.faults import Faults
from tests.support.shell import QUICK_S, ROOT, clean_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from codexctl_tasks.world.cluster import WatchEvent
    from codexctl_tasks.world.kubernetes import KubernetesCluster
    from tests.cluster.conftest import Playground
    from tests.support.control_plane import ControlPlane

pytestmark = pytest.mark.cluster

CONFIG = Resource("v1", "ConfigMap", "configmaps", namespaced=True)
NAMESPACE = Resource("v1", "Namespace", "namespaces", namespaced=False)


def _config(name: str, **data: str) -> dict[str, Any]:
    metadata = {"name": name}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _names(events: Iterator[WatchEvent]) -> Iterator[str]:
    """Yield the names of our own objects; Kubernetes puts a certificate beside them."""
    names = (event.object["metadata"]["name"] for event in events)
    return (name for name in names if name.startswith("c"))


def _connect(kubeconfig: str | Path, told: list[str] | None = None) -> KubernetesCluster:
    announce = (told if told is not None else []).append
    settings = ClusterSettings(kubeconfig=str(kubeconfig), context="")
    return connect(settings, SystemClock(), announce)


def _make_namespace(cluster: KubernetesCluster, name: str) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    cluster.apply(NAMESPACE, "", body)


@pytest.fixture
def faults(playground: Playground) -> Iterator[Faults]:
    """Give a proxy that does nothing yet, in front of the shared API server."""
    _make_namespace(_connect(playground.environment["KUBECONFIG"]), playground.namespace)
    with Faults(playground.environment["KUBECONFIG"]) as running:
        yield running


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def cluster(faults: Faults, tmp_path: Path, told: list[str]) -> KubernetesCluster:
    """Return the cluster as it is seen through the proxy; it has answered once."""
    connected = _connect(faults.kubeconfig(tmp_path / "faults.conf"), told)
    connected.resources()
    faults.requests.clear()
    return connected


def test_without_a_fault_all_passes(
    faults: Faults, cluster: KubernetesCluster, playground: Playground
) -> None:
    """Many requests at once, each counted, and a watch whose events come as they happen."""
    space = playground.namespace
    _, version = cluster.list_objects(CONFIG, space)
    names = [f"c{number}" for number in range(4 * CONNECTIONS)]

    applied = in_parallel(
        lambda name: cluster.apply(CONFIG, space, _config(name)), names, limit=CONNECTIONS
    )

    assert len(list(applied)) == len(names)
    assert faults.count("PATCH", f"/namespaces/{space}/configmaps/c", "fieldManager=codexctl") == 64
    events = _names(cluster.watch(CONFIG, space, version))
    seen = {next(events) for _ in names}
    cluster.apply(CONFIG, space, _config("c-late"))
    assert next(events) == "c-late"
    assert seen == set(names)
    assert faults.count(query="watch=true") == 1


def test_answers_in_place_of_the_server(
    faults: Faults, cluster: KubernetesCluster, playground: Playground, told: list[str]
) -> None:
    """So many requests are refused as planned, the next one passes; others never notice."""
    busy = faults.answer(429, times=2, skip=1, method="PATCH", path="/configmaps/a$")
    faults.answer(200, b"<html>", path="/configmaps/b$")

    for name in ("a", "a", "b"):
        cluster.apply(CONFIG, playground.namespace, _config(name))

    assert (busy.hits, faults.count(path="/a$"), faults.count(path="/b$")) == (2, 4, 2)
    assert len(told) == 3

    faults.answer(401, times=9)
    with pytest.raises(ClusterError, match="log in again"):
        cluster.get(CONFIG, playground.namespace, "a")
    faults.calm()
    assert cluster.get(CONFIG, playground.namespace, "a") is not None


@pytest.mark.parametrize(
    ("plan", "arrives"),
    [
        (lambda faults: faults.cut(after=False, method="POST"), False),
        (lambda faults: faults.cut(after=True, method="POST"), True),
        (lambda faults: faults.truncate(method="POST"), True),
    ],
    ids=["before", "after", "in the answer"],
)
def test_connections_are_cut_where_it_was_planned(
    faults: Faults,
    cluster: KubernetesCluster,
    playground: Playground,
    plan: Callable[[Faults], object],
    arrives: bool,
) -> None:
    """The server has done what the client could not see, or has never heard of it."""
    plan(faults)

    try:
        cluster.create(CONFIG, playground.namespace, _config("a"))
        repeated = "created"
    except ClusterError as error:
        repeated = error.reason

    assert repeated == ("AlreadyExists" if arrives else "created")
    assert faults.count("POST") == 2


def test_actions_in_the_middle_of_a_run(
    faults: Faults, cluster: KubernetesCluster, playground: Playground
) -> None:
    """Something happens exactly before one request: here every connection breaks, once."""
    _, version = cluster.list_objects(CONFIG, playground.namespace)
    events = _names(cluster.watch(CONFIG, playground.namespace, version))
    faults.do(faults.cut_all, method="PATCH", skip=1)

    cluster.apply(CONFIG, playground.namespace, _config("c-1"))
    assert next(events) == "c-1"
    cluster.apply(CONFIG, playground.namespace, _config("c-2"))

    with pytest.raises(BrokenStreamError):
        list(events)
    assert faults.count("PATCH") == 3


def test_nothing_of_a_proxy_is_left(playground: Playground, tmp_path: Path) -> None:
    """Its threads and connections end with it, also those that wait."""
    before = set(threading.enumerate())
    with Faults(playground.environment["KUBECONFIG"]) as faults:
        cluster = _connect(faults.kubeconfig(tmp_path / "faults.conf"))
        cluster.deadline_s = 0.0  # nothing is repeated
        faults.delay(1000, method="GET", path="/configmaps")

        def ask() -> None:
            with pytest.raises(TransientClusterError):
                cluster.get(CONFIG, "n", "a")

        asking = threading.Thread(target=ask)
        asking.start()
        while not faults.count("GET"):
            asking.join(0.01)
    asking.join()

    assert set(threading.enumerate()) <= before


def test_a_killed_api_server_comes_back(
    control_plane: ControlPlane, plane_playground: Playground, tmp_path: Path
) -> None:
    """Killed in the middle of a run, awaited by codexctl; what etcd holds is still there."""
    space, told = plane_playground.namespace, list[str]()
    before = control_plane.restarts
    with Faults(control_plane.environment["KUBECONFIG"]) as faults:
        cluster = _connect(faults.kubeconfig(tmp_path / "faults.conf"), told)
        _make_namespace(cluster, space)
        faults.do(control_plane.kill_api_server, method="PATCH", path="/configmaps/b$")
        for name in ("a", "b"):
            cluster.apply(CONFIG, space, _config(name))

        found = [each["metadata"]["name"] for each in cluster.list_objects(CONFIG, space)[0]]

    assert {"a", "b"} <= set(found)
    assert faults.count("PATCH", "/b$") > 1
    assert told
    control_plane.up()
    assert control_plane.restarts == before + 1


def test_a_silent_api_server_goes_on(
    control_plane: ControlPlane, plane_playground: Playground
) -> None:
    """Paused, it answers nothing and keeps its connections; then it answers all of it."""
    cluster = _connect(control_plane.environment["KUBECONFIG"])
    cluster.resources()
    answered: list[Any] = []
    asking = threading.Thread(
        target=lambda: answered.append(cluster.get(NAMESPACE, "", "kube-system"))
    )

    with control_plane.silent_api_server():
        asking.start()
        asking.join(0.5)
        assert answered == []
    asking.join()

    assert answered[0]["metadata"]["name"] == "kube-system"
    assert plane_playground.kubectl("get", "namespaces")["items"]


def test_a_control_plane_ends_with_its_test_run(tmp_path: Path) -> None:
    """A test run that is killed leaves no control plane behind."""
    script = (
        "import json, os, pathlib, sys; from tests.support.control_plane import ControlPlane\n"
        "with ControlPlane(pathlib.Path(sys.argv[1])) as plane:\n"
        "    server = plane._api_server().pid\n"
        "    kubeconfig = plane.environment['KUBECONFIG']\n"
        "    print(json.dumps([plane._guard.pid, server, kubeconfig]), flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )

    run = subprocess.run(
        [sys.executable, "-c", script, tmp_path],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    guard, server, kubeconfig = json.loads(run.stdout)
    assert processes.wait_until_gone([guard, server], QUICK_S)
    assert not Path(kubeconfig).exists()
