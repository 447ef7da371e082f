"""Sources on their way through proxies of other kinds."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.cluster.test_sync import MEGABYTE, Workspace, agent, claim, create
from tests.support.proxy import Proxy
from tests.support.shell import clean_environment

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster


@pytest.fixture
def workspace(playground: Playground, tmp_path: Path) -> Workspace:
    """Give a workspace whose pod runs, and a folder with some megabytes."""
    create(playground, claim(), agent(playground))
    workspace = Workspace(playground, tmp_path / "sources")
    for number in range(3):
        workspace.write(f"{number}", os.urandom(MEGABYTE))
    return workspace


def digests_of(workspace: Workspace) -> tuple[str, str]:
    """Return the digest of all content: there and here."""
    script = "cat * | sha256sum"
    here = subprocess.check_output(["sh", "-c", script], cwd=workspace.folder, text=True)
    return workspace.inside(script), here


class Tunnel(Proxy):
    """An HTTP proxy as companies have it: asked with CONNECT, it lets TLS pass."""

    def __init__(self, kubeconfig: str) -> None:
        super().__init__(kubeconfig)
        self.asked: list[bytes] = []
        self.passed = 0

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig that names this proxy."""
        host, port = self._listener.getsockname()
        self._config["clusters"][0]["cluster"]["proxy-url"] = f"http://{host}:{port}"
        path.write_text(yaml.safe_dump(self._config))
        return path

    def greet(self, client: socket.socket) -> None:
        """Read what is asked for, byte by byte as TLS follows, and agree."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        self.asked.append(head.partition(b" HTTP/")[0])
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")

    def passing(self, count: int) -> None:
        """Count what goes to the server."""
        self.passed += count


def test_sources_pass_the_proxy_of_the_kubeconfig(workspace: Workspace, tmp_path: Path) -> None:
    """With ``proxy-url`` all connections go there, that of the stream included."""
    with Tunnel(workspace.playground.environment["KUBECONFIG"]) as proxy:
        flags = (*workspace.flags, "--kubeconfig", str(proxy.kubeconfig(tmp_path / "proxy.conf")))
        done = workspace.playground.codexctl("sync-sources", *flags, NO_PROXY="", no_proxy="")

    assert done.returncode == 0, done.stderr
    there, here = digests_of(workspace)
    assert there == here
    assert proxy.passed > 3 * MEGABYTE
    assert {asked.partition(b" ")[0] for asked in proxy.asked} == {b"CONNECT"}


class OldProxy(Proxy):
    """Knows WebSockets only as they were before Kubernetes 1.30: nobody can close stdin."""

    hidden = 0

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig that leads here, without TLS."""
        host, port = self._listener.getsockname()
        self._config["clusters"][0]["cluster"] = {"server": f"http://{host}:{port}"}
        path.write_text(yaml.safe_dump(self._config))
        return path

    def altered(self, data: bytes) -> bytes:
        """Leave the newer protocol out of what is offered."""
        self.hidden += data.count(b"v5.channel.k8s.io, ")
        return data.replace(b"v5.channel.k8s.io, ", b"")


@pytest.fixture
def entrance(playground: Playground, tmp_path: Path) -> Iterator[Path]:
    """Give a kubeconfig without TLS: it leads to ``kubectl proxy``, which has it."""
    words = ("proxy", "--port=0", "--disable-filter")
    with subprocess.Popen(
        [playground.kubectl_path, *words],
        env=clean_environment(**playground.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = iter(process.stdout)
        found = next(filter(None, (re.search(r"127\.0\.0\.1:\d+", line) for line in lines)))
        cluster = {"name": "c", "cluster": {"server": f"http://{found[0]}"}}
        context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [cluster],
            "contexts": [context],
            "current-context": "x",
            "users": [{"name": "u", "user": {}}],
        }
        file = tmp_path / "entrance.conf"
        file.write_text(yaml.safe_dump(config))
        yield file
        process.terminate()


def test_sources_pass_a_proxy_that_cannot_close_stdin(
    workspace: Workspace, entrance: Path, tmp_path: Path
) -> None:
    """The older protocol is spoken with a real server: all arrives, also what changes later."""
    with OldProxy(str(entrance)) as proxy:
        config = proxy.kubeconfig(tmp_path / "old.conf")
        first = workspace.synced("--kubeconfig", str(config))
        workspace.write("1", os.urandom(MEGABYTE))
        second = workspace.synced("--kubeconfig", str(config))

    assert proxy.hidden >= 4
    assert (first["sent"], second["sent"]) == (3, 1)
    there, here = digests_of(workspace)
    assert there == here


def test_a_read_only_volume_behind_such_a_proxy(
    playground: Playground, entrance: Path, tmp_path: Path
) -> None:
    """Nothing can be prepared, and nobody can close stdin: the line comes all the same."""
    pod = agent(playground)
    spec = pod["spec"]
    spec["volumes"].append({"name": "state", "emptyDir": {}})
    mount = {"name": "state", "mountPath": "/volume/.codexctl", "readOnly": True}
    spec["containers"][0]["volumeMounts"].append(mount)
    create(playground, claim(), pod)
    workspace = Workspace(playground, tmp_path / "sources")
    workspace.write("a", os.urandom(3 * MEGABYTE))
    with OldProxy(str(entrance)) as proxy:
        done = workspace.sync("--kubeconfig", str(proxy.kubeconfig(tmp_path / "old.conf")))

    assert done.returncode == 4
    assert "ead-only file system" in done.stderr
    assert "retry" not in done.stderr
