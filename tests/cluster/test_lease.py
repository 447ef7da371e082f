"""Runs that meet on one stack of a real cluster: one after the other, whatever happens to them."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from codexctl_tasks.apply.lease import RunLease
from codexctl_tasks.errors import ClusterError, DeadlineError
from codexctl_tasks.requests.basis import ClusterSettings
from codexctl_tasks.world.clock import SystemClock
from codexctl_tasks.world.kubernetes import connect
from tests.support.accounts import kubeconfig_of
from tests.support.deploys import kubectl
from tests.support.proxy import Proxy
from tests.support.shell import ROOT, clean_environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.cluster import Cluster
    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster

NAME = "codexctl-shop"
LEASE_S = 2
"""Short, so that the tests are fast; a waiting run looks ten times a second."""
PATIENCE_S = 60.0
CONTENDERS, SECTIONS = 4, 5
RENEWALS = 5
ENDS_WITHIN_S = 20
"""Far below the request timeout of 30 s: whoever waits for a dead server is found out."""


def _lease(
    kubeconfig: str,
    namespace: str,
    holder: str,
    announce: Callable[[str], None] = lambda _: None,
    lease_s: int = LEASE_S,
) -> RunLease:
    clock = SystemClock()
    settings = ClusterSettings(kubeconfig=kubeconfig, context="")
    return RunLease(
        connect(settings, clock, lambda _: None),
        clock,
        namespace=namespace,
        name=NAME,
        holder=holder,
        announce=announce,
        lease_s=lease_s,
    )


class _Deaf:
    """The cluster over a line that loses the answer to every other change: it is sent again."""

    def __init__(self, kubeconfig: str, clock: Clock) -> None:
        settings = ClusterSettings(kubeconfig=kubeconfig, context="")
        self._cluster = connect(settings, clock, lambda _: None)
        self._turn = itertools.cycle([True, False])
        self.unheard = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    def create(self, *request: Any) -> Any:
        return self._sent(self._cluster.create, request)

    def replace(self, *request: Any) -> Any:
        return self._sent(self._cluster.replace, request)

    def _sent(self, send: Callable[..., Any], request: tuple[Any, ...]) -> Any:
        if next(self._turn):
            self.unheard += 1
            send(*request)
        return send(*request)


def _soon() -> float:
    return SystemClock().now() + PATIENCE_S


def deploy_for_ever(kubeconfig: str, namespace: str) -> None:
    """Be a run in a process of its own: hold the lease, and say before each object that it may."""
    with _lease(kubeconfig, namespace, "the process", _tell) as lease:
        lease.acquire(_soon())
        try:
            while True:
                lease.check()
                _tell("applied")
                time.sleep(0.05)
        except ClusterError as error:
            _tell(str(error))


def _tell(line: str) -> None:
    """Print for the test, in one piece: the thread that renews the lease prints as well."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@pytest.fixture
