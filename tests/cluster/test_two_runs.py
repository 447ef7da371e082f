"""Runs that meet on one stack, and runs that end too early: by Ctrl-C, SIGTERM or SIGKILL."""

from __future__ import annotations

import json
import os
import signal
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster.conftest import Playground
from tests.support.accounts import kubeconfig_with_rights
from tests.support.faults import Faults
from tests.support.runs import (
    ENDS_WITHIN_S,
    LEASE,
    NEW,
    REAL,
    STACK,
    apply,
    config,
    delete,
    failures,
    folder_beside,
    idle,
    mended,
    names_of,
    prepared,
    shorten_lease,
    state_of,
    through,
    wait_for_hit,
    wait_until,
)

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Process = subprocess.Popen[str]
    WaitForLine = Callable[[Process, str], str]

pytestmark = pytest.mark.cluster

SECOND_STAGE = {"path": "/deployments/web$", "query": REAL}
CROWD = 5
FOR_EVER_S = 1000.0


@pytest.fixture
def faults(playground: Playground) -> Iterator[Faults]:
    """Give a proxy that does nothing yet; the playground is prepared for a second run."""
    prepared(playground)
    with Faults(playground.environment["KUBECONFIG"]) as running:
        yield running


@pytest.fixture(scope="module")
def clean(
    cluster_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Any]]:
    """Give the state that every run on `NEW` ends in."""
    place = Playground(
        f"test-clean-{os.getpid()}", tmp_path_factory.mktemp("clean"), cluster_environment
    )
    place.write(*NEW)
    yield mended(place)
    delete(place, "namespace", place.namespace)


@contextmanager
def _held(
    playground: Playground, started: list[Process], faults: Faults, *flags: str
) -> Iterator[tuple[Process, threading.Event]]:
    """Start a run and hold it in its second stage, until the event is set."""
    reached, goes_on = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        goes_on.wait()

    faults.do(hold, **SECOND_STAGE)
    process = playground.start("apply-wait", *STACK, *through(playground, faults), *flags)
    started.append(process)
    try:
        wait_until(lambda: reached.is_set() or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        yield process, goes_on
    finally:
        goes_on.set()


def _leases(playground: Playground) -> list[Any]:
    return list(playground.kubectl("get", "leases")["items"])


def _somebody_else(playground: Playground, **spec: Any) -> None:
    """Let another run hold the lease."""
    held = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": LEASE},
        "spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 3600, **spec},
    }
    file = playground.folder.parent / "lease.json"
    file.write_text(json.dumps(held))
    playground.kubectl("apply", "--filename", str(file))


# ---- two at once --------------------------------------------------------------------------------


def test_the_second_run_waits_for_the_first(
    playground: Playground,
    faults: Faults,
    started: list[Process],
    wait_for_line: WaitForLine,
    tmp_path: Path,
) -> None:
    """It says for whom, sends nothing meanwhile, and then looks anew at what there is to do."""
    second = replace(playground, folder=folder_beside(playground, "second"))
    second.write(*NEW, config("late"))
    with Faults(playground.environment["KUBECONFIG"]) as watched:
        with _held(playground, started, faults) as (first, goes_on):
            kubeconfig = str(watched.kubeconfig(tmp_path / "watched.conf"))
            late = second.start("apply-wait", *STACK, "--kubeconfig", kubeconfig)
            started.append(late)
            waiting = wait_for_line(late, "waiting for")
            assert first.poll() is None
            assert watched.count("PATCH") == 0
            goes_on.set()
            _, told = first.communicate(timeout=ENDS_WITHIN_S)
        _, rest = late.communicate(timeout=ENDS_WITHIN_S)

        assert (first.returncode, late.returncode) == (0, 0), told + rest
        assert f"process {first.pid}), which has held Lease {playground.namespace}/" in waiting
        assert f"process {first.pid}) no longer holds" in rest
        assert "1 created, 5 unchanged" in rest
        assert "pruned    ConfigMap" in told
        assert "pruned    ConfigMap" not in rest
        assert watched.count("PATCH", query=REAL) == 2, "the object and the inventory"
    assert {"ConfigMap/late", "ConfigMap/a"} <= names_of(state_of(playground))
    assert _leases(playground) == []


def test_other_stacks_do_not_wait(
    playground: Playground, faults: Faults, started: list[Process]
) -> None:
    """Nor does a set without a name, which nobody remembers."""
    other = replace(playground, folder=folder_beside(playground, "other"))
    other.write(config("theirs"))
    with _held(playground, started, faults) as (first, goes_on):
        for flags in (("--stack", "other"), ()):
            assert other.codexctl("apply-wait", *flags).returncode == 0
        assert first.poll() is None
        goes_on.set()
        first.communicate(timeout=ENDS_WITHIN_S)

    assert first.returncode == 0


