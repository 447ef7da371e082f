"""
What answers at an address and port: TCP, TLS and the first KB of HTTP.

Written on plain sockets, because it looks at what clients refuse to read: strange certificates,
answers that are no HTTP, servers that never end. All of it within one time, whatever they do.
"""

from __future__ import annotations

import queue
import re
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LONGEST_ANSWER = 16 * 1024
"""Bytes; what a server says beyond is not read."""
_LENGTH = re.compile(rb"\r?\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*\r?\n", re.IGNORECASE)
_BREAK = re.compile(rb"\r?\n\r?\n")


class State(Enum):
    """How far a probe came."""

    UNREACHABLE = "unreachable"
    """There is no way to the address, such as IPv6 where there is none."""
    REFUSED = "refused"
    UNCONNECTED = "unconnected"
    """Neither accepted nor refused in time."""
    NO_TLS = "no tls"
    """It listens, but the TLS handshake failed for another reason than its certificate."""
    SILENT = "silent"
    """It listens, but said nothing in time."""
    CLOSED = "closed"
    """It closed the connection without a word."""
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to ask, and what should be spoken there."""

    address: str
    """IPv4 or IPv6."""
    port: int
    tls: bool

    def __str__(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sighting:
    """What was seen at an endpoint."""

    state: State
    detail: str = ""
    """Why it went no further, in the words of the system or of OpenSSL."""
    answer: bytes = field(default=b"", repr=False)
    """The beginning of what it answered."""
    certificate: bytes = field(default=b"", repr=False)
    """DER; empty: none was shown."""
    distrust: str = ""
    """Why OpenSSL does not accept the certificate; empty: it does, or there is none."""


class Network(Protocol):
    """What is asked of the network."""

    def resolve(self, name: str, timeout_s: float) -> list[str]:
        """Return the addresses of a name, or of an address itself; empty: none in time."""
        ...

    def probe(
        self, endpoint: Endpoint, host: str, ca_file: Path | None, timeout_s: float
    ) -> Sighting:
        """
        Ask for ``/`` of *host* at an endpoint.

        Args:
            endpoint: Where.
            host: For SNI and the ``Host`` header.
            ca_file: PEM of authorities to trust beside those of the system; None: only those.
            timeout_s: For all of it.
        """
        ...


class SystemNetwork:
    """The real one."""

    def __init__(self, look_up: Callable[..., list[tuple[object, ...]]] | None = None) -> None:
        """Look names up with *look_up*; None: as the system does."""
        self._look_up = look_up or socket.getaddrinfo

    def resolve(self, name: str, timeout_s: float) -> list[str]:
        """Return the addresses; the system's resolver knows no time limit, so a thread waits."""
        found: queue.SimpleQueue[list[str]] = queue.SimpleQueue()

        def work() -> None:
            try:
                answers = self._look_up(name, None, type=socket.SOCK_STREAM)
            except (OSError, ValueError):  # no such name, or what can be none
                answers = []
            found.put([str(answer[4][0]) for answer in answers])  # type: ignore[index]

        threading.Thread(target=work, daemon=True).start()
        try:
            return list(dict.fromkeys(found.get(timeout=timeout_s)))
        except queue.Empty:
            return []

    def probe(
        self, endpoint: Endpoint, host: str, ca_file: Path | None, timeout_s: float
    ) -> Sighting:
        """Ask; a certificate that is refused is looked at all the same."""
        end_s = time.monotonic() + timeout_s
        if not endpoint.tls:
            return _ask(endpoint, host, None, end_s)
        try:
            return _ask(endpoint, host, trusting(ca_file), end_s)
        except ssl.SSLCertVerificationError as error:
            seen = _ask(endpoint, host, _trusting_all(), end_s)
            return replace(seen, distrust=error.verify_message or "not accepted")


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """
    Return what is trusted: the system's authorities, and those in a file.

    Raises:
        OSError: The file cannot be read, or holds no certificate.
    """
    context = ssl.create_default_context()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # browsers and curl are not that strict
    context.hostname_checks_common_name = False  # which they do not accept either
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def _trusting_all() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _ask(endpoint: Endpoint, host: str, tls: ssl.SSLContext | None, end_s: float) -> Sighting:
    try:
        plain = socket.create_connection((endpoint.address, endpoint.port), timeout=_left_s(end_s))
    except ConnectionRefusedError:
        return Sighting(state=State.REFUSED)
    except TimeoutError:
        return Sighting(state=State.UNCONNECTED)
    except OSError as error:
        return Sighting(state=State.UNREACHABLE, detail=error.strerror or "no such address")
    with plain:
        if tls is None:
            return _talk(plain, endpoint, host, end_s)
        return _talk_tls(plain, endpoint, host, tls, end_s)


def _talk_tls(
    plain: socket.socket, endpoint: Endpoint, host: str, tls: ssl.SSLContext, end_s: float
) -> Sighting:
    try:
        plain.settimeout(_left_s(end_s))
        secure = tls.wrap_socket(plain, server_hostname=host)
    except ssl.SSLCertVerificationError:
        raise
    except TimeoutError:
        return Sighting(state=State.SILENT)
    except OSError as error:
        return Sighting(state=State.NO_TLS, detail=_reason(error))
    with secure:
        shown = secure.getpeercert(binary_form=True) or b""
        return replace(_talk(secure, endpoint, host, end_s), certificate=shown)


def _talk(connection: socket.socket, endpoint: Endpoint, host: str, end_s: float) -> Sighting:
    """Send the request and read the beginning of what comes back."""
    usual = endpoint.port == (443 if endpoint.tls else 80)
    request = (
        f"GET / HTTP/1.1\r\nHost: {host if usual else f'{host}:{endpoint.port}'}\r\n"
        "User-Agent: codexctl\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
    answer, state, detail = _Answer(), State.CLOSED, ""
    try:
        connection.settimeout(_left_s(end_s))
        connection.sendall(request.encode("ascii"))
        while not answer.is_whole:
            connection.settimeout(_left_s(end_s))
            if not (piece := connection.recv(answer.wanted)):
                break
            answer.take(piece)
    except TimeoutError:
        state = State.SILENT
    except OSError as error:  # what was read before a reset counts
        detail = _reason(error)
    said = bytes(answer.data)
    return Sighting(state=State.ANSWERED if said else state, detail=detail, answer=said)


class _Answer:
    """What was read so far; each byte is looked at once, however small the pieces are."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._head = 0
        """Bytes of the headers; 0: they have not ended."""
        self._end = LONGEST_ANSWER

    @property
    def wanted(self) -> int:
        """How many bytes are to come at most."""
        return self._end - len(self.data)

    @property
    def is_whole(self) -> bool:
        """Whether nothing more is to come, as far as the headers tell, or enough was read."""
        return self.wanted <= 0 or bool(self._head and self.data.endswith(b"\r\n0\r\n\r\n"))

    def take(self, piece: bytes) -> None:
        """Add what was read."""
        begin = max(len(self.data) - 3, 0)
        self.data += piece
        if not self._head and (found := _BREAK.search(self.data, begin)):
            self._head = found.end()
            if length := _LENGTH.search(self.data[: self._head]):
                self._end = min(self._end, self._head + int(length[1]))


def _left_s(end_s: float) -> float:
    """Return what is left of the time; a socket whose time-out is 0 would not wait at all."""
    return max(end_s - time.monotonic(), 0.001)


def _reason(error: OSError) -> str:
    """Say what went wrong, without the source lines of OpenSSL."""
    if isinstance(error, ssl.SSLError) and error.reason:
        return str(error.reason).lower().replace("_", " ")
    return error.strerror or type(error).__name__