def kubeconfig(playground: Playground, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the way to the cluster; the namespace of the playground exists."""
    for name, value in playground.environment.items():
        monkeypatch.setenv(name, value)
    playground.kubectl("create", "namespace", playground.namespace)
    return playground.environment["KUBECONFIG"]


@pytest.fixture
def process(
    playground: Playground, kubeconfig: str, started: list[subprocess.Popen[str]]
) -> subprocess.Popen[str]:
    """Give another run that holds the lease and applies."""
    started.append(_process(playground, kubeconfig))
    return started[-1]


def _process(playground: Playground, kubeconfig: str) -> subprocess.Popen[str]:
    module = f"tests.cluster.{Path(__file__).stem}"
    arguments = f"{kubeconfig!r}, {playground.namespace!r}"
    other = subprocess.Popen(
        [sys.executable, "-c", f"from {module} import *; deploy_for_ever({arguments})"],
        cwd=ROOT,
        env=clean_environment(**playground.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "applied\n", other.communicate()
    return other


def _found(playground: Playground) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = playground.kubectl("get", "leases")["items"]
    return items


def _delete(playground: Playground, *arguments: str) -> None:
    """Delete as a person would; kubectl has no JSON for it."""
    kubectl(playground, "delete", *arguments)


def test_never_two_at_once(playground: Playground, kubeconfig: str) -> None:
    """Four runs, five times each: never two of them at a time, and each gets its turns."""
    inside: list[str] = []
    most, sections, failures = [], [], []

    def deploy(holder: str) -> None:
        try:
            for _ in range(SECTIONS):
                with _lease(kubeconfig, playground.namespace, holder, lease_s=10) as lease:
                    lease.acquire(_soon())
                    lease.check()
                    inside.append(holder)
                    time.sleep(0.02)
                    most.append(len(inside))
                    sections.append(holder)
                    inside.remove(holder)
        except Exception as error:  # noqa: BLE001 - told by the test
            failures.append(error)

    threads = [threading.Thread(target=deploy, args=(f"run {n}",)) for n in range(CONTENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert (max(most), len(sections)) == (1, CONTENDERS * SECTIONS)
    assert _found(playground) == []


def test_a_run_that_lives_keeps_its_lease(
    playground: Playground, kubeconfig: str, process: subprocess.Popen[str]
) -> None:
    """However long it takes: it renews, and the waiting one gives up in the end."""
    told: list[str] = []
    with (
        _lease(kubeconfig, playground.namespace, "late", told.append) as lease,
        pytest.raises(DeadlineError, match="still held by the process since"),
    ):
        lease.acquire(SystemClock().now() + 4 * LEASE_S)

    assert process.poll() is None
    assert len(told) == 1
    assert "waiting for the process, which has held Lease" in told[0]


def test_a_killed_run_is_followed(
    playground: Playground, kubeconfig: str, process: subprocess.Popen[str]
) -> None:
    """Nobody has to clean up after SIGKILL."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    told: list[str] = []

    with _lease(kubeconfig, playground.namespace, "next", told.append) as lease:
        assert lease.acquire(_soon()) is True
        lease.check()
        [found] = _found(playground)

    assert (found["spec"]["holderIdentity"], found["spec"]["leaseTransitions"]) == ("next", 1)
    assert told[-1].startswith(f"the process has not been heard of for {LEASE_S} s: took Lease")


def test_a_run_that_was_stopped_applies_nothing_afterwards(
    playground: Playground, kubeconfig: str, process: subprocess.Popen[str]
) -> None:
    """It was taken for dead; when it wakes up, its first check ends it and names the other."""
    process.send_signal(signal.SIGSTOP)
    with _lease(kubeconfig, playground.namespace, "next") as lease:
        lease.acquire(_soon())
        process.send_signal(signal.SIGCONT)
        rest, _ = process.communicate(timeout=PATIENCE_S)
        lease.check()
        [found] = _found(playground)

    *applied, last = rest.splitlines()
    assert {line for line in applied if not line.startswith("Lease ")} <= {"applied"}
    assert "taken over by next, which has held it since" in last
    assert found["spec"]["holderIdentity"] == "next"


def test_deleting_the_lease_by_hand_frees_the_stack(
    playground: Playground, kubeconfig: str, process: subprocess.Popen[str]
) -> None:
    """The one who waits gets it, the one who held it stops, and does not make it anew."""
    told: list[str] = []

    def delete(line: str) -> None:
        told.append(line)
        if len(told) == 1:
            _delete(playground, "lease", NAME)

    with _lease(kubeconfig, playground.namespace, "next", delete) as lease:
        assert lease.acquire(_soon()) is True
        rest, _ = process.communicate(timeout=PATIENCE_S)
        lease.check()

    assert rest.splitlines()[-1].startswith(f"Lease {playground.namespace}/{NAME}: ")
    assert told[-1].startswith("the process no longer holds Lease")
    assert _found(playground) == []


def test_a_deleted_lease_is_not_made_anew(
    playground: Playground, process: subprocess.Popen[str]
) -> None:
    """Kubernetes would make it on the next renewal, if that did not say which Lease it means."""
    playground.kubectl("get", "lease", NAME)
    _delete(playground, "lease", NAME)

    rest, _ = process.communicate(timeout=PATIENCE_S)

    assert "somebody deleted it while this run held it" in rest
    assert _found(playground) == []


def test_a_missing_namespace_is_told_by_the_server(playground: Playground, kubeconfig: str) -> None:
    """The caller may create it and try again."""
    with (
        _lease(kubeconfig, f"{playground.namespace}-not", "first") as lease,
        pytest.raises(ClusterError, match="not found") as caught,
    ):
        lease.acquire(_soon())

    assert caught.value.status == 404


def test_a_namespace_on_its_way_out_is_no_missing_permission(
    playground: Playground, kubeconfig: str
) -> None:
    """The server forbids new objects in it: the run ends there, with that reason."""
    held = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "held", "finalizers": ["example.com/held"]},
    }
    playground.write(held)
    file = str(playground.folder / "all.yaml")
    playground.kubectl("create", "--filename", file)
    told: list[str] = []
    try:
        _delete(playground, "namespace", playground.namespace, "--wait=false")
        with (
            _lease(kubeconfig, playground.namespace, "first", told.append) as lease,
            pytest.raises(ClusterError, match="being terminated") as caught,
        ):
            lease.acquire(_soon())
    finally:
        removal = '{"metadata":{"finalizers":null}}'
        playground.kubectl("patch", "configmap", "held", "--type=merge", "--patch", removal)

    assert (caught.value.status, told) == (403, [])


