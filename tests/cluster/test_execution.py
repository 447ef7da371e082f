"""Commands in containers: streams, exit codes, and ends that are no success."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import BrokenStreamError, ClusterError
from codexctl_tasks.requests.basis import ClusterSettings
from codexctl_tasks.world.clock import SystemClock
from codexctl_tasks.world.credentials import load_access
from codexctl_tasks.world.execution import V4, Executed, Session, exec_path
from codexctl_tasks.world.kubernetes import connect
from codexctl_tasks.world.transport import Transport
from tests.support.proxy import Proxy
from tests.support.shell import run_kubectl

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from codexctl_tasks.world.kubernetes import KubernetesCluster
    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster


@pytest.fixture
def cluster(playground: Playground) -> KubernetesCluster:
    """Return the cluster, with a pod ``runner`` that does nothing."""
    env, namespace = playground.environment, playground.namespace
    run_kubectl(env, "create", "namespace", namespace)
    asleep = ("--command", "--", "sleep", "100000")
    run_kubectl(env, "run", "runner", "-n", namespace, "--image", playground.image, *asleep)
    ready = ("wait", "-n", namespace, "--for=condition=Ready", "pod/runner", "--timeout=60s")
    run_kubectl(env, *ready)
    return _connect(env["KUBECONFIG"])


def _connect(kubeconfig: str) -> KubernetesCluster:
    settings = ClusterSettings(kubeconfig=kubeconfig, context="")
    return connect(settings, SystemClock(), lambda _: None)


def _run(
    cluster: KubernetesCluster, playground: Playground, *command: str, stdin: Iterable[bytes] = ()
) -> tuple[Executed, bytes]:
    printed = bytearray()
    where = (playground.namespace, "runner", "")
    ended = cluster.execute(*where, command, stdin=stdin, take=printed.extend)
    return ended, bytes(printed)


def test_bytes_pass_in_both_directions(cluster: KubernetesCluster, playground: Playground) -> None:
    """5 MB of any bytes come back as they were sent, and the end of stdin is seen."""
    sent = [os.urandom(size) for size in (1, 0, 70_000, 5 * 10**6)]

    ended, printed = _run(cluster, playground, "cat", stdin=sent)

    assert ended == Executed(0, "")
    assert printed == b"".join(sent)


def test_exit_code_and_stderr_are_told(cluster: KubernetesCluster, playground: Playground) -> None:
    """A command that fails has its own exit code; stderr is not mixed with stdout."""
    ended, printed = _run(cluster, playground, "sh", "-c", "echo out; echo bad >&2; exit 7")

    assert ended == Executed(7, "bad\n")
    assert printed == b"out\n"


@pytest.mark.parametrize("script", ["sleep 60", "while :; do echo x; done"])
def test_a_command_that_takes_too_long_is_left_alone(
    cluster: KubernetesCluster, playground: Playground, script: str
) -> None:
    """One that is silent, and one that never is, end the question after the time given."""
    where = (playground.namespace, "runner", "")
    with pytest.raises(ClusterError, match="has not ended within 1 s"):
        cluster.execute(*where, ["sh", "-c", script], stdin=(), take=len, limit_s=1)


def test_what_cannot_be_started_is_an_error(
    cluster: KubernetesCluster, playground: Playground
) -> None:
    """A program that the image has not got, and a pod that is not there, are named."""
    with pytest.raises(ClusterError, match="no-such-program"):
        _run(cluster, playground, "no-such-program")
    with pytest.raises(ClusterError, match=r"absent.* not found") as caught:
        cluster.execute(playground.namespace, "absent", "", ["true"], stdin=(), take=print)
    assert caught.value.status == 404


def test_a_command_that_ends_early_is_told(
    cluster: KubernetesCluster, playground: Playground
) -> None:
    """Whatever of stdin a command has not read: how it ended is known."""
    stdin = [bytes(1000)]

    assert _run(cluster, playground, "sh", "-c", "exit 3", stdin=stdin)[0] == Executed(3, "")


def test_a_cut_stream_is_never_a_success(
    cluster: KubernetesCluster, playground: Playground, tmp_path: Path
) -> None:
    """The connection breaks while the command runs: an error, whatever came before."""
    del cluster
    with Proxy(playground.environment["KUBECONFIG"]) as proxy:
        through = _connect(str(proxy.kubeconfig(tmp_path / "proxy.conf")))

        def stdin() -> Iterator[bytes]:
            yield b"first"
            proxy.cut()
            yield b"second"

        with pytest.raises(BrokenStreamError, match="the stream of the command broke"):
            _run(through, playground, "cat", stdin=stdin())


def test_a_server_that_cannot_close_stdin(
    cluster: KubernetesCluster, playground: Playground
) -> None:
    """The older protocol passes the same bytes; a command counts what it reads."""
    del cluster
    settings = ClusterSettings(kubeconfig=playground.environment["KUBECONFIG"], context="")
    transport = Transport(lambda: load_access(settings), SystemClock(), lambda _: None)
    script = ("sh", "-c", "head -c 100000 | sha256sum")
    path = exec_path(playground.namespace, "runner", "", script)
    printed, content = bytearray(), os.urandom(100_000)

    session = Session("pod", transport.upgrade(path, (V4,)))

    assert session.run([content], printed.extend) == Executed(0, "", closes_stdin=False)
    assert printed.split()[0].decode() == hashlib.sha256(content).hexdigest()
