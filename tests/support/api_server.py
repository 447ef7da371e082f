"""A web server on 127.0.0.1 that answers as it is told, request by request."""

from __future__ import annotations

import json
import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from ssl import SSLContext


@dataclass(frozen=True)
class Answer:
    """One answer."""

    body: Any = ""
    """Sent as it is when bytes, else as JSON."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    """Announce more than is sent, then close the connection."""
    chunks: tuple[bytes, ...] | None = None
    """Send these with chunked encoding instead of *body*; *cut*: without the end."""


@dataclass(frozen=True)
class Request:
    """One request, as the server got it."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


class ApiServer:
    """The answers still to be given and the requests that came."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.answers: deque[Answer] = deque()
        self.requests: list[Request] = []

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
    web = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    web.daemon_threads = True
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


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5

    def _answer(self) -> None:
        script: ApiServer = self.server.script  # type: ignore[attr-defined]
        url = urlsplit(self.path)
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        script.requests.append(
            Request(
                self.command,
                url.path,
                dict(parse_qsl(url.query)),
                {name.lower(): value for name, value in self.headers.items()},
                json.loads(data) if data else None,
            )
        )
        if not script.answers:
            self._send(status(418, "the script has no more answers"))
            return
        self._send(script.answers.popleft())

    do_GET = do_PATCH = do_DELETE = _answer  # noqa: N815 - names of http.server

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
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
            body = (
                answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            )
            self.send_header("Content-Length", str(len(body) + (100 if answer.cut else 0)))
            self.end_headers()
            self.wfile.write(body)
        if answer.cut:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        del format, args
