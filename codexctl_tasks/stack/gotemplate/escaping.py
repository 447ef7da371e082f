"""Escape text as the functions `html`, `js` and `urlquery` of Go's `text/template` do."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote_plus

from codexctl_tasks.stack.gotemplate.quoting import is_printable
from codexctl_tasks.stack.gotemplate.texts import is_escaped_byte, to_bytes

_HTML: Final = str.maketrans(
    {"\0": "\ufffd", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"}
)
_JS_BACKSLASHED = frozenset("\\'\"")
_JS_SPECIAL = re.compile(r"[\\'\"<>&=\x00-\x1f]|[^\x00-\x7f]")


def escape_html(text: str) -> str:
    """Escape what HTML would take for markup."""
    return text.translate(_HTML)


def escape_js(text: str) -> str:
    """Escape what would end a string of JavaScript, and what cannot be seen."""
    return _JS_SPECIAL.sub(lambda found: _escape_js(found[0]), text)


def escape_query(text: str) -> str:
    """Escape text for the query of a URL; a blank becomes a plus."""
    return quote_plus(to_bytes(text))


def _escape_js(char: str) -> str:
    if char in _JS_BACKSLASHED:
        return "\\" + char
    if not char.isascii() and (is_printable(char) or is_escaped_byte(char)):
        return char
    return rf"\u{ord(char):04X}"
