"""Tell every seller what was ordered in the last day: by mail, or in the log without a server."""

from __future__ import annotations

import os
import smtplib
from email.message import EmailMessage
from pathlib import Path

import market

TEXTS = Path("/etc/digest")
ORDERED = """
    SELECT offers.seller, string_agg(offers.title, E'\n' ORDER BY orders.id)
    FROM orders JOIN offers ON offers.id = orders.offer
    WHERE orders.state = 'fulfilled' AND orders.made > now() - interval '1 day'
    GROUP BY offers.seller
"""


def compose(seller: str, titles: str) -> EmailMessage:
    """Write the mail to one seller."""
    mail = EmailMessage()
    mail["From"] = (TEXTS / "from").read_text(encoding="utf-8").strip()
    mail["To"] = seller
    mail["Subject"] = "What was ordered from you"
    mail.set_content((TEXTS / "greeting.txt").read_text(encoding="utf-8") + "\n" + titles)
    return mail


def main() -> None:
    """Write one mail to each seller who sold something."""
    log = market.set_up_log()
    with market.database() as connection:
        mails = [compose(*row) for row in connection.execute(ORDERED)]
    if host := os.environ.get("SMTP_HOST"):
        with smtplib.SMTP(host) as server:
            for mail in mails:
                server.send_message(mail)
    for mail in mails:
        log.info("%s: %d lines", mail["To"], len(mail.get_content().splitlines()))


if __name__ == "__main__":
    main()
