"""A web server on 127.0.0.1 that answers as it is told, request by request."""

from __future__ import annotations

import json
import sys
import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path
    from ssl import SSLContext


@dataclass(frozen=True)
class Answer:
    """One answer."""

    body: Any = ""
    """Sent as it is when bytes, else as JSON; objects with the ``kind`` that all of them have."""
    status: int = 200
    headers: Mapping[str, str | list[str]] = field(default_factory=dict)
    """A list: a header that comes several times."""
    cut: bool = False
    """Announce more than is sent, then close the connection."""
    chunks: Iterable[bytes] | None = None
    """Send these with chunked encoding instead of *body*; *cut*: without the end."""


@dataclass(frozen=True)
class Request:
    """One request, as the server got it."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    target: str
    """The path and query as they were sent; a proxy gets the whole address."""


class ApiServer:
    """The answers still to be given and the requests that came."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.answers: deque[Answer] = deque()
        self.requests: list[Request] = []
        self.decide: Callable[[Request], Answer] | None = None
        """Answers instead of the script; called in the thread of the request."""

    def will(self, *answers: Answer) -> None:
        """Answer the next requests thus, in this order."""
        self.answers.extend(answers)


def status(code: int, message: str = "no", **more: Any) -> Answer:
    """Return a refusal as Kubernetes writes it; *headers* become headers."""
    headers = more.pop("headers", {})
    body = {"kind": "Status", "status": "Failure", "code": code, "message": message, **more}
    return Answer(body, code, headers)


def event_lines(*events: tuple[str, Mapping[str, Any]]) -> bytes:
    """Return events as the lines of a watch."""
    return b"".join(json.dumps({"type": t, "object": o}).encode() + b"\n" for t, o in events)


@contextmanager
def api_server(tls: SSLContext | None = None) -> Iterator[ApiServer]:
    """Run a server in a thread."""
    web = _Web(("127.0.0.1", 0), _Handler)
    if tls is not None:
        web.socket = tls.wrap_socket(web.socket, server_side=True)
    server = ApiServer(f"{'https' if tls else 'http'}://127.0.0.1:{web.server_port}")
    web.script = server  # type: ignore[attr-defined]
    thread = threading.Thread(target=web.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        web.shutdown()
        web.server_close()
        thread.join(5)


class _Web(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64  # connections of many threads at once

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a client that has gone away
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 5

    def _answer(self) -> None:
        script: ApiServer = self.server.script  # type: ignore[attr-defined]
        url = urlsplit(self.path)
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(
            self.command,
            url.path,
            dict(parse_qsl(url.query)),
            {name.lower(): value for name, value in self.headers.items()},
            json.loads(data) if data else None,
            self.path,
        )
        script.requests.append(request)
        if script.decide is not None:
            self._send(script.decide(request))
        elif script.answers:
            self._send(script.answers.popleft())
        else:
            self._send(status(418, "the script has no more answers"))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - names of http.server

    def _send(self, answer: Answer) -> None:
        if "Date" in answer.headers:
            self.send_response_only(answer.status)
        else:
            self.send_response(answer.status)  # with the date of today
        for name, values in answer.headers.items():
            for value in [values] if isinstance(values, str) else values:
                self.send_header(name, value)
        if answer.chunks is not None:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for chunk in answer.chunks:
                self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
                self.wfile.flush()
            if not answer.cut:
                self.wfile.write(b"0\r\n\r\n")
        else:
            body = answer.body
            if isinstance(body, dict):
                body = {"kind": "Any", **body}
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_header("Content-Length", str(len(body) + (100 if answer.cut else 0)))
            self.end_headers()
            self.wfile.write(body)
        if answer.cut:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        del format, args


def write_kubeconfig(
    file: Path, address: str, *, user: Mapping[str, Any] | None = None, **cluster: Any
) -> Path:
    """
    Write a kubeconfig with the contexts ``main`` (current, namespace ``mine``) and ``bare``.

    Args:
        file: Where to.
        address: Of the server.
        user: How to authenticate; a token if it is not given.
        cluster: More of the cluster, such as ``insecure-skip-tls-verify``.
    """
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "main",
        "clusters": [{"name": "c", "cluster": {"server": address, **cluster}}],
        "users": [{"name": "u", "user": dict(user or {"token": "hunter2-token"})}],
        "contexts": [
            {"name": "main", "context": {"cluster": "c", "user": "u", "namespace": "mine"}},
            {"name": "bare", "context": {"cluster": "c", "user": "u"}},
        ],
    }
    file.write_text(yaml.safe_dump(content))
    return file
