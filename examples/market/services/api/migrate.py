"""Create the tables; with ``--examples N`` offers to play with, with ``--wait`` only wait."""

from __future__ import annotations

import argparse

import market

TABLES = (
    """
    CREATE TABLE IF NOT EXISTS offers (
        id serial PRIMARY KEY,
        seller text NOT NULL,
        title text NOT NULL UNIQUE,
        cents integer NOT NULL CHECK (cents > 0),
        stock integer NOT NULL CHECK (stock >= 0)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS orders (
        id serial PRIMARY KEY,
        offer integer NOT NULL REFERENCES offers,
        state text NOT NULL DEFAULT 'new',
        made timestamptz NOT NULL DEFAULT now()
    )
    """,
)
EXAMPLE = """
    INSERT INTO offers (seller, title, cents, stock) VALUES (%s, %s, %s, %s)
    ON CONFLICT (title) DO NOTHING
"""


def migrate(examples: int) -> None:
    """Bring the database to what this version needs; running it again changes nothing."""
    with market.database() as connection:
        for table in TABLES:
            connection.execute(table)
        for number in range(1, examples + 1):
            seller = f"seller-{number % 5}@example.com"
            connection.execute(EXAMPLE, (seller, f"Thing {number}", 100 + number * 7, 50))


def main() -> None:
    """Migrate, or wait for somebody else to have done so."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=0)
    parser.add_argument("--wait", action="store_true")
    options = parser.parse_args()
    log = market.set_up_log()
    if options.wait:
        market.wait_for_tables(log)
    else:
        migrate(options.examples)
        log.info("the tables are there")


if __name__ == "__main__":
    main()
