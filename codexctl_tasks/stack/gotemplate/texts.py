"""
Go's strings are bytes that are usually UTF-8; here they are `str` with surrogate escapes.

A byte that is not part of valid UTF-8 is held as one lone surrogate, so counting the characters
of a text counts what Go calls runes.
"""

from __future__ import annotations

import re

#: What Go shows in the place of something that is no character.
REPLACEMENT = "\ufffd"
_LAST_RUNE = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)
_ESCAPED_BYTES = range(0xDC80, 0xDD00)
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")


def to_bytes(text: str) -> bytes:
    """Return the bytes that Go would hold."""
    return text.encode("utf-8", "surrogateescape")


def from_bytes(data: bytes) -> str:
    """Return the text that holds these bytes."""
    return data.decode("utf-8", "surrogateescape")


def normalized(text: str) -> str:
    """Join escaped bytes that form a character now that their texts stand side by side."""
    return from_bytes(to_bytes(text)) if _ESCAPED_BYTE.search(text) else text


def replace_invalid(text: str) -> str:
    """Return the text with a replacement character for each byte that is not UTF-8."""
    return _ESCAPED_BYTE.sub(REPLACEMENT, text)


def is_escaped_byte(char: str) -> bool:
    """Say whether a character stands for a byte that is not UTF-8."""
    return ord(char) in _ESCAPED_BYTES


def is_rune(code: int) -> bool:
    """Say whether a number is a code point that UTF-8 can hold."""
    return 0 <= code <= _LAST_RUNE and code not in _SURROGATES


def character(code: int) -> str:
    """Return the character of a code point, or the replacement character."""
    return chr(code) if is_rune(code) else REPLACEMENT
