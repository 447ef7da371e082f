"""What stands in for RabbitMQ: it listens where that does, and goes when it is told to."""

from __future__ import annotations

import signal
import sys
from http.server import HTTPServer, SimpleHTTPRequestHandler

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # the first process is not ended otherwise
    HTTPServer(("", 5672), SimpleHTTPRequestHandler).serve_forever()
