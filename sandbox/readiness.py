"""Questions that tell whether the sandbox is ready to be used."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import socket
import ssl
import struct
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sandbox.keys import NODE_NAME
from sandbox.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.addresses import Addresses

_TIMEOUT_S = 5.0
CONTROLLER_MANAGER_PORT = 10257
SCHEDULER_PORT = 10259


class ApiServer:
    """The API server as an administrator sees it, over one connection."""

    def __init__(self, addresses: Addresses, pki: Path) -> None:
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        where = urlsplit(addresses.server)
        self._connection = http.client.HTTPSConnection(
            str(where.hostname), where.port, timeout=_TIMEOUT_S, context=context
        )

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        """Send a request; the status is 0 when nobody answers."""
        data = json.dumps(body) if body is not None else None
        try:
            self._connection.request(method, path, data, {"Content-Type": "application/json"})
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return 0, None
        try:
            return response.status, json.loads(content)
        except ValueError:
            return response.status, content

    def is_ready(self) -> bool:
        """Tell whether the API server and all its start-up steps are ready."""
        return self.ask("GET", "/readyz")[0] == http.client.OK

    def has_default_account(self) -> bool:
        """Tell whether pods can be made: the controller manager makes this account first."""
        path = "/api/v1/namespaces/default/serviceaccounts/default"
        return self.ask("GET", path)[0] == http.client.OK

    def is_node_ready(self, since: float) -> bool:
        """
        Tell whether the node said that it is ready.

        Args:
            since: seconds since the epoch; what the node said before counts
                as hearsay from an earlier start.

        """
        status, node = self.ask("GET", f"/api/v1/nodes/{NODE_NAME}")
        conditions = node["status"].get("conditions", []) if status == http.client.OK else []
        return any(
            condition["type"] == "Ready"
            and condition["status"] == "True"
            and _seconds(condition["lastHeartbeatTime"]) >= int(since)
            for condition in conditions
        )

    def ensure_storage_class(self) -> bool:
        """Make the default storage class; tell whether it is there."""
        storage_class = {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": "standard",
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "provisioner": "kubernetes.io/host-path",
        }
        status, _ = self.ask("POST", "/apis/storage.k8s.io/v1/storageclasses", storage_class)
        return status in {http.client.CREATED, http.client.CONFLICT}


def _seconds(timestamp: str) -> float:
    return dt.datetime.fromisoformat(timestamp).timestamp()


def is_healthy(addresses: Addresses, port: int) -> bool:
    """Ask a component, which signed its certificate itself, how it is."""
    context = ssl._create_unverified_context()  # noqa: S323, SLF001 - only a "yes" is read
    connection = http.client.HTTPSConnection(
        addresses.node, port, timeout=_TIMEOUT_S, context=context
    )
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def is_dns_answering(addresses: Addresses) -> bool:
    """Tell whether cluster DNS knows the service ``kubernetes``."""
    name = b"".join(
        bytes([len(label)]) + label.encode()
        for label in ("kubernetes", "default", "svc", "cluster", "local", "")
    )
    question = struct.pack(">6H", 1, 0x0100, 1, 0, 0, 0) + name + struct.pack(">2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.5)
        try:
            client.sendto(question, (addresses.node, 53))
            return socket.inet_aton(addresses.first_service) in client.recv(512)
        except OSError:
            return False


def is_registry_answering(address: str) -> bool:
    """Tell whether the registry takes requests from this machine's loopback."""
    with Registry(address) as registry:
        return registry.is_answering()
