"""
A small GitHub on 127.0.0.1: comments and what they are about, with pages, limits and bad days.

What it replies about anything but comments is in `github_replies`.
"""

from __future__ import annotations

import itertools
import json
import re
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.support import github_replies
from tests.support.github_replies import INTEGRATION, NOT_FOUND, Facts, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

NOW_S = 1_800_000_000
"""What its clock shows."""
MOST_CHARACTERS = 65_536
_PLACE = re.compile(r"/repos/([^/]+/[^/]+)(/.*|)")
_COMMENTS = re.compile(r"/issues/(\d+)/comments")
_COMMENT = re.compile(r"/issues/comments/(\d+)")
_ISSUE = re.compile(r"/issues/(\d+)")
_PULL = re.compile(r"/pulls/(\d+)")
_PERMISSION = re.compile(r"/collaborators/([^/]+)/permission")
_MEMBERS = (
    (re.compile(r"/commits/[^/]+/check-runs"), "check_runs"),
    (re.compile(r"/commits/[^/]+/status"), "statuses"),
    (re.compile(r"/actions/workflows/ai-run.yml/runs"), "workflow_runs"),
)
_FILES = re.compile(r"/pulls/\d+/(files)")
_PULLS = re.compile(r"/(pulls)")
_RUN = re.compile(r"/actions/runs/(\d+)")
_REVIEWERS = re.compile(r"/pulls/(\d+)/requested_reviewers")
_COMPARE = re.compile(r"/compare/(.+)")
_HERE = re.compile(r"()")
_BRANCH = re.compile(r"/(?:branches|git/refs/heads)/(.+)")


@dataclass(frozen=True)
class Trouble:
    """What becomes of a request instead of its answer."""

    status: int = 0
    """0: the connection is cut without an answer."""
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    is_done: bool = False
    """It is done all the same."""
    body: Any = None
    """Instead of one with the message; bytes: as they are."""


@dataclass(frozen=True)
class Request:
    """One request, as the server got it."""

    method: str
    target: str
    token: str
    body: Any
    proxy_account: str = ""
    """What it tells a proxy, as it was sent."""


