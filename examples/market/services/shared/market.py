"""What API, worker and migration share: how they reach the database, the cache and the queue."""

from __future__ import annotations

import json
import logging
import os
import time
from typing import Any

import pika  # type: ignore[import-not-found, unused-ignore]  # in the image
import psycopg  # type: ignore[import-not-found, unused-ignore]
import redis  # type: ignore[import-not-found, unused-ignore]

QUEUE = "orders"
CACHED_OFFERS = "offers"
PAUSE_S = 2.0


def set_up_log() -> logging.Logger:
    """Return the log of this program, at the level that the stack asks for."""
    level = os.environ.get("MARKET_LOG_LEVEL", "info").upper()
    logging.basicConfig(level=level, format="%(levelname)s %(message)s")
    logging.getLogger("pika").setLevel(logging.WARNING)
    return logging.getLogger("market")


def database() -> psycopg.Connection[Any]:
    """Connect to PostgreSQL."""
    return psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=3)


def cache() -> redis.Redis[str]:
    """Return the cache; it connects when it is first used."""
    url = os.environ["REDIS_URL"]
    return redis.Redis.from_url(url, socket_timeout=1, decode_responses=True)


def queue() -> pika.BlockingConnection:
    """Connect to RabbitMQ and make sure that the queue is there."""
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
    connection.channel().queue_declare(QUEUE, durable=True)
    return connection


def publish(order: int) -> None:
    """Tell the worker of an order."""
    connection = queue()
    try:
        body = json.dumps({"order": order}).encode()
        kept = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
        connection.channel().basic_publish("", QUEUE, body, kept)
    finally:
        connection.close()


def wait_for_tables(log: logging.Logger) -> None:
    """Return when the migration has run."""
    while True:
        try:
            with database() as connection:
                connection.execute("SELECT 1 FROM orders LIMIT 1")
        except psycopg.Error as error:
            log.info("no tables yet: %s", str(error).splitlines()[0])
            time.sleep(PAUSE_S)
        else:
            return
