"""What the market uses of psycopg, for ``database.py``."""

from __future__ import annotations

from http.client import HTTPException
from types import SimpleNamespace
from typing import Any, Self
from urllib.parse import unquote, urlsplit
from xmlrpc.client import Error as RemoteError
from xmlrpc.client import ServerProxy


class Error(Exception):
    """The statement, or the way to the database, has failed."""


errors = SimpleNamespace(ForeignKeyViolation=type("ForeignKeyViolation", (Error,), {}))


class Rows(list[Any]):
    """What a statement returns."""

    def fetchall(self) -> list[Any]:
        """Return all rows."""
        return self


class Connection:
    """A way to the database."""

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        self._password = unquote(place.password or "")
        self._server = ServerProxy(f"http://{place.hostname}:{place.port}", allow_none=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Keep what was done: every statement is a transaction of its own."""

    def execute(self, sql: str, values: tuple[Any, ...] = ()) -> Rows:
        """Run a statement."""
        try:
            return Rows(self._server.execute(self._password, sql, list(values)))
        except (OSError, HTTPException, RemoteError) as error:
            raise Error(str(error)) from error


def connect(url: str, **_: object) -> Connection:
    """Connect, as soon as there is a statement."""
    return Connection(url)
