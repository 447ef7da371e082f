"""
Words that make GitHub do something, wherever somebody writes them (pure).

In the text of a pull request and in messages of commits some words close Issues as soon as it is
merged, and others let no checks run. Here they are found in any spelling that is read like them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

JOINER = "\u200d"
"""Is not seen; a word that it follows is no such word any more."""
_STYLE = r"[*_~`]*"
_CLOSING = ("close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "resolved")
_WORD = "|".join(_STYLE.join(word) for word in reversed(_CLOSING))
_NUMBER = r"(?:[\w.-]{1,100}(?:/[\w.-]{1,100})?)?\\?#\d+|gh\\?-\d+|https?\\?:\S{0,300}"
_CLOSES = re.compile(rf"(?<![^\W_])({_WORD})(?![^\W_])(?=[\W_]+({_NUMBER})|\W+\[)", re.IGNORECASE)
_OF_ISSUE = re.compile(r"https?\\?:.*/(?:issues|pull)/\d", re.IGNORECASE)
_SKIPS = re.compile(
    r"\[(?:skip\s+ci|ci\s+skip|no\s+ci|skip\s+actions|actions\s+skip)\]"
    r"|^[ \t]*skip-checks\s*:\s*true\b",
    re.IGNORECASE | re.MULTILINE,
)


def without_orders(text: str) -> str:
    """Return a text in which nothing closes an Issue or skips checks; it looks the same."""
    text = _SKIPS.sub(lambda found: f"{found[0][:-1]}{JOINER}{found[0][-1]}", text)
    return _CLOSES.sub(rf"\1{JOINER}", text)


def skips_of(text: str) -> Iterator[str]:
    """Yield the orders to run no checks."""
    for found in _SKIPS.finditer(text):
        yield " ".join(found[0].split())


def closed_by(text: str) -> Iterator[str]:
    """Yield what a text closes, as it names it: ``#5``, ``owner/name#5``, ``GH-5``, an address."""
    for found in _CLOSES.finditer(text):
        number = found[2] or ""
        if number and (not number.lower().startswith("http") or _OF_ISSUE.match(number)):
            yield number
