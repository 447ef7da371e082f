"""Fulfil orders, one after the other, until SIGTERM; with ``--wait`` only wait for the tables."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

import market

LOG = market.set_up_log()
PREFETCH = int(os.environ.get("PREFETCH", "1"))
HEARTBEAT = Path(os.environ.get("HEARTBEAT_FILE", "alive"))


def fulfil(order: int) -> None:
    """Take the ordered thing from the stock; an order that was fulfilled stays as it is."""
    with market.database() as connection:
        row = connection.execute(
            "SELECT offer FROM orders WHERE id = %s AND state = 'new' FOR UPDATE", (order,)
        ).fetchone()
        if row is None:
            LOG.info("order %d: nothing to do", order)
            return
        taken = connection.execute(
            "UPDATE offers SET stock = stock - 1 WHERE id = %s AND stock > 0", row
        ).rowcount
        state = "fulfilled" if taken else "sold-out"
        connection.execute("UPDATE orders SET state = %s WHERE id = %s", (state, order))
    market.cache().delete(market.CACHED_OFFERS)
    LOG.info("order %d: %s", order, state)


def handle(channel: Any, method: Any, _: Any, body: bytes) -> None:
    """Handle one message; it is gone from the queue only when the work is done."""
    fulfil(int(json.loads(body)["order"]))
    channel.basic_ack(method.delivery_tag)


def stop(*_: object) -> NoReturn:
    """End; what was not acknowledged goes to another worker."""
    sys.exit(0)


def main() -> None:
    """Work until SIGTERM."""
    if "--wait" in sys.argv:
        market.wait_for_tables(LOG)
        return
    signal.signal(signal.SIGTERM, stop)
    channel = market.queue().channel()
    channel.basic_qos(prefetch_count=PREFETCH)
    channel.basic_consume(market.QUEUE, handle)
    HEARTBEAT.touch()
    LOG.info("waiting for orders")
    channel.start_consuming()


if __name__ == "__main__":
    main()
