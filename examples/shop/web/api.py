"""The web's view of the API."""

from __future__ import annotations

import http.client
import json
import os
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

TIMEOUT_S = 2.0
"""A visitor gets a page without products rather than none at all."""


class ApiError(Exception):
    """The API does not answer, or not as it should; the text says why."""


@dataclass(frozen=True)
class Shelf:
    """What the page shows of the shop."""

    version: str
    """Of the API."""
    products: list[dict[str, str]]
    visits: int


def read_shelf() -> Shelf:
    """Ask the API for the products and count this visit; raise `ApiError` if it cannot."""
    host = os.environ.get("API_HOST", "api")
    connection = http.client.HTTPConnection(host, 80, timeout=TIMEOUT_S)
    try:
        stock = _ask(connection, "GET", "/products")
        counted = _ask(connection, "POST", "/visits")
        return Shelf(stock["version"], stock["products"], counted["visits"])
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        raise ApiError(f"http://{host}: {error}") from error
    finally:
        connection.close()


def _ask(connection: http.client.HTTPConnection, method: str, path: str) -> dict[str, Any]:
    connection.request(method, path)
    answer = connection.getresponse()
    content = json.loads(answer.read())
    if answer.status != HTTPStatus.OK:
        raise ValueError(f"{path} answered {answer.status}: {content.get('error')}")
    return dict(content)
