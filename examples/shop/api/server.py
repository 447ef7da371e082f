"""
The shop's API.

``GET /products``, ``POST /visits``, and ``GET /ready``, which is 200 only while Redis answers and
the migration has run.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from store import Store, StoreError, open_store

if TYPE_CHECKING:
    from collections.abc import Callable

PORT = 8080
VERSION = os.environ.get("VERSION", "unknown")


class Api(ThreadingHTTPServer):
    """An HTTP server that finishes the requests it has, then ends."""

    daemon_threads = False

    def __init__(self, store: Store) -> None:
        super().__init__(("", PORT), Handler)
        self.store = store

    def stop(self, *_: object) -> None:
        """Stop listening; from a thread, since `shutdown` waits for the loop that calls us."""
        threading.Thread(target=self.shutdown).start()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Api
    timeout = 5
    """A client that sends nothing must not keep the server from ending."""

    def do_GET(self) -> None:
        """Answer with the products, or with whether the API works."""
        if self.path in ("/products", "/ready"):
            self._answer(lambda: {"version": VERSION, "products": self.server.store.products()})
        else:
            self._send(HTTPStatus.NOT_FOUND, {"error": f"no such page: {self.path}"})

    def do_POST(self) -> None:
        """Count a visit."""
        if self.path == "/visits":
            self._answer(lambda: {"visits": self.server.store.count_visit()})
        else:
            self._send(HTTPStatus.NOT_FOUND, {"error": f"no such page: {self.path}"})

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log what people ask; probes come every two seconds."""
        if self.path != "/ready":
            super().log_request(code, size)

    def _answer(self, ask: Callable[[], dict[str, Any]]) -> None:
        try:
            self._send(HTTPStatus.OK, ask())
        except StoreError as error:
            self.log_error("%s: %s", self.path, error)
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, {"error": str(error)})

    def _send(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve until SIGTERM."""
    api = Api(open_store())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, api.stop)
    print(f"api {VERSION}: listening on port {PORT}")
    api.serve_forever(poll_interval=0.1)
    api.server_close()
    print(f"api {VERSION}: stopped")


if __name__ == "__main__":
    main()
