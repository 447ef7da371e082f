"""
A registry whose repository names say how it misbehaves.

==================================  ===========================================================
``status-401``                      answers every request with this status
``status-503-for-20``               the same, but only in the 20 s after the first request
``slow-40``                         sends the last piece of the image after 40 s
``fine``, and anything else         gives the image at once
==================================  ===========================================================

Every repository holds the sandbox's base image under every tag, with a configuration of its own, so
that each pull has something to fetch.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sandbox.configuration import HOSTS, render_hosts
from sandbox.registry import MANIFEST, Registry, digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

_PATH = re.compile(r"/v2/(?P<repository>.+)/(?P<part>manifests|blobs)/(?P<reference>[^?]+)(\?.*)?")
_STATUS = re.compile(r"status-(?P<status>\d{3})(-for-(?P<seconds>\d+))?")
_SLOW = re.compile(r"slow-(?P<seconds>\d+)")
_CODES = {401: "UNAUTHORIZED", 403: "DENIED", 404: "MANIFEST_UNKNOWN", 429: "TOOMANYREQUESTS"}


class FaultyRegistry:
    """The registry, known to the sandbox's node by the name `address` while it is entered."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """
        Listen on the host's end of the sandbox's cable.

        Args:
            environment: What ``python3 -m sandbox env`` prints.
        """
        self._server = ThreadingHTTPServer((environment["SANDBOX_HOST"], 0), _Handler)
        self._server.daemon_threads = True
        host, port = self._server.server_address[:2]
        self.address = f"localhost:{port}"
        self._folder = Path(environment["SANDBOX_REGISTRIES"]) / self.address
        self._url = f"http://{host}:{port}"
        images = _Images(environment["SANDBOX_REGISTRY"])
        self._server.images = images  # type: ignore[attr-defined]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._folder.mkdir()
        (self._folder / HOSTS).write_text(render_hosts(self._url))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._folder)
        self._server.shutdown()
        self._server.server_close()


class _Images:
    """What the repositories hold, and when each was asked for first."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._begun_s = time.monotonic()
        self._first_s: dict[str, float] = {}

    def age_s(self, repository: str) -> float:
        """Return the seconds since the first request for a repository."""
        now_s = time.monotonic()
        return now_s - self._first_s.setdefault(repository, now_s)

    def read(self, repository: str) -> tuple[bytes, bytes]:
        """Return manifest and configuration of the image."""
        with Registry(self._upstream) as registry:
            manifest: dict[str, Any] = registry.find_manifest("base", "1") or {}
            config = json.loads(registry.read_blob("base", manifest["config"]["digest"]))
        config["config"]["Labels"] = {"repository": f"{repository} at {self._begun_s}"}
        data = json.dumps(config).encode()
        manifest["config"] |= {"digest": digest_of(data), "size": len(data)}
        return json.dumps(manifest).encode(), data

    def read_layer(self, digest: str) -> bytes:
        """Return a layer of the base image; asked for only where the node lacks it."""
        with Registry(self._upstream) as registry:
            return registry.read_blob("base", digest)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer as the name of the repository says."""
        asked = _PATH.fullmatch(self.path)
        if asked is None:
            self._answer(HTTPStatus.OK, b"{}", "application/json")
            return
        images: _Images = self.server.images  # type: ignore[attr-defined]
        repository, age_s = asked["repository"], images.age_s(asked["repository"])
        refusal = _STATUS.match(repository)
        if refusal and age_s < float(refusal["seconds"] or "inf"):
            self._refuse(int(refusal["status"]))
            return
        manifest, config = images.read(repository)
        if asked["part"] == "manifests":
            self._answer(HTTPStatus.OK, manifest, MANIFEST)
        elif asked["reference"] == digest_of(config):
            if slow := _SLOW.match(repository):
                time.sleep(max(float(slow["seconds"]) - age_s, 0))
            self._answer(HTTPStatus.OK, config, "application/octet-stream")
        else:
            layer = images.read_layer(asked["reference"])
            self._answer(HTTPStatus.OK, layer, "application/octet-stream")

    do_HEAD = do_GET  # noqa: N815 - the base class's name

    def _refuse(self, status: int) -> None:
        code = _CODES.get(status, "UNKNOWN")
        error = {"code": code, "message": code.lower()}
        challenge = {"WWW-Authenticate": 'Basic realm="faulty"'} if status == 401 else {}
        self._answer(
            status, json.dumps({"errors": [error]}).encode(), "application/json", challenge
        )

    def _answer(
        self, status: int, body: bytes, kind: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if kind == MANIFEST:
            self.send_header("Docker-Content-Digest", digest_of(body))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing: what went wrong shows in the cluster."""
