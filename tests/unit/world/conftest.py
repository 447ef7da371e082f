"""A scripted API server, and a cluster that leads to it."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.requests.basis import ClusterSettings
from codexctl_tasks.world.kubernetes import KubernetesCluster, connect
from tests.support.api_server import ApiServer, api_server, write_kubeconfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.fakes import FakeClock

    Connect = Callable[..., KubernetesCluster]


SELF_SIGNED = {
    "PRIVATE KEY": """
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgtPoac/jjc7LqPuGH
Y8fbKiEvZypLzwTXem/zFXsLwIyhRANCAASafTUt++JHi2YDFnZKP/LPGarQdqu9
3ML28hDE6uNweBiIelTrmBJ5swopvU+L/RcavQO9eDxVLC7uApmuG9jl""",
    "CERTIFICATE": """
MIIBkDCCATagAwIBAgIUe23sr4u4xqK9v6aOr5cakCDhmMswCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJMTI3LjAuMC4xMCAXDTI2MTEyMjIwNDYxMloYDzIxMjYxMDI5
MjA0NjEyWjAUMRIwEAYDVQQDDAkxMjcuMC4wLjEwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASafTUt++JHi2YDFnZKP/LPGarQdqu93ML28hDE6uNweBiIelTrmBJ5
swopvU+L/RcavQO9eDxVLC7uApmuG9jlo2QwYjAdBgNVHQ4EFgQUjbRQOO/ucvYl
njUvG/VHOpYaZPgwHwYDVR0jBBgwFoAUjbRQOO/ucvYlnjUvG/VHOpYaZPgwDwYD
VR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0gAMEUC
IHem+I5nKBax0VycH08eGkQDUO4/WqwFSsBu2EyoYt6yAiEAik4NSj8ZT6Djxp28
YdRa/wJtzfNdfDfKjQJuP0BeyWY=""",
}
"""A key and certificate for 127.0.0.1, made for this test, trusted by nobody."""
ENCRYPTED_KEY = """\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHrMFYGCSqGSIb3DQEFDTBJMCgGCSqGSIb3DQEFDDAbBAieNr7UVhhGWQIBATAM
BggqhkiG9w0CCQUAMB0GCWCGSAFlAwQBKgQQ1ce3QAag7JSyz2k5Nn1S7gSBkC4o
plxkhI08+wDIJWxMyNLcuIkI70UJgvAKt9S1tMsBVnVPk0N3C4MNbz9eSMPIqAVC
4m+GFDt+6Q9f2VmfrYQWjjTN9TO1n3n5Jo2+1KCJSkPf9VwWFFqn0Ubhc0tQfE2O
i5bgKCVcGeufYn5QoYL6X+ba4838UHGenGVAuLIRM4Hh9NN1ZfuHOoqT3XA9nA==
-----END ENCRYPTED PRIVATE KEY-----
"""
"""The same key behind a password."""


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


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Return a file with a key and its certificate."""
    file = tmp_path / "server.pem"
    file.write_text(
        "".join(f"-----BEGIN {k}-----{v}\n-----END {k}-----\n" for k, v in SELF_SIGNED.items())
    )
    return file


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[ApiServer]:
    """Run a scripted server with TLS."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with api_server(tls) as running:
        yield running
