"""
The proxy between an agent and its model: it has the key, the agent has only a token of one run.

It runs in a pod of its own, from a ConfigMap: one file, the standard library, Python 3.9 or newer.
What it is told are files in the folders of its command line; nothing secret is in its environment
or its arguments. It writes one line per request: never a body, a header or a name of the client.
"""

from __future__ import annotations

import hmac
import http.client
import json
import os
import re
import select
import signal
import socket
import ssl
import sys
import threading
import time
import urllib.request
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Optional
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT = 8080
KEY_FILE, TOKEN_FILE = "key", "token"
KEY_REFUSED = "upstream refuses the key"
"""The words of the log by which codexctl knows it."""
_POSTS = ("/responses", "/responses/compact")
_MODELS = "/models"
_PASSED_ON = ("accept", "content-encoding", "content-type", "openai-beta", "x-codex-beta-features")
"""Headers that reach the model. All others name the client, or are none of its business."""
_PASSED_BACK = (
    *("content-encoding", "content-type", "retry-after", "retry-after-ms", "x-request-id"),
    *("openai-model", "openai-processing-ms", "x-models-etag", "x-reasoning-included"),
)
_LOCAL_TOOLS = ("function", "custom", "namespace", "local_shell")
"""Kinds of tools that the agent runs itself. All others the model's provider runs: they would carry
what an agent knows to where its pod may not go."""
_SEARCH = {"type": "tool_search", "execution": "client"}
"""Looks among tools that the agent has; with another execution the provider would do so."""
_REFUSED = 400
"""Codex repeats what any other status answers, and 401 and 403 speak of the key."""
_ADDRESSES = ("image_url", "file_url", "audio_url", "video_url")
_RATE_LIMIT = re.compile(r"x-(?:ratelimit|codex)-[a-z0-9-]{1,80}")
_PIECE = 65_536
_REDIRECTION = 3


class Settings(NamedTuple):
    """What the proxy is told; sizes in bytes, times in seconds."""

    upstream: str
    """``https://host[:port]/path``, to which ``/responses`` is added."""
    base: str = "/v1"
    """The path before ``/responses`` that clients use."""
    models: tuple[str, ...] = ()
    """Which models may be used; empty: any."""
    tools: tuple[str, ...] = ()
    """Kinds of tools of the model's provider that may be used, such as ``web_search``."""
    ca_file: str = ""
    """Whom to trust; empty: whom the image trusts."""
    egress: str = ""
    """Address of the HTTP proxy that leads to the model; empty: none."""
    max_requests: int = 2000
    """In all; 0: no limit."""
    max_request_bytes: int = 64 * 2**20
    max_at_once: int = 16
    max_connections: int = 64
    """Clients that do not even say who they are can take no more."""
    headers_s: float = 20.0
    """Until a request has been said, from when its connection is idle."""
    body_s: float = 120.0
    """Until the whole body has arrived."""
    connect_s: float = 20.0
    silence_s: float = 600.0
    """For how long the model may say nothing."""
    request_s: float = 3600.0
    """For how long one answer may last."""
    life_s: float = 86_400.0
    """For how long the proxy serves at all."""
    grace_s: float = 5.0
    """What answers that have begun still have when the proxy ends."""


class Problem(Exception):  # noqa: N818 - the answer of HTTP that it becomes
    """A request is refused."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Upstream(NamedTuple):
    """How to reach the model."""

    is_secure: bool
    host: str
    port: int
    path: str
    """Before ``/responses``, without a slash at its end."""
    context: Optional[ssl.SSLContext]  # noqa: UP045 - Python 3.9
    egress: tuple[str, int]
    """Host and port of an HTTP proxy; host empty: none."""

    @property
    def authority(self) -> str:
        """What ``Host`` says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.is_secure else 80
        return host if self.port == usual else f"{host}:{self.port}"

    def connect(self, timeout_s: float) -> http.client.HTTPConnection:
        """Open a connection."""
        host, port = self.egress if self.egress[0] else (self.host, self.port)
        connection: http.client.HTTPConnection
        if self.context is not None:
            connection = http.client.HTTPSConnection(
                host, port, timeout=timeout_s, context=self.context
            )
            if self.egress[0]:
                connection.set_tunnel(self.host, self.port)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
        connection.connect()
        return connection

    def target(self, path: str) -> str:
        """Return what the request line says of a path below the base."""
        tells_all = self.egress[0] and not self.is_secure
        return (f"http://{self.authority}" if tells_all else "") + self.path + path


