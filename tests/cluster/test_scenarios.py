"""
Every scenario of `tests.scenarios` on a real cluster: what is broken is told, what is not is left.

All of them are played once, side by side; each test then looks at one outcome. To play one alone:
``pytest tests/cluster/test_scenarios.py -k image-not-found``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.scenarios.catalogue import SCENARIOS
from tests.scenarios.stage import Stage
from tests.support.faulty_registry import FaultyRegistry
from tests.support.shell import BIN, clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.scenarios.model import Scenario

pytestmark = pytest.mark.cluster

AT_ONCE = 16
BROKEN = [scenario for scenario in SCENARIOS if scenario.fault]
CRASHING = [scenario for scenario in BROKEN if scenario.fault and scenario.fault.log]
HEALTHY = [scenario for scenario in SCENARIOS if not scenario.fault]
_MUCH_LONGER_S = 200


@dataclass(frozen=True)
class Played:
    """What codexctl said about a scenario."""

    stage: Stage = field(repr=False)
    exit_code: int
    report: dict[str, Any] = field(repr=False)
    stderr: str = field(repr=False)

    @property
    def outcomes(self) -> dict[str, str]:
        """The outcome of each object that was waited for, ``Deployment/web``."""
        return {f"{w['kind']}/{w['name']}": w["outcome"] for w in self.report["workloads"]}

    def workload(self, name: str) -> dict[str, Any]:
        """Return what is reported about one object."""
        assert name in self.outcomes, "nothing is reported about it"
        described: dict[str, Any] = self.report["workloads"][list(self.outcomes).index(name)]
        return described


@pytest.fixture(scope="module")
def played(
    request: pytest.FixtureRequest,
    cluster_environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Future[Played]]]:
    """Play the scenarios of the tests that were chosen, those that last longest first."""
    chosen = {
        item.callspec.params["scenario"].name
        for item in request.session.items
        if item.path == request.path and isinstance(item, pytest.Function)
    }
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    with contextlib.ExitStack() as stack:
        faulty = ""
        if "SANDBOX_REGISTRIES" in cluster_environment:
            faulty = stack.enter_context(FaultyRegistry(cluster_environment)).address
        pool = stack.enter_context(ThreadPoolExecutor(AT_ONCE))
        stack.callback(pool.shutdown, cancel_futures=True)
        folder = tmp_path_factory.mktemp("scenarios")
        futures = {}
        for scenario in SCENARIOS:
            if scenario.name in chosen and (faulty or not scenario.needs_faults):
                namespace = f"test-{worker}-{os.getpid()}-{scenario.name}"
                stage = Stage(namespace, folder / scenario.name, cluster_environment, faulty)
                futures[scenario.name] = pool.submit(_play, scenario, stage)
        yield futures


def _play(scenario: Scenario, stage: Stage) -> Played:
    where = ("--manifests", str(stage.folder), "--namespace", stage.namespace)
    how = ("--output", "json", "--wait-timeout", f"{scenario.timeout_s}s")
    with stage.set_for(scenario), stage.meanwhile(scenario.during):
        done = subprocess.run(
            [BIN / "codexctl", "apply-wait", *where, *how],
            env=clean_environment(**stage.environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=scenario.timeout_s + _MUCH_LONGER_S,
        )
    assert done.stdout, done.stderr
    return Played(stage, done.returncode, json.loads(done.stdout), done.stderr)


def _by_name(scenarios: list[Scenario]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("scenario", scenarios, ids=lambda scenario: scenario.name)


def _found(played: dict[str, Future[Played]], scenario: Scenario) -> Played:
    if scenario.name not in played:
        pytest.skip("needs the sandbox: somebody's own nodes do not know the faulty registry")
    found = played[scenario.name].result()
    print(found.stderr)  # noqa: T201 - pytest shows it when the test fails
    return found


@_by_name(BROKEN)
def test_what_is_broken_is_told_with_its_cause(
    scenario: Scenario, played: dict[str, Future[Played]]
) -> None:
    """Exit code, the object to blame, its cause and its manifest; nobody for another reason."""
    found, fault = _found(played, scenario), scenario.fault
    assert fault is not None
    at = found.stage.filled(fault.at)

    assert found.exit_code == fault.exit_code
    outcome = "failed" if fault.grace else "timed out"
    assert found.outcomes[at] == outcome
    for name in [name for name, each in found.outcomes.items() if each in (outcome, "failed")]:
        workload = found.workload(name)
        told = f"{workload['detail']}\n{workload['diagnosis']['cause']}"
        assert re.search(fault.cause, told), name
    file, _, line = str(found.workload(at)["manifest"]).rpartition(":")
    assert file.endswith("all.yaml")
    assert found.stage.object_at(int(line)) == at


@_by_name(CRASHING)
def test_the_last_words_of_a_crash_are_shown(
    scenario: Scenario, played: dict[str, Future[Played]]
) -> None:
    """The line that the container wrote before it ended is in the report."""
    found, fault = _found(played, scenario), scenario.fault
    assert fault is not None
    diagnosis = found.workload(found.stage.filled(fault.at))["diagnosis"]
    assert diagnosis is not None
    assert fault.log in "\n".join(map(str, diagnosis["log"]))


@_by_name(HEALTHY)
def test_what_becomes_healthy_is_never_failed(
    scenario: Scenario, played: dict[str, Future[Played]]
) -> None:
    """Exit code 0, and everything that was waited for is ready."""
    found = _found(played, scenario)
    assert found.exit_code == 0
    assert set(found.outcomes.values()) <= {"ready"}
