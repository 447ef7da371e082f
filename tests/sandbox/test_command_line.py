"""The command line where no sandbox runs."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from sandbox import cli, components, node, places, status
from sandbox.addresses import Addresses
from sandbox.configuration import Program, make_plan

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep away from the developer's sandbox."""
    monkeypatch.setenv("CODEXCTL_SANDBOX_STATE", str(tmp_path / "states"))
    monkeypatch.setenv("CODEXCTL_SANDBOX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SANDBOX", raising=False)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["env"], "sandbox: was never started: python3 -m sandbox up\n"),
        (["push", "web:1"], "sandbox: was never started: python3 -m sandbox up\n"),
        (
            ["logs", "etcd"],
            "logs: no log of 'etcd': choose one of: (none: the sandbox was never started)\n",
        ),
    ],
)
def test_what_needs_a_sandbox_says_so(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the first ``up``, one line says what to run."""
    assert cli.main(arguments) == 1
    assert capsys.readouterr().err == line


def test_down_without_a_sandbox_is_fine() -> None:
    """``down`` can always be run."""
    assert cli.main(["down"]) == 0
    assert cli.main(["down", "--wipe"]) == 0


def test_status_without_a_sandbox(capsys: pytest.CaptureFixture[str]) -> None:
    """A script learns from the exit code, a person from the line."""
    assert cli.main(["status"]) == 1
    assert capsys.readouterr().out == "sandbox: not running: python3 -m sandbox up\n"


@pytest.mark.parametrize("command", ["up", "down", "prepare", "status"])
def test_switched_off(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a cluster of one's own, the commands do nothing and say so."""
    monkeypatch.setenv("SANDBOX", "off")
    assert cli.main([command]) == 0
    assert capsys.readouterr().err == f"sandbox: off (SANDBOX=off): {command} does nothing\n"


def test_switched_off_passes_the_own_cluster_through(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``env`` names the person's own cluster and registry."""
    monkeypatch.setenv("SANDBOX", "off")
    monkeypatch.setenv("KUBECONFIG", "/home/me/my config")
    monkeypatch.setenv("SANDBOX_REGISTRY", "registry.test:5000")
    assert cli.main(["env"]) == 0
    assert [shlex.split(line)[1] for line in capsys.readouterr().out.splitlines()] == [
        "SANDBOX_REGISTRY=registry.test:5000",
        "KUBECONFIG=/home/me/my config",
    ]


def test_two_checkouts_have_two_state_folders() -> None:
    """Folders of the same name in different places do not meet."""
    one = places.find_places({"HOME": "/home/me", "CODEXCTL_SANDBOX_CHECKOUT": "/a/shop"})
    two = places.find_places({"HOME": "/home/me", "CODEXCTL_SANDBOX_CHECKOUT": "/b/shop"})
    assert one.state != two.state
    assert one.cache == two.cache
    assert str(one.state).startswith("/home/me/.local/state/codexctl-sandbox/shop-")


def test_env_keeps_the_exceptions_from_the_proxy() -> None:
    """A person's own NO_PROXY is extended, not replaced, and not twice."""
    found = places.find_places()
    found.state.mkdir(parents=True)
    (found.state / "number").write_text("3")
    once = status.render_environment(found, {"NO_PROXY": "intra.test"})
    line = next(row for row in once.splitlines() if "NO_PROXY" in row)
    value = shlex.split(line)[1].removeprefix("NO_PROXY=")
    assert value.split(",")[:2] == ["intra.test", "10.213.3.2"]
    assert status.render_environment(found, {"NO_PROXY": value}) == once


def test_every_component_is_pinned() -> None:
    """The versions come from the lock files, and there is one for each component."""
    versions = {c.name: components.read_version(c) for c in components.COMPONENTS}
    assert versions["kubelet"].startswith("v1.34.")
    assert versions["etcd"].startswith("v3.6.")
    assert versions["coredns"].startswith("v1.")


def test_a_plan_changes_when_the_node_would() -> None:
    """A running node is started anew when, and only when, it would be another one."""
    plan = make_plan(Addresses(1), ["binaries-1"], control_plane=False)
    small = make_plan(Addresses(1), ["binaries-1"], control_plane=True)
    assert plan.digest == small.digest
    assert plan.programs[: len(small.programs)] == small.programs
    assert make_plan(Addresses(1), ["binaries-2"], control_plane=False).digest != plan.digest


def test_a_component_that_keeps_dying_is_started_less_often() -> None:
    """The pause grows to five seconds, and is short again after a steady run."""
    running = node.Running(Program("etcd", []))
    pauses = []
    for _ in range(8):
        running.started = 0.0
        running.note_death(now=1.0)
        pauses.append(round(running.start_at - 1.0, 1))
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    running.note_death(now=100.0)
    assert round(running.start_at - 100.0, 1) == 0.2
