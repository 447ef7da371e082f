"""What the market's worker uses of pika, for anything that listens where RabbitMQ does."""

from __future__ import annotations

import signal
import socket
from types import SimpleNamespace
from urllib.parse import SplitResult, urlsplit

URLParameters = urlsplit
exceptions = SimpleNamespace(AMQPError=type("AMQPError", (Exception,), {}))


class BlockingConnection:
    """A connection, and its only channel."""

    def __init__(self, place: SplitResult) -> None:
        self._socket = socket.create_connection((place.hostname, place.port))

    def channel(self) -> BlockingConnection:
        """Return this."""
        return self

    def queue_declare(self, *_: object, **__: object) -> None:
        """Do nothing: no queue is ever filled."""

    basic_qos = basic_consume = queue_declare

    def start_consuming(self) -> None:
        """Wait until a signal ends the process."""
        signal.pause()