def test_many_at_once(playground: Playground, started: list[Process]) -> None:
    """All begin where there is not even a namespace; all end well, none mixed with another."""
    for number in range(CROWD):
        each = replace(playground, folder=folder_beside(playground, str(number)))
        wanted = {"run": str(number)}
        each.write(
            *(config(name, **wanted) for name in ("a", "b", f"of-{number}")), idle("web", **wanted)
        )
        started.append(each.start("apply-wait", *STACK))
    ends = [process.communicate(timeout=6 * ENDS_WITHIN_S)[1] for process in started]

    assert [process.returncode for process in started] == [0] * CROWD, "\n".join(ends)
    state = {f"{e['kind']}/{e['metadata']['name']}": e for e in state_of(playground)}
    last = state["ConfigMap/a"]["data"]["run"]
    assert set(state) == {
        *("ConfigMap/a", "ConfigMap/b", f"ConfigMap/of-{last}"),
        *("Deployment/web", f"ConfigMap/{LEASE}"),
    }
    assert state["ConfigMap/b"]["data"]["run"] == last
    assert state["Deployment/web"]["metadata"]["annotations"]["run"] == last


def test_a_run_waits_as_long_as_it_was_allowed(playground: Playground) -> None:
    """It names who is at work and how to free the stack, and has changed nothing."""
    prepared(playground)
    _somebody_else(playground)
    before = state_of(playground)

    done = apply(playground, None, "--wait-timeout", "2s")

    assert done.returncode == 70
    [line] = failures(done)
    assert "still held by somebody" in line
    assert f"kubectl --namespace {playground.namespace} delete lease {LEASE}" in line
    assert state_of(playground) == before


def test_an_account_without_the_right_to_use_leases(
    playground: Playground, clean: list[Any], tmp_path: Path
) -> None:
    """It goes on, and is told what to allow."""
    prepared(playground)
    kubeconfig = _narrow_account(playground, tmp_path)

    done = apply(playground, None, "--kubeconfig", kubeconfig)

    assert (done.returncode, failures(done)) == (0, []), done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("lease ")]
    assert "create, get, update and delete leases.coordination.k8s.io" in line
    assert state_of(playground) == clean


@pytest.mark.parametrize("taken", [False, True], ids=["deleted", "taken over"])
def test_a_lease_that_was_lost(
    playground: Playground,
    faults: Faults,
    started: list[Process],
    clean: list[Any],
    wait_for_line: WaitForLine,
    *,
    taken: bool,
) -> None:
    """
    The run that lost it says so at once, and sends no further object.

    It gives back nothing that is not its own.
    """
    with _held(playground, started, faults) as (process, goes_on):
        if taken:
            _somebody_else(playground, acquireTime="2026-01-02T03:04:05.000000Z")
        else:
            delete(playground, "lease", LEASE)
        wait_for_line(process, f"Lease {playground.namespace}/{LEASE} is lost")
        goes_on.set()
        _, told = process.communicate(timeout=ENDS_WITHIN_S)

    assert process.returncode == 4
    why = "taken over by somebody, which has held it since 03:04:05 UTC" if taken else "deleted it"
    [line] = [line for line in told.splitlines() if line.startswith("error: ")]
    assert why in line
    assert f"PodDisruptionBudget {playground.namespace}/web was not applied" in told
    assert faults.count(path="/poddisruptionbudgets/web$", query=REAL) == 0
    assert len(_leases(playground)) == int(taken)
    if taken:
        delete(playground, "lease", LEASE)
    assert mended(playground) == clean


def _narrow_account(playground: Playground, folder: Path) -> str:
    """Return a kubeconfig for an account that may do everything in the namespace but this."""
    kinds = {
        "": ["configmaps", "pods", "events", "namespaces"],
        "apps": ["deployments", "replicasets"],
        "policy": ["poddisruptionbudgets"],
    }
    rules = [
        {"apiGroups": [group], "resources": resources, "verbs": ["*"]}
        for group, resources in kinds.items()
    ]
    return kubeconfig_with_rights(playground, "narrow", folder, rules)


