"""A TCP proxy between codexctl and the API server that misbehaves on command."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import yaml

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class Proxy:
    """Forwards to one server until told to cut everything, or to swallow everything."""

    def __init__(self, kubeconfig: str) -> None:
        with open(kubeconfig, encoding="utf-8") as file:  # noqa: PTH123
            self._config = yaml.safe_load(file)
        server = urlsplit(self._config["clusters"][0]["cluster"]["server"])
        self._upstream = (server.hostname or "", server.port or 443)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._clients: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.swallow = False
        self.connections = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()
        self.cut()

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig that leads through this proxy."""
        cluster = self._config["clusters"][0]["cluster"]
        host, port = self._listener.getsockname()
        name = {"server": f"https://{host}:{port}", "tls-server-name": "kubernetes.default.svc"}
        self._config["clusters"][0]["cluster"] = {**cluster, **name}
        path.write_text(yaml.safe_dump(self._config))
        return path

    def cut(self) -> None:
        """Break every connection that is open now."""
        with self._lock:
            broken, self._open = self._open, []
        for connection in broken:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self.greet(client)
            server = socket.create_connection(self._upstream)
            with self._lock:
                self._open += [client, server]
                self._clients.add(client)
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def greet(self, client: socket.socket) -> None:
        """Do nothing before the first byte passes; for proxies that are spoken to."""

    def altered(self, data: bytes) -> bytes:
        """Return what the server gets in place of this: the same."""
        return data

    def passing(self, count: int) -> None:
        """Do nothing about bytes that go to the server; for tests that wait for so many."""

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if source in self._clients:
                    self.passing(len(data))
                    data = self.altered(data)
                if not self.swallow:
                    sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
