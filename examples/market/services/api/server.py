"""
The API of the market.

``GET /api/offers``, ``POST /api/orders`` with ``{"offer": 1}``, and ``GET /ready``, which is 200
only while the database answers.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import market
import pika  # type: ignore[import-not-found, unused-ignore]  # in the image
import psycopg  # type: ignore[import-not-found, unused-ignore]
import redis  # type: ignore[import-not-found, unused-ignore]

if TYPE_CHECKING:
    from collections.abc import Callable

LOG = market.set_up_log()
PORT = int(os.environ.get("PORT", "8080"))
SHOW_ERRORS = os.environ.get("SHOW_ERRORS") == "yes"
CACHED_S = 30


def offers() -> list[dict[str, Any]]:
    """Return what can be bought, from the cache if it has it."""
    cache = market.cache()
    try:
        if known := cache.get(market.CACHED_OFFERS):
            return list(json.loads(known))
    except redis.RedisError as error:
        LOG.warning("cache: %s", error)
    with market.database() as connection:
        rows = connection.execute(
            "SELECT id, title, cents, stock FROM offers WHERE stock > 0 ORDER BY title"
        ).fetchall()
    found = [dict(zip(("id", "title", "cents", "stock"), row, strict=True)) for row in rows]
    try:
        cache.set(market.CACHED_OFFERS, json.dumps(found), ex=CACHED_S)
    except redis.RedisError as error:
        LOG.warning("cache: %s", error)
    return found


def order(offer: int) -> dict[str, Any]:
    """Note an order and tell the worker."""
    with market.database() as connection:
        row = connection.execute(
            "INSERT INTO orders (offer) VALUES (%s) RETURNING id", (offer,)
        ).fetchone()
        number = int(row[0])
        connection.commit()
    market.publish(number)
    return {"order": number}


class Handler(BaseHTTPRequestHandler):
    """One request."""

    timeout = 5

    def do_GET(self) -> None:
        """Answer with the offers, or with whether the API works."""
        if self.path in ("/api/offers", "/ready"):
            self._answer(lambda: {"offers": offers()})
        else:
            self._send(HTTPStatus.NOT_FOUND, {"error": "no such page"})

    def do_POST(self) -> None:
        """Take an order."""
        if self.path != "/api/orders":
            self._send(HTTPStatus.NOT_FOUND, {"error": "no such page"})
            return
        try:
            offer = int(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["offer"])
        except (TypeError, ValueError, KeyError):
            self._send(HTTPStatus.BAD_REQUEST, {"error": 'expected {"offer": NUMBER}'})
            return
        self._answer(lambda: order(offer))

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log what people ask; probes come every few seconds."""
        if self.path != "/ready":
            super().log_request(code, size)

    def _answer(self, ask: Callable[[], dict[str, Any]]) -> None:
        try:
            self._send(HTTPStatus.OK, ask())
        except psycopg.errors.ForeignKeyViolation:
            self._send(HTTPStatus.NOT_FOUND, {"error": "no such offer"})
        except (psycopg.Error, pika.exceptions.AMQPError, OSError) as error:
            LOG.exception("%s", self.path)
            reason = str(error) or type(error).__name__
            text = reason if SHOW_ERRORS else "try again in a minute"
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, {"error": text})

    def _send(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve until SIGTERM."""
    server = ThreadingHTTPServer(("", PORT), Handler)
    server.daemon_threads = False  # the requests that it has are answered before it ends
    stop = threading.Thread(target=server.shutdown)
    signal.signal(signal.SIGTERM, lambda *_: stop.start())
    LOG.info("listening on port %d", PORT)
    server.serve_forever(poll_interval=0.1)
    server.server_close()


if __name__ == "__main__":
    main()