# ---- ended too early ----------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_accounts_for_everything(
    playground: Playground,
    faults: Faults,
    started: list[Process],
    clean: list[Any],
    number: signal.Signals,
) -> None:
    """What was applied, what nobody knows, what was not sent: for people and as JSON."""
    code = 128 + number
    with _held(playground, started, faults, "--output", "json") as (process, _):
        process.send_signal(number)
        result, told = process.communicate(timeout=ENDS_WITHIN_S)
        assert _leases(playground) == []

    assert process.returncode == code
    space, report = playground.namespace, json.loads(result)
    assert "3 of 5 objects were applied before the end" in told
    assert f"Deployment {space}/web was sent, and may have been applied or not" in told
    assert f"PodDisruptionBudget {space}/web was not applied" in told
    assert report["exitCode"] == code
    assert {f"{e['kind']}/{e['name']}": e["outcome"] for e in report["objects"]} == {
        "ConfigMap/a": "changed",
        "ConfigMap/added": "created",
        "ConfigMap/kept": "unchanged",
        "Deployment/web": "unknown",
        "PodDisruptionBudget/web": "not applied",
    }
    assert [each["pruned"] for each in report["leaving"]] == [False]
    assert mended(playground) == clean


def test_ctrl_c_while_something_is_repeated(
    playground: Playground, faults: Faults, started: list[Process], clean: list[Any]
) -> None:
    """Nobody has to wait for a server that is away."""
    away = faults.answer(503, times=99, **SECOND_STAGE)
    process = _started(playground, started, faults)
    wait_for_hit(away, process, times=3)

    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=ENDS_WITHIN_S)

    assert process.returncode == 130
    assert f"Deployment {playground.namespace}/web was sent" in told
    assert mended(playground) == clean


def test_ctrl_c_before_anything_was_changed(
    playground: Playground, faults: Faults, started: list[Process]
) -> None:
    """In the preflight: nothing has to be said, and the lease is given back."""
    before = state_of(playground)
    asked = faults.delay(FOR_EVER_S, path="/deployments/web$", query="dryRun=All")
    process = _started(playground, started, faults, "--output", "json")
    wait_for_hit(asked, process)

    process.send_signal(signal.SIGINT)
    result, told = process.communicate(timeout=ENDS_WITHIN_S)

    assert (process.returncode, result) == (130, "")
    assert told.splitlines()[-1] == "interrupted"
    assert state_of(playground) == before


def test_ctrl_c_while_the_lease_is_taken(
    playground: Playground, faults: Faults, started: list[Process]
) -> None:
    """The server has made it, the answer was lost, the question is asked again: nothing stays."""
    faults.cut(after=True, method="POST", path="/leases$")
    again = faults.delay(FOR_EVER_S, method="POST", path="/leases$")
    process = _started(playground, started, faults)
    wait_for_hit(again, process)
    assert len(_leases(playground)) == 1

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=ENDS_WITHIN_S)

    assert process.returncode == 130
    assert _leases(playground) == []


def test_ctrl_c_while_another_run_is_waited_for(
    playground: Playground, started: list[Process], wait_for_line: WaitForLine
) -> None:
    """The other one keeps its lease."""
    prepared(playground)
    _somebody_else(playground)
    before = state_of(playground)
    process = _started(playground, started)
    wait_for_line(process, "waiting for somebody")

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=ENDS_WITHIN_S)

    assert process.returncode == 130
    assert state_of(playground) == before


def test_a_second_ctrl_c_ends_at_once(
    playground: Playground, faults: Faults, started: list[Process]
) -> None:
    """Even while the lease is given back to a server that does not answer."""
    faults.delay(FOR_EVER_S, **SECOND_STAGE)
    leaving = faults.delay(FOR_EVER_S, method="GET", path=f"/leases/{LEASE}$")
    process = _started(playground, started, faults)
    wait_until(lambda: faults.count("PATCH", **SECOND_STAGE))
    process.send_signal(signal.SIGINT)
    wait_for_hit(leaving, process)

    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=ENDS_WITHIN_S)

    assert process.returncode == -signal.SIGINT
    assert "was not given back" not in told, "it did not wait for that"


def test_a_killed_run_is_mended_by_the_next(
    playground: Playground, faults: Faults, started: list[Process], clean: list[Any]
) -> None:
    """Its lease is taken over, what it has not done is done, what has left the stack is pruned."""
    faults.delay(FOR_EVER_S, **SECOND_STAGE)
    process = _started(playground, started, faults)
    wait_until(lambda: faults.count("PATCH", **SECOND_STAGE))
    process.kill()
    process.communicate(timeout=ENDS_WITHIN_S)
    [lease] = _leases(playground)
    assert f"process {process.pid}" in lease["spec"]["holderIdentity"]
    shorten_lease(playground)

    done = apply(playground)

    assert done.returncode == 0, done.stderr
    assert f"process {process.pid}) has not been heard of for 1 s: took" in done.stderr
    assert "2 changed, 3 unchanged" in done.stderr
    assert state_of(playground) == clean


def _started(
    playground: Playground, started: list[Process], faults: Faults | None = None, *flags: str
) -> Process:
    started.append(playground.start("apply-wait", *STACK, *through(playground, faults), *flags))
    return started[-1]
