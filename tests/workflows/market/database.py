"""What stands in for PostgreSQL: the statements of the market, and its password, on SQLite."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from typing import Any
from xmlrpc.server import SimpleXMLRPCServer

PORT = 5432
DIALECT = {
    "serial PRIMARY KEY": "integer PRIMARY KEY",
    "timestamptz": "text",
    "now()": "CURRENT_TIMESTAMP",
    "%s": "?",
}
TABLES = sqlite3.connect(":memory:", isolation_level=None)


def execute(password: str, sql: str, values: list[Any]) -> list[list[Any]]:
    """Run a statement and return its rows."""
    if password != os.environ["POSTGRES_PASSWORD"]:
        raise PermissionError("password authentication failed")
    for theirs, ours in DIALECT.items():
        sql = sql.replace(theirs, ours)
    return [list(row) for row in TABLES.execute(sql, values)]


if __name__ == "__main__":
    # The first process of a container is ended by no signal that it does not handle: a pod would
    # take its whole grace period to go.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    server = SimpleXMLRPCServer(("", PORT), logRequests=False, allow_none=True)
    server.register_function(execute)
    server.serve_forever()
