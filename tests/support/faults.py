"""
An HTTP proxy between a client and the real API server, which misbehaves on command.

It speaks plain HTTP with the client and is known to the server by the certificate or the token of
the kubeconfig. Whatever no fault is planned for passes unchanged, watches line by line::

    with Faults(environment["KUBECONFIG"]) as faults:
        faults.answer(429, times=3, headers={"Retry-After": "1"}, method="PATCH")
        faults.cut(after=True, path="/configmaps/a$")
        codexctl("apply", "--kubeconfig", str(faults.kubeconfig(tmp_path / "faults.conf")))
        assert faults.count(method="PATCH") == 4
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import select
import socket
import ssl
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote, urlsplit

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

_CONNECT_TIMEOUT_S = 10.0
_OF_ONE_CONNECTION = {"connection", "host", "transfer-encoding"}
"""Headers that are not passed on."""


@dataclass(frozen=True)
class Seen:
    """One request of the client."""

    method: str
    path: str
    query: str
    """Decoded: ``watch=true&resourceVersion=7``."""
    headers: Mapping[str, str] = field(repr=False)
    """Their names are in small letters."""


@dataclass(kw_only=True)
class Fault:
    """What happens to matching requests; every part of a match is a regular expression."""

    method: str = ""
    """The whole of it: ``PATCH|PUT``; empty: any."""
    path: str = ""
    """Some of it."""
    query: str = ""
    """Some of it."""
    skip: int = 0
    """So many matching requests pass before."""
    times: int = 1
    """So many requests it happens to."""
    hits: int = 0
    """How many it has happened to."""
    act: Callable[[_Handler, bytes], None] = field(repr=False)

    def is_about(self, seen: Seen) -> bool:
        """Tell whether a request matches."""
        return bool(
            re.fullmatch(self.method or ".*", seen.method)
            and re.search(self.path, seen.path)
            and re.search(self.query, seen.query)
        )


class Faults:
    """The proxy: use it as a context; see the module for an example."""

    def __init__(self, kubeconfig: str | Path) -> None:
        self._config = yaml.safe_load(Path(kubeconfig).read_text())
        self._upstream = _Upstream(self._config)
        self._web = _Web(("127.0.0.1", 0), _Handler)
        self._web.faults = self
        self._planned: list[Fault] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.closing = threading.Event()
        self.requests: list[Seen] = []
        """All that came, in this order; `clear` it to count anew."""
        self.address = f"http://127.0.0.1:{self._web.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._web.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._web.shutdown()
        self.closing.set()
        self.cut_all()
        self._web.server_close()  # waits for the threads, none of which has a connection left

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig that leads through this proxy."""
        clusters = [
            {**each, "cluster": {"server": self.address}} for each in self._config["clusters"]
        ]
        path.write_text(yaml.safe_dump({**self._config, "clusters": clusters}))
        return path

    # ---- planning: of several faults that match a request the first one planned happens --------

    def answer(
        self,
        status: int,
        body: bytes | Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        **match: Any,
    ) -> Fault:
        """Answer in place of the server, which learns nothing; without *body* with a ``Status``."""
        if body is None:
            body = {"kind": "Status", "status": "Failure", "code": status, "message": "a fault"}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()

        def act(handler: _Handler, _: bytes) -> None:
            handler.answer(status, data, headers or {})

        return self.plan(act, **match)

    def delay(self, seconds: float, **match: Any) -> Fault:
        """Pass a request on later."""

        def act(handler: _Handler, data: bytes) -> None:
            self.closing.wait(seconds)
            handler.pass_on(data)

        return self.plan(act, **match)

    def cut(self, *, after: bool, **match: Any) -> Fault:
        """Cut the connection, before or after the server has done what was asked."""

        def act(handler: _Handler, data: bytes) -> None:
            handler.pass_on(data, share=0.0 if after else None)

        return self.plan(act, **match)

    def truncate(self, **match: Any) -> Fault:
        """Cut the connection in the middle of the server's answer."""

        def act(handler: _Handler, data: bytes) -> None:
            handler.pass_on(data, share=0.5)

        return self.plan(act, **match)

    def do(self, action: Callable[[], object], **match: Any) -> Fault:
        """Call *action*, in a thread of the proxy, then pass the request on."""

        def act(handler: _Handler, data: bytes) -> None:
            action()
            handler.pass_on(data)

        return self.plan(act, **match)

    def plan(self, act: Callable[[_Handler, bytes], None], **match: Any) -> Fault:
        """Plan any other fault; *match*: the fields of `Fault`."""
        fault = Fault(act=act, **match)
        with self._lock:
            self._planned.append(fault)
        return fault

    def calm(self) -> None:
        """Plan nothing any more."""
        with self._lock:
            self._planned.clear()

    def cut_all(self) -> None:
        """Cut every connection that is open now, the watches too."""
        with self._lock:
            broken, self._open = self._open, set()
        for connection in broken:
            _shut(connection)

    # ---- looking back ---------------------------------------------------------------------------

    def count(self, method: str = "", path: str = "", query: str = "") -> int:
        """Return how many requests came that match."""
        wanted = Fault(method=method, path=path, query=query, act=lambda *_: None)
        return sum(wanted.is_about(seen) for seen in self.requests.copy())

    # ---- for the handlers -----------------------------------------------------------------------

    def note(self, seen: Seen) -> Fault | None:
        """Remember a request; return the fault that happens to it."""
        with self._lock:
            self.requests.append(seen)
            for fault in self._planned:
                if fault.hits < fault.times and fault.is_about(seen):
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.hits += 1
                    return fault
        return None

    def keep(self, connection: socket.socket) -> None:
        """Remember an open connection."""
        with self._lock:
            if not self.closing.is_set():
                self._open.add(connection)
                return
        _shut(connection)

    def forget(self, connection: socket.socket) -> None:
        """Forget a connection that is closed."""
        with self._lock:
            self._open.discard(connection)

    def connect(self) -> http.client.HTTPConnection:
        """Connect to the real server."""
        connection = self._upstream.connect()
        self.keep(connection.sock)
        return connection


