"""A scripted API server, and a cluster that leads to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.settings import ClusterSettings
from codexctl_tasks.world.kubernetes import KubernetesCluster, connect
from tests.support.api_server import ApiServer, api_server, write_kubeconfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.fakes import FakeClock

    Connect = Callable[..., KubernetesCluster]


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """Run a server that answers as it is told."""
    with api_server() as running:
        yield running


@pytest.fixture
def told() -> list[str]:
    """Return where the lines go that the user reads."""
    return []


@pytest.fixture
def connected(clock: FakeClock, told: list[str]) -> Iterator[Connect]:
    """Return a function that connects by a kubeconfig; the sockets are closed afterwards."""
    clusters: list[KubernetesCluster] = []

    def connect_by(kubeconfig: str | Path, context: str = "") -> KubernetesCluster:
        settings = ClusterSettings(kubeconfig=str(kubeconfig), context=context)
        clusters.append(connect(settings, clock, told.append))
        return clusters[-1]

    yield connect_by
    for cluster in clusters:
        cluster._transport._access.pool.close()  # noqa: SLF001 - nothing else closes sockets


@pytest.fixture
def cluster(server: ApiServer, tmp_path: Path, connected: Connect) -> KubernetesCluster:
    """Return a cluster that leads to the scripted server."""
    return connected(write_kubeconfig(tmp_path / "kubeconfig", server.address))
