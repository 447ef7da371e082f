"""
The shop's migration: brings the products in Redis to what this version ships.

Running it again changes nothing, so it may be repeated after a failure at any point.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import redis  # type: ignore[import-not-found, unused-ignore]  # in the image

PRODUCTS = Path(__file__).with_name("products.json")


def migrate(store: redis.Redis[str], products: list[dict[str, Any]]) -> None:
    """Write all products in one transaction: readers see the old list or the new one."""
    with store.pipeline(transaction=True) as transaction:
        transaction.delete("products")
        for product in products:
            transaction.rpush("products", json.dumps(product))
        transaction.execute()


def main() -> int:
    """Connect, migrate, say what was done."""
    host = os.environ.get("REDIS_HOST", "redis")
    store = redis.Redis(
        host=host,
        password=os.environ.get("REDIS_PASSWORD"),
        socket_timeout=5,
        socket_connect_timeout=5,
        decode_responses=True,
    )
    products = json.loads(PRODUCTS.read_text(encoding="utf-8"))
    try:
        migrate(store, products)
    except redis.RedisError as error:
        print(f"migrate: redis at {host}: {error}", file=sys.stderr)
        return 1
    print(f"migrate: {len(products)} products are in redis at {host}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