class _Upstream:
    """The real API server, as the kubeconfig describes it."""

    def __init__(self, config: Any) -> None:
        def named(kind: str, name: str) -> Any:
            return next(e[kind] for e in config[f"{kind}s"] if e["name"] == name)

        context = named("context", config["current-context"])
        cluster, user = named("cluster", context["cluster"]), named("user", context["user"])
        url = urlsplit(cluster["server"])
        self._host, self._port = url.hostname or "", url.port or 443
        self._tls: ssl.SSLContext | None = None
        if url.scheme == "http":
            return
        with tempfile.TemporaryDirectory() as folder:

            def file(of: Mapping[str, str], key: str) -> str | None:
                if f"{key}-data" not in of:
                    return of.get(key)
                target = Path(folder, key)
                target.write_bytes(base64.b64decode(of[f"{key}-data"]))
                return str(target)

            self._tls = ssl.create_default_context(cafile=file(cluster, "certificate-authority"))
            if certificate := file(user, "client-certificate"):
                self._tls.load_cert_chain(certificate, file(user, "client-key"))

    def connect(self) -> http.client.HTTPConnection:
        connection = (
            http.client.HTTPSConnection(
                self._host, self._port, timeout=_CONNECT_TIMEOUT_S, context=self._tls
            )
            if self._tls
            else http.client.HTTPConnection(self._host, self._port, timeout=_CONNECT_TIMEOUT_S)
        )
        connection.connect()
        connection.sock.settimeout(None)  # a watch may be silent for minutes
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


class _Web(ThreadingHTTPServer):
    faults: Faults
    daemon_threads = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # somebody has gone away: what this is for
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One connection of the client, with one of its own to the server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Web

    def setup(self) -> None:
        super().setup()
        self._up: http.client.HTTPConnection | None = None
        self.server.faults.keep(self.connection)

    def finish(self) -> None:
        self._disconnect()
        self.server.faults.forget(self.connection)
        with suppress(OSError):
            super().finish()

    def answer(self, status: int, data: bytes, headers: Mapping[str, str]) -> None:
        """Answer in place of the server."""
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def pass_on(self, data: bytes, share: float | None = 1.0) -> None:
        """
        Let the server answer.

        Args:
            data: The body of the request.
            share: How much of the answer the client gets before the connection is cut; 1: all
                of it, and nothing is cut; None: the server does not even get the request.
        """
        if share is None:
            self.close_connection = True
            return
        try:
            answer = self._ask(data)
            if share == 0.0:
                answer.read() if answer.length is not None else None
                self.close_connection = True
                return
            self._copy_head(answer)
            if answer.length is not None:
                body = answer.read()
                self.wfile.write(body[: int(len(body) * share)])
            else:
                while piece := answer.read1(65536):
                    self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                    if share < 1.0:
                        break
                else:
                    self.wfile.write(b"0\r\n\r\n")
            self.close_connection = self.close_connection or share < 1.0
        except (OSError, http.client.HTTPException):  # what the server breaks off ends here, too
            self.close_connection = True
        if self.close_connection:
            self._disconnect()

    def _answer(self) -> None:
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        data = self.rfile.read(int(headers.get("content-length") or 0))
        seen = Seen(self.command, unquote(url.path), unquote(url.query), headers)
        fault = self.server.faults.note(seen)
        (fault.act if fault else _Handler.pass_on)(self, data)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - names of http.server

    def _ask(self, data: bytes) -> http.client.HTTPResponse:
        if self._up is not None and not _is_fresh(self._up.sock):
            self._disconnect()
        if self._up is None:
            self._up = self.server.faults.connect()
        headers = {n: v for n, v in self.headers.items() if n.lower() not in _OF_ONE_CONNECTION}
        self._up.request(self.command, self.path, data or None, headers)
        return self._up.getresponse()

    def _copy_head(self, answer: http.client.HTTPResponse) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.headers.items():
            if name.lower() not in _OF_ONE_CONNECTION:
                self.send_header(name, value)
        if answer.length is None:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _disconnect(self) -> None:
        if self._up is not None:
            if self._up.sock is not None:
                self.server.faults.forget(self._up.sock)
            self._up.close()
            self._up = None

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        del format, args


def _is_fresh(connection: socket.socket | None) -> bool:
    """Tell whether the server has neither closed an unused connection nor announced to do so."""
    return connection is not None and not select.select([connection], [], [], 0)[0]


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
