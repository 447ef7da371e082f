"""A proxy before a registry that breaks requests as it is told, and counts them all."""

from __future__ import annotations

import http.client
import json
import re
import socket
import struct
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_PIECE = 2**16
_NOT_PASSED_ON = ("connection", "transfer-encoding", "host")


@dataclass
class Fault:
    """What to do to requests that look like this."""

    method: str
    path: str
    """A regular expression that is found somewhere in path and query."""
    status: int = 0
    """Answer with this; 0: let it through."""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b'{"errors": [{"code": "FAULT", "message": "as the test wants it"}]}'
    cut_after: int = -1
    """Close the connection after so many bytes of the answer; -1: do not."""
    reset_after: int = -1
    """Reset the connection after so many bytes of the request's body; -1: do not."""
    changes: bool = False
    """Change a byte of the answer."""
    without: str = ""
    """A header that the answer loses."""
    times: int = 1


@dataclass(frozen=True)
class Seen:
    """A request."""

    method: str
    target: str
    headers: Mapping[str, str]


class FaultyProxy:
    """The faults still to come, and the requests that came."""

    def __init__(self, host: str, upstream: str) -> None:
        self.host, self.upstream = host, upstream
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.watch: Callable[[Seen], None] = lambda _: None
        """Called for each request before it is passed on."""
        self._lock = threading.Lock()

    def will(self, *faults: Fault) -> None:
        """Break requests thus."""
        self.faults.extend(faults)

    def take(self, seen: Seen) -> Fault | None:
        """Note a request, and return what to do to it."""
        with self._lock:
            self.seen.append(seen)
            for fault in self.faults:
                fits = fault.method == seen.method and re.search(fault.path, seen.target)
                if fits and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None

    def lines(self, method: str = "", part: str = "") -> list[str]:
        """Return the requests in short, those that greet left out."""
        return [
            f"{each.method} {each.target}"
            for each in self.seen
            if each.target != "/v2/" and method in ("", each.method) and part in each.target
        ]


@contextmanager
def faulty_proxy(upstream: str) -> Iterator[FaultyProxy]:
    """Run a proxy before a host."""
    web = _Web(("127.0.0.1", 0), _Handler)
    proxy = FaultyProxy(f"127.0.0.1:{web.server_port}", upstream)
    web.proxy = proxy  # type: ignore[attr-defined]
    thread = threading.Thread(target=web.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        web.shutdown()
        web.server_close()
        thread.join(5)


class _Web(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30

    def _do(self) -> None:
        proxy: FaultyProxy = self.server.proxy  # type: ignore[attr-defined]
        seen = Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()})
        fault = proxy.take(seen) or Fault("", "")
        proxy.watch(seen)
        if fault.reset_after >= 0:
            self._read(fault.reset_after)
            self._reset()
        elif fault.status:
            for _ in self._body():
                pass
            self._send(fault)
        else:
            self._pass_on(proxy.upstream, fault)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _do  # noqa: N815 - their names

    def _read(self, size: int) -> None:
        for piece in self._body():
            size -= len(piece)
            if size <= 0:
                return

    def _body(self) -> Iterator[bytes]:
        left = int(self.headers.get("Content-Length") or 0)
        while left > 0 and (piece := self.rfile.read(min(left, _PIECE))):
            left -= len(piece)
            yield piece

    def _send(self, fault: Fault) -> None:
        self.send_response(fault.status)
        for name, value in {"Content-Type": "application/json", **fault.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(fault.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(fault.body)

    def _pass_on(self, upstream: str, fault: Fault) -> None:
        connection = http.client.HTTPConnection(upstream, timeout=30)
        headers = {
            name: ", ".join(self.headers.get_all(name, ()))
            for name in self.headers
            if name.lower() not in _NOT_PASSED_ON
        }
        # Its Location must lead back through here.
        headers["Host"] = self.headers["Host"]
        try:
            has_body = "Content-Length" in self.headers
            connection.request(self.command, self.path, self._body() if has_body else None, headers)
            self._answer(connection.getresponse(), fault)
        finally:
            connection.close()

    def _answer(self, answer: http.client.HTTPResponse, fault: Fault) -> None:
        self.send_response(answer.status)
        is_open = answer.getheader("Content-Length") is None and self.command != "HEAD"
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", fault.without.lower()):
                self.send_header(name, value)
        if is_open:
            self.send_header("Connection", "close")
        self.end_headers()
        sent = 0
        while self.command != "HEAD" and (piece := answer.read(_PIECE)):
            if fault.changes:
                piece, fault.changes = bytes([piece[0] ^ 1]) + piece[1:], False
            if 0 <= fault.cut_after < sent + len(piece):
                self.wfile.write(piece[: fault.cut_after - sent])
                self.close_connection = True
                return
            self.wfile.write(piece)
            sent += len(piece)
        self.close_connection = self.close_connection or is_open

    def _reset(self) -> None:
        """Close the connection as a crash does."""
        self.wfile.flush()
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


def as_json(value: Any) -> bytes:
    """Return the body of an answer."""
    return json.dumps(value).encode()