def read_upstream(settings: Settings) -> Upstream:
    """Return how to reach the model; ValueError: the address, or that of the egress, is wrong."""
    parts = urlsplit(settings.upstream)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise ValueError("upstream is no http or https address")
    is_secure = parts.scheme == "https"
    context = ssl.create_default_context(cafile=settings.ca_file or None) if is_secure else None
    egress = settings.egress
    if not egress and not urllib.request.proxy_bypass(parts.hostname):
        egress = urllib.request.getproxies().get(parts.scheme, "")
    way = urlsplit(egress if "//" in egress or not egress else "//" + egress)
    port = parts.port or (443 if is_secure else 80)
    return Upstream(
        *(is_secure, parts.hostname, port, parts.path.rstrip("/"), context),
        (way.hostname or "", way.port or 80),
    )


class Proxy(ThreadingHTTPServer):
    """The server, with what all its requests share."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], settings: Settings, secrets: Path) -> None:
        """Listen; the key and the token are read from *secrets* once."""
        self.settings, self.upstream = settings, read_upstream(settings)
        self.key, self._token = (_secret(secrets / name) for name in (KEY_FILE, TOKEN_FILE))
        self._lock, self._free = threading.Lock(), threading.Semaphore(settings.max_connections)
        self._begun, self._running = 0, 0
        self.ends_s = time.monotonic() + settings.life_s
        self.is_ending = False
        super().__init__(address, Request)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection a thread, unless there are too many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say only what kind of error it was: a traceback could show anything."""
        del request, client_address
        _log(f"connection ended: {type(sys.exc_info()[1]).__name__}")

    def knows(self, authorization: str) -> bool:
        """Tell whether a client has the token; it takes as long for each wrong one."""
        scheme, _, token = authorization.partition(" ")
        given, known = token.strip().encode("utf-8", "replace"), self._token.encode()
        return hmac.compare_digest(given, known) and scheme.lower() == "bearer"

    def begin(self) -> None:
        """Count a request; Problem: no more are allowed."""
        with self._lock:
            if self.is_ending or time.monotonic() > self.ends_s:
                raise Problem(503, "proxy_ends", "the run of this proxy is over")
            if 0 < self.settings.max_requests <= self._begun:
                what = f"the run has used all its {self.settings.max_requests} requests"
                raise Problem(_REFUSED, "request_limit", what)
            if self._running >= self.settings.max_at_once:
                raise Problem(429, "too_many_at_once", "too many requests at once")
            self._begun, self._running = self._begun + 1, self._running + 1

    def end(self) -> None:
        """Count the end of a request."""
        with self._lock:
            self._running -= 1

    def finish(self) -> None:
        """Take nothing new, and give what runs its grace; from another thread than `serve`."""
        self.is_ending = True
        self.shutdown()
        ends_s = time.monotonic() + self.settings.grace_s
        while self._running and time.monotonic() < ends_s:
            time.sleep(0.05)


