"""The HTML of the shop: pure functions."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from api import Shelf

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 18px/1.5 system-ui, sans-serif; margin: 3em auto; max-width: 30em; padding: 0 1em }}
li {{ display: flex; justify-content: space-between; border-bottom: 1px solid #ddd }}
ul {{ padding: 0 }}
footer {{ color: #666; font-size: 80% }}
</style>
</head>
<body>
<h1>{title}</h1>
{content}
<footer>{footer}</footer>
</body>
</html>
"""


def shelf_page(title: str, currency: str, version: str, shelf: Shelf) -> str:
    """Return the page as it should be."""
    rows = (
        f"<li><span>{escape(product['name'])}</span> "
        f"<span>{escape(product['price'])} {escape(currency)}</span></li>\n"
        for product in shelf.products
    )
    times = "once" if shelf.visits == 1 else f"{shelf.visits} times"
    return _PAGE.format(
        title=escape(title),
        content=f"<ul>\n{''.join(rows)}</ul>\n<p>This page was seen {times}.</p>",
        footer=escape(f"web {version}, api {shelf.version}"),
    )


def closed_page(title: str, version: str, reason: str) -> str:
    """Return the page for when the API does not answer."""
    return _PAGE.format(
        title=escape(title),
        content="<p>The products cannot be shown right now. Please try again in a minute.</p>",
        footer=escape(f"web {version}, api not reached: {reason}"),
    )