@pytest.mark.usefixtures("kubeconfig")
def test_an_account_without_rights_goes_on_with_a_warning(
    playground: Playground, tmp_path: Path
) -> None:
    """What to allow is said in one line, and the deploy is not stopped by it."""
    playground.kubectl("create", "serviceaccount", "narrow")
    narrow = kubeconfig_of(playground, "narrow", tmp_path)
    told: list[str] = []

    with _lease(narrow, playground.namespace, "narrow", told.append) as lease:
        assert lease.acquire(_soon()) is False
        lease.check()

    [line] = told
    assert "create, get, update and delete leases.coordination.k8s.io" in line
    assert 'cannot create resource "leases"' in line
    assert _found(playground) == []


def test_ctrl_c_does_not_wait_for_a_silent_server(
    playground: Playground,
    kubeconfig: str,
    tmp_path: Path,
    started: list[subprocess.Popen[str]],
) -> None:
    """The run ends although its lease cannot be given back, and says so."""
    with Proxy(kubeconfig) as proxy:
        started.append(_process(playground, str(proxy.kubeconfig(tmp_path / "proxy.conf"))))
        proxy.swallow = True

        started[-1].send_signal(signal.SIGINT)
        rest, _ = started[-1].communicate(timeout=ENDS_WITHIN_S)

    assert "was not given back: the API server does not answer" in rest.splitlines()[-1]


def test_lost_answers_lose_no_lease(playground: Playground, kubeconfig: str) -> None:
    """A request that is repeated although it was done meets its own doing, and understands it."""
    told: list[str] = []
    clock, hours = SystemClock(), itertools.count()
    cluster = _Deaf(kubeconfig, clock)
    lease = RunLease(
        cast("Cluster", cluster),
        clock,
        namespace=playground.namespace,
        name=NAME,
        holder="first",
        announce=told.append,
        # It was asleep, at each look at the time: so each check renews.
        wall=lambda: datetime.now(UTC) + timedelta(hours=next(hours)),
    )

    with lease:
        assert lease.acquire(_soon()) is False
        for _ in range(RENEWALS):
            lease.check()
        [found] = _found(playground)

    assert (found["spec"]["holderIdentity"], found["spec"]["leaseTransitions"]) == ("first", 0)
    assert cluster.unheard >= RENEWALS
    assert (told, _found(playground)) == ([], [])