class Request(BaseHTTPRequestHandler):
    """One connection of a client; one request each, so that nothing of it reaches the next."""

    protocol_version = "HTTP/1.1"
    server: Proxy

    def setup(self) -> None:
        """Limit how long the client may take to say what it wants, byte by byte or not at all."""
        super().setup()
        self.close_connection = True
        self._status = 0
        self._watchdog = self._limit(self.server.settings.headers_s)

    def finish(self) -> None:
        """Let the connection go."""
        self._watchdog.cancel()
        super().finish()

    def _limit(self, seconds: float) -> threading.Timer:
        timer = threading.Timer(seconds, _cut, (self.connection,))
        timer.daemon = True
        timer.start()
        return timer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as it is called
        """Say nothing: the request line is the client's text."""

    def version_string(self) -> str:
        """Return what ``Server`` says."""
        return "codexctl"

    def do_GET(self) -> None:
        """Answer whether all is well, or list the models."""
        if self.path == "/healthz":
            self._answer(200, b"ok\n", "text/plain")
        else:
            self._serve("GET")

    def do_POST(self) -> None:
        """Ask the model."""
        self._serve("POST")

    def _serve(self, method: str) -> None:
        self._watchdog.cancel()
        self._watchdog = self._limit(self.server.settings.body_s)
        begun_s = time.monotonic()
        path = ""
        try:
            path = self._allowed_path(method)
            self.server.begin()
            try:
                self._forward(method, path)
            finally:
                self.server.end()
        except Problem as problem:
            self._status = problem.status
            self._refuse(problem)
        except OSError:
            _log(f"{method} {path}: broken off after {time.monotonic() - begun_s:.1f} s")
            return
        _log(f"{method} {path or '-'}: {self._status} in {time.monotonic() - begun_s:.1f} s")

    def _allowed_path(self, method: str) -> str:
        """Return the path below the base, with a query that only names a version."""
        if not self.server.knows(self.headers.get("Authorization", "")):
            raise Problem(401, "wrong_token", "the token of this run is missing or wrong")
        path, _, query = self.path.partition("?")
        base = self.server.settings.base.rstrip("/")
        rest = path[len(base) :] if path.startswith(base + "/") else ""
        if self.headers.get("Upgrade"):
            raise Problem(405, "no_websockets", "this proxy passes no WebSockets")
        if rest not in (_POSTS if method == "POST" else (_MODELS,)):
            raise Problem(404, "not_passed", f"this proxy passes only POST {base}/responses")
        if query and not re.fullmatch(r"client_version=[\w.+-]{1,40}", query, re.ASCII):
            raise Problem(400, "query", "this query is not passed on")
        return f"{rest}?{query}" if query else rest

    def _forward(self, method: str, path: str) -> None:
        body = self._body() if method == "POST" else None
        self._watchdog.cancel()
        self._watchdog = self._limit(self.server.settings.request_s)
        connection = self._ask(method, path, body)
        gone = threading.Event()
        watcher = threading.Thread(target=self._watch_client, args=(connection, gone), daemon=True)
        try:
            watcher.start()
            self._pass_back(self._answer_of(connection))
        finally:
            gone.set()
            connection.close()

    def _body(self) -> bytes:
        """Return the whole body: nothing is begun upstream for a client that does not end it."""
        limit, length = self.server.settings.max_request_bytes, self.headers.get("Content-Length")
        if self.headers.get("Transfer-Encoding") or length is None or not length.isdigit():
            raise Problem(411, "length", "a body needs its Content-Length")
        if int(length) > limit:
            raise Problem(413, "too_large", f"a request has at most {limit} bytes")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise Problem(400, "cut", "the body is shorter than its Content-Length")
        self._check(body)
        return body

    def _check(self, body: bytes) -> None:
        """Refuse what costs more than it may, or lets the provider reach out for the agent."""
        try:
            asked = json.loads(body, object_pairs_hook=_strict)
        except (ValueError, RecursionError):
            raise Problem(400, "no_json", "the body is no plain JSON") from None
        if not isinstance(asked, dict):
            raise Problem(400, "no_json", "the body is no JSON object")
        settings = self.server.settings
        if settings.models and asked.get("model") not in settings.models:
            what = f"allowed models: {', '.join(settings.models)}: see codex.proxy.models"
            raise Problem(_REFUSED, "model", what)
        if asked.get("background"):
            raise Problem(_REFUSED, "address", "nothing is run in the background")
        self._check_tools(asked.get("tools"))
        for name, value in _pairs(asked.get("input")):
            if name == "tools":
                self._check_tools(value)
            elif _is_address(name, value):
                what = "nothing is fetched: images and files come as data"
                raise Problem(_REFUSED, "address", what)

    def _check_tools(self, given: Any) -> None:
        for kind in _remote_kinds(given):
            if kind not in self.server.settings.tools:
                what = f"tools that the provider runs must stand in codex.proxy.tools: {kind[:80]}"
                raise Problem(_REFUSED, "tool", what)

    def _ask(self, method: str, path: str, body: Optional[bytes]) -> http.client.HTTPConnection:  # noqa: UP045
        headers = {name: self.headers[name] for name in _PASSED_ON if name in self.headers}
        headers.update(
            Authorization=f"Bearer {self.server.key}", Host=self.server.upstream.authority
        )
        headers["Accept-Encoding"] = "identity"
        headers["User-Agent"] = "codexctl"
        try:
            connection = self.server.upstream.connect(self.server.settings.connect_s)
            connection.sock.settimeout(self.server.settings.silence_s)
            connection.request(method, self.server.upstream.target(path), body, headers)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _unreachable(error) from None
        return connection

    def _answer_of(self, connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
        try:
            return connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _unreachable(error) from None

    def _pass_back(self, answer: http.client.HTTPResponse) -> None:
        """Pass an answer on as it comes."""
        self._status = answer.status
        if answer.status == HTTPStatus.UNAUTHORIZED:  # its own words may hold a part of the key
            _log(KEY_REFUSED)
            raise Problem(401, "key_refused", "the model refuses the key of this project")
        if answer.status // 100 == _REDIRECTION:
            raise Problem(502, "redirected", "the model answers with a redirection")
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() in _PASSED_BACK or _RATE_LIMIT.fullmatch(name.lower()):
                self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()
        while piece := self._piece(answer):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _piece(self, answer: http.client.HTTPResponse) -> bytes:
        """Return what there is; an answer that breaks breaks here, too, without a last chunk."""
        try:
            piece = answer.read1(_PIECE)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ConnectionAbortedError(type(error).__name__) from None
        if not piece and answer.length:
            raise ConnectionAbortedError("cut")
        return piece

    def _watch_client(self, connection: http.client.HTTPConnection, ended: threading.Event) -> None:
        """End the request upstream when its client goes away: it costs money."""
        upstream = connection.sock
        while not ended.wait(0.2):
            try:
                readable, _, _ = select.select([self.connection], [], [], 0)
                is_gone = bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
            except (OSError, ValueError):
                is_gone = True
            if is_gone and upstream is not None:
                _cut(upstream)
                return

    def _refuse(self, problem: Problem) -> None:
        error = {"message": problem.message, "type": "codexctl_proxy", "code": problem.code}
        self._answer(problem.status, json.dumps({"error": error}).encode(), "application/json")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            _log("the client went away")


def _remote_kinds(given: Any) -> Iterator[str]:
    """Yield the kinds of tools that the provider would run, also of those that stand in others."""
    waiting = [given]
    while waiting:
        tools = waiting.pop() or []
        for tool in tools if isinstance(tools, list) else [tools]:
            known = tool if isinstance(tool, dict) else {}
            kind = str(known.get("type"))
            is_search = all(known.get(name) == value for name, value in _SEARCH.items())
            if kind not in _LOCAL_TOOLS and not is_search:
                yield kind
            waiting.append(known.get("tools"))


def _pairs(given: Any) -> Iterator[tuple[str, Any]]:
    """Yield each name with its value, however deep it stands; newer models get tools there, too."""
    waiting = [given]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list):
            waiting += found
        elif isinstance(found, dict):
            yield from found.items()
            waiting += (value for name, value in found.items() if name != "tools")