class GitHubServer:
    """One repository, ``shop/web``, of one account."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.page = 100
        self.repository = "shop/web"
        self.facts = Facts(url=url)
        self.facts.add_issue(12)
        self.accounts = {
            "secret-token": ("octo", "User"),
            "ghs_workflow": ("github-actions", "Bot"),
        }
        """Login and type by token."""
        self.comments: list[dict[str, Any]] = []
        self.requests: list[Request] = []
        self.troubles: list[Trouble] = []
        """For the next requests, one each."""
        self.fails: str = ""
        """Path of a question that is always forbidden; empty: none is."""
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
            if self.fails and self.fails == urlsplit(request.target).path:
                return INTEGRATION
            if not self.troubles:
                return self._answer(request)
            trouble = self.troubles.pop(0)
            if trouble.is_done:
                self._answer(request)
            body = {"message": trouble.message} if trouble.body is None else trouble.body
            return (trouble.status, body, dict(trouble.headers)) if trouble.status else None

    def _answer(self, request: Request) -> Reply:
        if request.token not in self.accounts:
            return 401, {"message": "Bad credentials"}, {}
        parts = urlsplit(request.target)
        if self.renamed and parts.path.startswith("/repos/old/web/"):
            rest = request.target.removeprefix("/repos/old/web")
            status = 301 if request.method == "GET" else 307
            return status, {}, {"Location": f"{self.renamed}{rest}"}
        if parts.path.removeprefix("/api/v3") == "/user":
            return self._user(request)
        if parts.path in ("/graphql", "/api/graphql"):
            login, kind = self.accounts[request.token]
            name = f"{login}[bot]" if kind == "Bot" else login
            return github_replies.graphql(self.facts, request.body, name)
        found = _PLACE.fullmatch(parts.path.removeprefix("/api/v3"))
        if found is None or found[1] != self.repository:
            login = parts.path.rpartition("/users/")[2]
            return github_replies.user(self.facts, login)
        return self._of_repository(request, found[2], parse_qs(parts.query))

    def _of_repository(self, request: Request, path: str, query: Mapping[str, list[str]]) -> Reply:
        facts = self.facts
        replies: dict[re.Pattern[str], Callable[[str], Reply]] = {
            _COMMENTS: lambda issue: self._of_issue(request, int(issue), query),
            _COMMENT: lambda comment: self._of_comment(request, int(comment)),
            _ISSUE: lambda issue: github_replies.issue(facts, int(issue)),
            _PULL: lambda pull: github_replies.pull(facts, int(pull), request.body),
            _REVIEWERS: lambda pull: github_replies.reviewers(facts, int(pull), request.body),
            _COMPARE: lambda span: github_replies.compare(facts, span),
            _HERE: lambda _: github_replies.repository(facts),
            _RUN: lambda run: github_replies.run(facts, int(run)),
            _BRANCH: lambda name: github_replies.branch(facts, request.method, name),
            _PULLS: lambda _: self._of_pulls(request, query),
        }
        replies[_PERMISSION] = lambda login: github_replies.permission(facts, login)
        replies[_FILES] = lambda name: self._page(request, facts.members.get(name, []), query)
        for pattern, member in _MEMBERS:
            if pattern.fullmatch(path):
                found = facts.members.get(member, [])
                status, page, headers = self._page(request, found, query)
                return status, {"total_count": len(found), member: page}, headers
        matches = ((pattern.fullmatch(path), reply) for pattern, reply in replies.items())
        return next((reply(found[1]) for found, reply in matches if found), NOT_FOUND)

    def _of_pulls(self, request: Request, query: Mapping[str, list[str]]) -> Reply:
        if request.method == "POST":
            return github_replies.open_pull(self.facts, request.body)
        return self._page(request, github_replies.pulls(self.facts, query), query)

    def _user(self, request: Request) -> Reply:
        login, kind = self.accounts[request.token]
        if kind == "Bot":
            return INTEGRATION
        return 200, {"login": login, "type": kind}, {}

    def _of_issue(self, request: Request, issue: int, query: Mapping[str, list[str]]) -> Reply:
        status, known, headers = github_replies.issue(self.facts, issue)
        if status != HTTPStatus.OK:
            return status, known, headers
        if request.method == "POST":
            if known["locked"]:
                return 403, {"message": "Unable to create comment because issue is locked."}, {}
            if len(request.body["body"]) > MOST_CHARACTERS:
                errors = [{"message": "Body is too long (maximum is 65536 characters)"}]
                return 422, {"message": "Validation Failed", "errors": errors}, {}
            login, kind = self.accounts[request.token]
            self.add(request.body["body"], f"{login}[bot]" if kind == "Bot" else login, kind, issue)
            return 201, self.comments[-1], {}
        here = [each for each in self.comments if each["issue"] == issue]
        return self._page(request, here, query)

    def _page(
        self, request: Request, found: list[dict[str, Any]], query: Mapping[str, list[str]]
    ) -> Reply:
        """Reply with a page of a list; the address of the next one keeps what was asked."""
        size = min(self.page, int(query.get("per_page", ["30"])[0]))
        page = int(query.get("page", ["1"])[0])
        headers = {}
        if len(found) > page * size:
            path = urlsplit(request.target).path
            rest = {name: values for name, values in query.items() if name != "page"}
            asked = urlencode({**rest, "per_page": size, "page": page + 1}, doseq=True)
            first = f'<{self.url}{path}?page=1>; rel="first"'
            headers["Link"] = f'{first}, <{self.url}{path}?{asked}>; rel="next"'
        return 200, found[(page - 1) * size : page * size], headers

    def _of_comment(self, request: Request, number: int) -> Reply:
        known = next((each for each in self.comments if each["id"] == number), None)
        if known is None:
            return NOT_FOUND
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
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            account = self.headers.get("Proxy-Authorization", "")
            reply = running.reply(Request(self.command, self.path, token, body, account))
            if reply is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            status, content, headers = reply
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            data = b"" if content is None else data
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
