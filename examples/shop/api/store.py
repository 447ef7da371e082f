"""What the shop keeps in Redis."""

from __future__ import annotations

import json
import os
from typing import Any

import redis  # type: ignore[import-not-found, unused-ignore]  # in the image

TIMEOUT_S = 1.0
"""Shorter than the readiness probe's, so that the probe gets an answer and not a silence."""


class StoreError(Exception):
    """Redis does not do what was asked; the text says why."""


class Store:
    """Products, which the migration writes, and the counter of visits."""

    def __init__(self, client: redis.Redis[str]) -> None:
        self._client = client

    def products(self) -> list[dict[str, Any]]:
        """Return the products in the order of the shelf."""
        try:
            entries = self._client.lrange("products", 0, -1)
        except redis.RedisError as error:
            raise StoreError(str(error)) from error
        if not entries:
            raise StoreError("no products: the migration has not run")
        return [json.loads(entry) for entry in entries]

    def count_visit(self) -> int:
        """Count one visit more and return how many there were."""
        try:
            return int(self._client.incr("visits"))
        except redis.RedisError as error:
            raise StoreError(str(error)) from error


def open_store() -> Store:
    """Return the store that the environment names; connects when it is first used."""
    return Store(
        redis.Redis(
            host=os.environ.get("REDIS_HOST", "redis"),
            password=os.environ.get("REDIS_PASSWORD"),
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            decode_responses=True,
        )
    )
