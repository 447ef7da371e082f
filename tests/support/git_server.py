"""
A git server on 127.0.0.1: git's own ``http-backend``, with tokens and protected branches.

Repositories are bare ones below a folder; ``OWNER/NAME.git`` is served at that path.
"""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_RULE = """#!/bin/sh
case "$1" in {protected}) echo "$1 is protected" >&2; exit 1;; esac
"""
IDENTITY = {
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "ann@example.com",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@example.com",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
}


def run_git(folder: Path, *words: str, given: bytes = b"", **variables: str) -> str:
    """Run git as a developer would; return what it prints."""
    done = subprocess.run(
        ["git", *words],
        cwd=folder,
        env={**os.environ, **IDENTITY, **variables},
        input=given,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode(errors="replace").strip()


def merge_base(repository: Path, branch: str, commit: str) -> str:
    """Return where two histories meet; empty: nowhere, or nobody knows the commit."""
    words = ("git", "merge-base", branch, commit)
    done = subprocess.run(words, cwd=repository, capture_output=True, text=True, check=False)
    return done.stdout.strip()


class GitServer:
    """Serves the repositories of a folder."""

    def __init__(self, root: Path) -> None:
        self.root, self.url = root, ""
        self.tokens = {"secret-token": True}
        """Who has one may read; True: write as well."""
        self.failures: list[int] = []
        """HTTP status of the next answers, instead of what they were."""
        self.requests: list[str] = []
        """Method and path with the query, of those that were let in."""

    def create(self, name: str, *flags: str) -> Path:
        """Make an empty repository; return its folder."""
        folder = self.root / f"{name}.git"
        folder.mkdir(parents=True)
        run_git(folder, "init", "--bare", "--quiet", "--initial-branch", "main", *flags)
        for key in ("http.receivepack", "uploadpack.allowAnySHA1InWant", "uploadpack.allowFilter"):
            run_git(folder, "config", key, "true")
        return folder

    def protect(self, name: str, branch: str) -> None:
        """Let nobody push to a branch."""
        hook = self.root / f"{name}.git" / "hooks" / "update"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(_RULE.format(protected=f"refs/heads/{branch}"))
        hook.chmod(0o755)

    def tip(self, name: str, branch: str) -> str:
        """Return the commit of a branch; empty: there is none."""
        folder = self.root / f"{name}.git"
        return run_git(folder, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")

    def branches(self, name: str) -> list[str]:
        """Return the names of all branches."""
        folder = self.root / f"{name}.git"
        return run_git(folder, "for-each-ref", "--format=%(refname:short)", "refs/heads").split()

    def refusal(self, header: str, target: str) -> int:
        """Return the HTTP status for a request that is not let in; 0: it is."""
        if self.failures:
            return self.failures.pop(0)
        given = base64.b64decode(header.removeprefix("Basic ") or b"").decode()
        token = given.partition(":")[2]
        if token not in self.tokens:
            return 401
        return 0 if self.tokens[token] or "git-receive-pack" not in target else 403

    def answer(
        self, method: str, target: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Return status, headers and body of an answer of git's own program."""
        parts = urlsplit(target)
        done = subprocess.run(
            ["git", "http-backend"],
            env={
                **os.environ,
                **IDENTITY,
                "GIT_PROJECT_ROOT": str(self.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_PROTOCOL": headers.get("Git-Protocol") or "",
                "HTTP_CONTENT_ENCODING": headers.get("Content-Encoding") or "",
                "CONTENT_TYPE": headers.get("Content-Type") or "",
                "CONTENT_LENGTH": str(len(body)),
                "REQUEST_METHOD": method,
                "PATH_INFO": parts.path,
                "QUERY_STRING": parts.query,
                "REMOTE_USER": "somebody",
                "REMOTE_ADDR": "127.0.0.1",
            },
            input=body,
            capture_output=True,
            check=False,
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        pairs = [line.partition(": ")[::2] for line in head.decode().split("\r\n")]
        status = next((int(value.split()[0]) for name, value in pairs if name == "Status"), 200)
        return status, [pair for pair in pairs if pair[0] != "Status"], content


@contextmanager
def git_server(root: Path) -> Iterator[GitServer]:
    """Run a server in threads."""
    running = GitServer(root)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            body = self._body()
            if status := running.refusal(self.headers.get("Authorization") or "", self.path):
                asks = [("WWW-Authenticate", 'Basic realm="git"')] if status == 401 else []
                self._send(status, asks, b"no")
                return
            running.requests.append(f"{self.command} {self.path}")
            self._send(*running.answer(self.command, self.path, body, self.headers))

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)

        def _send(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response_only(status)
            for name, value in (*headers, ("Content-Length", str(len(content)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _serve  # noqa: N815 - names of the base class

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    running.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
