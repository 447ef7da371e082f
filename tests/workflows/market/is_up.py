#!/usr/bin/python3
"""What ``pg_isready`` and ``rabbitmq-diagnostics`` are asked: does the port answer?"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

PORTS = {"pg_isready": 5432, "rabbitmq-diagnostics": 5672}

if __name__ == "__main__":
    host = sys.argv[sys.argv.index("-h") + 1] if "-h" in sys.argv else "127.0.0.1"
    try:
        socket.create_connection((host, PORTS[Path(sys.argv[0]).name]), 2).close()
    except OSError as error:
        sys.exit(str(error))
