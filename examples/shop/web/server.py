"""
The shop's web server.

``GET /`` is the page, ``GET /health`` says that this process works. The health does not depend on
the API: a page that says what is missing is better than no page.
"""

from __future__ import annotations

import os
import signal
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from api import ApiError, read_shelf
from page import closed_page, shelf_page

PORT = 8080
VERSION = os.environ.get("VERSION", "unknown")
TITLE = os.environ.get("SHOP_TITLE", "The little shop")
CURRENCY = os.environ.get("SHOP_CURRENCY", "EUR")


class Web(ThreadingHTTPServer):
    """An HTTP server that finishes the requests it has, then ends."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("", PORT), Handler)

    def stop(self, *_: object) -> None:
        """Stop listening; from a thread, since `shutdown` waits for the loop that calls us."""
        threading.Thread(target=self.shutdown).start()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    timeout = 5
    """A client that sends nothing must not keep the server from ending."""

    def do_GET(self) -> None:
        """Answer with the page, or with the health of this process."""
        if self.path == "/health":
            self._send(HTTPStatus.OK, "fine\n", "text/plain")
        elif self.path == "/":
            self._send_page()
        else:
            self._send(HTTPStatus.NOT_FOUND, "no such page\n", "text/plain")

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log what people ask; probes come every two seconds."""
        if self.path != "/health":
            super().log_request(code, size)

    def _send_page(self) -> None:
        try:
            page = shelf_page(TITLE, CURRENCY, VERSION, read_shelf())
            status = HTTPStatus.OK
        except ApiError as error:
            self.log_error("%s", error)
            page = closed_page(TITLE, VERSION, str(error))
            status = HTTPStatus.SERVICE_UNAVAILABLE
        self._send(status, page, "text/html")

    def _send(self, status: HTTPStatus, text: str, content_type: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{content_type}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve until SIGTERM."""
    web = Web()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, web.stop)
    print(f"web {VERSION}: listening on port {PORT}")
    web.serve_forever(poll_interval=0.1)
    web.server_close()
    print(f"web {VERSION}: stopped")


if __name__ == "__main__":
    main()
