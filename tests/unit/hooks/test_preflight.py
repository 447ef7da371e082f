"""`preflight`: what is missing stops the run before it begins."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from codexctl_tasks.errors import CombinedError, Location
from codexctl_tasks.hooks.preflight import preflight
from codexctl_tasks.stack.steps import Point, Step
from tests.support.hooks import HookBench

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def bench(tmp_path: Path) -> HookBench:
    """Return a stack without anything, on a machine without programs."""
    (tmp_path / "bin").mkdir()
    variables = {"PATH": str(tmp_path / "bin"), "TMPDIR": str(tmp_path)}
    return HookBench(preflight, folder=tmp_path, variables=variables)


def test_all_is_well(bench: HookBench) -> None:
    """A line for each check says what was seen; what cannot be looked at is said, too."""
    said = bench.run()

    assert "ok       programs     scripts: none that would need a program" in said
    assert "ok       cluster      https://fake:6443: Kubernetes v1.34.0" in said
    assert "skipped  permissions  stack: no objects are known" in said
    assert "ok       registries   images: no registry is named" in said
    assert " free" in said


def test_everything_that_is_missing_at_once(bench: HookBench) -> None:
    """One line each, and the exit code of the worst."""
    bench.steps = (
        Step(
            point=Point.BEFORE_ALL,
            item="",
            name="it",
            location=Location("services.yaml", 7),
            timeout_s=60.0,
            script="jq .",
            locate=lambda _: Location("services.yaml"),
        ),
    )

    with pytest.raises(CombinedError) as caught:
        bench.run(programs=["kubectl"], diskFree="900Pi", checks=["programs", "disk"])

    lines = [str(problem).partition(":")[0] for problem in caught.value.problems]
    assert lines == ["kubectl", "bash", str(bench.folder)]
    assert caught.value.exit_code == 5
    assert "preflight: jq: is not on PATH; services.yaml:7 seems to call it" in bench.said


def test_strict(bench: HookBench) -> None:
    """Warnings fail the step, too."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        host = f"127.0.0.1:{taken.getsockname()[1]}"
    bench.stack = {"registry": host}

    assert f"warning: preflight: registry {host}: nothing listens" in bench.run()
    with pytest.raises(CombinedError, match=f"^registry {host}: nothing listens"):
        bench.run(strict="true")


def test_only_what_was_chosen(bench: HookBench) -> None:
    """As a list or as one text, as on the command line."""
    for chosen in (["programs"], "programs"):
        said = bench.run(checks=chosen)
        assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "given",
    [
        {"checks": ["program"]},
        {"diskFree": "much"},
        {"diskFree": "0"},
        {"diskFree": "-1Gi"},
        {"diskFree": True},
        {"program": ["jq"]},
        {"strict": "perhaps"},
    ],
    ids=str,
)
def test_wrong_parameters(bench: HookBench, given: dict[str, Any]) -> None:
    """What cannot be understood is refused before anything is looked at."""
    with pytest.raises(ValidationError):
        bench.run(**given)


def test_parameters(bench: HookBench, tmp_path: Path) -> None:
    """Amounts as Kubernetes writes them; folders from that of services.yaml."""
    (tmp_path / "data").mkdir()

    said = bench.run(checks="disk", diskFree="1Ki", diskPaths=["data"])

    assert f"{tmp_path}/data: " in said
