"""A small GitHub on 127.0.0.1: the comments of Issues, with pages, limits and bad days."""

from __future__ import annotations

import itertools
import json
import re
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

NOW_S = 1_800_000_000
"""What its clock shows."""
MOST_CHARACTERS = 65_536
_COMMENTS = re.compile(r"/repos/([^/]+/[^/]+)/issues/(\d+)/comments")
_COMMENT = re.compile(r"/repos/([^/]+/[^/]+)/issues/comments/(\d+)")


@dataclass(frozen=True)
class Trouble:
    """What becomes of a request instead of its answer."""

    status: int = 0
    """0: the connection is cut without an answer."""
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    is_done: bool = False
    """It is done all the same."""


@dataclass(frozen=True)
class Request:
    """One request, as the server got it."""

    method: str
    target: str
    token: str
    body: Any


Reply = tuple[int, Any, dict[str, str]]


class GitHubServer:
    """One repository, ``shop/web``, of one account."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.page = 100
        self.repository = "shop/web"
        self.issues = {12}
        self.accounts = {
            "secret-token": ("octo", "User"),
            "ghs_workflow": ("github-actions", "Bot"),
        }
        """Login and type by token."""
        self.comments: list[dict[str, Any]] = []
        self.requests: list[Request] = []
        self.troubles: list[Trouble] = []
        """For the next requests, one each."""
        self.renamed: str = ""
        """Where ``old/web`` leads to; empty: nowhere."""
        self.before: dict[str, Callable[[], None]] = {}
        """Done once, before the next request of that method is served."""
        self._ids = itertools.count(1001)
        self._lock = threading.Lock()

    def add(self, body: str, login: str = "octo", kind: str = "User", issue: int = 12) -> int:
        """Write a comment as somebody; returns its ID."""
        number = next(self._ids)
        url = f"https://github.example/{self.repository}/issues/{issue}#issuecomment-{number}"
        author = {"login": login, "type": kind}
        self.comments.append(
            {"id": number, "body": body, "user": author, "html_url": url, "issue": issue}
        )
        return number

    def sent(self, method: str) -> list[Request]:
        """Return the requests of a method."""
        return [request for request in self.requests if request.method == method]

    @property
    def bodies(self) -> list[str]:
        """The texts of all comments."""
        return [comment["body"] for comment in self.comments]

    def reply(self, request: Request) -> Reply | None:
        """Return status, body and headers; None: the connection is cut."""
        with self._lock:
            self.requests.append(request)
            if action := self.before.pop(request.method, None):
                action()
            if not self.troubles:
                return self._answer(request)
            trouble = self.troubles.pop(0)
            if trouble.is_done:
                self._answer(request)
            message = {"message": trouble.message}
            return (trouble.status, message, dict(trouble.headers)) if trouble.status else None

    def _answer(self, request: Request) -> Reply:
        if request.token not in self.accounts:
            return 401, {"message": "Bad credentials"}, {}
        parts = urlsplit(request.target)
        if self.renamed and parts.path.startswith("/repos/old/web/"):
            rest = request.target.removeprefix("/repos/old/web")
            status = 301 if request.method == "GET" else 307
            return status, {}, {"Location": f"{self.renamed}{rest}"}
        if parts.path == "/user":
            return self._user(request)
        if found := _COMMENTS.fullmatch(parts.path):
            return self._of_issue(request, found[1], int(found[2]), parse_qs(parts.query))
        if found := _COMMENT.fullmatch(parts.path):
            return self._of_comment(request, int(found[2]))
        return 404, {"message": "Not Found"}, {}

    def _user(self, request: Request) -> Reply:
        login, kind = self.accounts[request.token]
        if kind == "Bot":
            return 403, {"message": "Resource not accessible by integration"}, {}
        return 200, {"login": login, "type": kind}, {}

    def _of_issue(
        self, request: Request, repository: str, issue: int, query: Mapping[str, list[str]]
    ) -> Reply:
        if repository != self.repository or issue not in self.issues:
            return 404, {"message": "Not Found"}, {}
        if request.method == "POST":
            if len(request.body["body"]) > MOST_CHARACTERS:
                errors = [{"message": "Body is too long (maximum is 65536 characters)"}]
                return 422, {"message": "Validation Failed", "errors": errors}, {}
            login, kind = self.accounts[request.token]
            self.add(request.body["body"], f"{login}[bot]" if kind == "Bot" else login, kind, issue)
            return 201, self.comments[-1], {}
        here = [each for each in self.comments if each["issue"] == issue]
        size = min(self.page, int(query.get("per_page", ["30"])[0]))
        page = int(query.get("page", ["1"])[0])
        headers = {}
        if len(here) > page * size:
            path = urlsplit(request.target).path
            following = f"{self.url}{path}?per_page={size}&page={page + 1}"
            headers["Link"] = f'<{self.url}{path}?page=1>; rel="first", <{following}>; rel="next"'
        return 200, here[(page - 1) * size : page * size], headers

    def _of_comment(self, request: Request, number: int) -> Reply:
        known = next((each for each in self.comments if each["id"] == number), None)
        if known is None:
            return 404, {"message": "Not Found"}, {}
        if request.method == "DELETE":
            self.comments.remove(known)
            return 204, None, {}
        known["body"] = request.body["body"]
        return 200, known, {}


@contextmanager
def github_server() -> Iterator[GitHubServer]:
    """Run a server in a thread."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            reply = running.reply(Request(self.command, self.path, token, body))
            if reply is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            status, content, headers = reply
            data = b"" if content is None else json.dumps(content).encode()
            self.send_response_only(status)
            dated = {"Date": formatdate(NOW_S, usegmt=True), **headers}
            for name, value in {**dated, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815 - names of the base class

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    running = GitHubServer(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
