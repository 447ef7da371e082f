"""Servers on loopback that answer well, badly, or never."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Behave = Callable[[socket.socket], None]
_MANY = 100_000


@contextlib.contextmanager
def listening(
    behave: Behave,
    *,
    pem: Path | None = None,
    address: str = "127.0.0.1",
    heard: list[str] | None = None,
) -> Iterator[int]:
    """
    Serve each connection with *behave* after its request has been read; yields the port.

    Args:
        behave: Is given the connection; what breaks is the client's business.
        pem: Certificate and key for TLS; None: plain.
        address: Where to listen.
        heard: Receives SNI names and requests.
    """
    heard = [] if heard is None else heard
    tls = _context(pem, heard) if pem else None
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as server:

        def serve(connection: socket.socket) -> None:
            with contextlib.suppress(OSError, ssl.SSLError), connection:
                secure = tls.wrap_socket(connection, server_side=True) if tls else connection
                with secure:
                    heard.append(secure.recv(4096).decode("latin-1"))
                    behave(secure)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]


def answering(status: str, body: str = "", headers: str = "", *, closes: bool = True) -> Behave:
    """Return a server that answers with this."""

    def behave(connection: socket.socket) -> None:
        length = f"Content-Length: {len(body)}\r\n" if not closes else ""
        text = f"HTTP/1.1 {status}\r\n{headers}{length}\r\n{body}"
        connection.sendall(text.encode())
        if not closes:
            say_nothing(connection)

    return behave


def saying(data: bytes) -> Behave:
    """Return a server that sends these bytes."""
    return lambda connection: connection.sendall(data)


def say_nothing(connection: socket.socket) -> None:
    """Wait until the client has had enough."""
    while connection.recv(4096):
        pass


def endless(begin: bytes, more: bytes, pause_s: float = 0.0) -> Behave:
    """Return a server that never ends."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(begin)
        for _ in range(_MANY):
            connection.sendall(more)
            time.sleep(pause_s)

    return behave


def free_port(address: str = "127.0.0.1") -> int:
    """Return a port on which nothing listens."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as server:
        port: int = server.getsockname()[1]
        return port


def has_ipv6() -> bool:
    """Tell whether the machine has ::1."""
    try:
        free_port("::1")
    except OSError:
        return False
    return True


def _context(pem: Path, heard: list[str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.sni_callback = lambda _connection, name, _context: heard.append(f"SNI {name}")
    return context
