"""Ctrl-C, SIGTERM, lost connections and a server that falls silent."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.proxy import Proxy

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from tests.cluster.conftest import Playground

    WaitForLine = Callable[[subprocess.Popen[str], str], str]

pytestmark = pytest.mark.cluster

NEVER_READY = {"exec": {"command": ["false"]}, "periodSeconds": 1}
ENDS_WITHIN_S = 20
"""Far below the request timeout of 30 s: whoever waits for a dead server is found out."""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_wait_still_prints_its_report(
    playground: Playground,
    started: list[subprocess.Popen[str]],
    wait_for_line: WaitForLine,
    number: signal.Signals,
    code: int,
) -> None:
    """What is known so far is printed, and the exit code tells the signal."""
    playground.write(playground.workload("web", readinessProbe=NEVER_READY))
    process = playground.start("apply-wait")
    started.append(process)
    wait_for_line(process, "waiting")

    process.send_signal(number)
    _, rest = process.communicate(timeout=ENDS_WITHIN_S)

    assert process.returncode == code
    assert "INTERRUPTED  1 not ready" in rest
    assert "web  NOT READY" in rest


def test_ctrl_c_does_not_wait_for_a_silent_server(
    playground: Playground,
    tmp_path: Path,
    started: list[subprocess.Popen[str]],
    wait_for_line: WaitForLine,
) -> None:
    """The API server answers nothing any more; the person is let go all the same."""
    playground.write(playground.workload("web", readinessProbe=NEVER_READY))
    with Proxy(playground.environment["KUBECONFIG"]) as proxy:
        process = playground.start(
            "apply-wait", "--kubeconfig", str(proxy.kubeconfig(tmp_path / "proxy.conf"))
        )
        started.append(process)
        wait_for_line(process, "waiting")
        proxy.swallow = True

        process.send_signal(signal.SIGINT)
        process.communicate(timeout=ENDS_WITHIN_S)

    assert process.returncode == 130


def test_ctrl_c_while_applying_to_a_silent_server(
    playground: Playground, tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    """Requests in flight hold nobody up."""
    playground.write(playground.workload("web"))
    with Proxy(playground.environment["KUBECONFIG"]) as proxy:
        proxy.swallow = True
        process = playground.start(
            "apply-wait", "--kubeconfig", str(proxy.kubeconfig(tmp_path / "proxy.conf"))
        )
        started.append(process)
        while proxy.connections == 0:
            assert process.poll() is None

        process.send_signal(signal.SIGINT)
        process.communicate(timeout=ENDS_WITHIN_S)

    assert process.returncode == 130


def test_a_rollout_survives_lost_connections(
    playground: Playground,
    tmp_path: Path,
    started: list[subprocess.Popen[str]],
    wait_for_line: WaitForLine,
) -> None:
    """Every connection breaks, the watches too; they resume, and the result is right."""
    gate = {"exec": {"command": ["test", "-e", "/tmp/open"]}, "periodSeconds": 1}  # noqa: S108
    playground.write(
        playground.workload("web", "sleep 6; touch /tmp/open; sleep 10000", readinessProbe=gate)
    )
    with Proxy(playground.environment["KUBECONFIG"]) as proxy:
        process = playground.start(
            "apply-wait", "--kubeconfig", str(proxy.kubeconfig(tmp_path / "proxy.conf"))
        )
        started.append(process)
        wait_for_line(process, "waiting")
        before = proxy.connections
        proxy.cut()
        _, rest = process.communicate(timeout=120)

    assert process.returncode == 0, rest
    assert proxy.connections > before
    assert "resuming" in rest
    assert "HEALTHY  1 ready" in rest