def _is_address(name: str, value: Any) -> bool:
    """Tell whether something of the input is not there, but has to be fetched."""
    address = value.get("url") if isinstance(value, dict) else value
    is_elsewhere = isinstance(address, str) and not address.startswith("data:")
    return is_elsewhere and name in _ADDRESSES


def _strict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that is there twice: the model could read the other one."""
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)


def _unreachable(error: Exception) -> Problem:
    """Say why the model cannot be reached; its address and our headers are not in it."""
    why = type(error).__name__
    if isinstance(error, ssl.SSLCertVerificationError):
        why = "its certificate is not trusted"
    elif isinstance(error, (socket.timeout, TimeoutError)):
        why = "no answer in time"
    elif isinstance(error, socket.gaierror):
        why = "its name is unknown"
    elif isinstance(error, ConnectionRefusedError):
        why = "connection refused"
    _log(f"the model cannot be reached: {why}")
    return Problem(502, "unreachable", f"the model cannot be reached: {why}")


def _secret(path: Path) -> str:
    text = path.read_text(encoding="utf-8").strip()
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError(f"{path.name} is empty, or no single word")
    return text


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _log(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def read_settings(text: str) -> Settings:
    """Return the settings of a JSON object; ValueError: it is none."""
    given = json.loads(text)
    if unknown := set(given) - set(Settings._fields):
        raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}")
    given.update({name: tuple(given.get(name, ())) for name in ("models", "tools")})
    return Settings(**given)


def main(settings_file: str, secrets: str) -> int:
    """Serve until SIGTERM."""
    try:
        settings = read_settings(Path(settings_file).read_text(encoding="utf-8"))
        proxy = Proxy(("", PORT), settings, Path(secrets))
    except (OSError, ValueError, TypeError) as error:
        _log(f"cannot start: {error}")
        return 1

    def finish() -> None:
        proxy.finish()
        os._exit(0)

    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=finish).start())
    _log("ready")
    proxy.serve_forever(0.1)
    time.sleep(settings.grace_s + 1)  # what runs still has its grace; `finish` ends the process
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
