"""Quote text and characters as Go's `strconv` does."""

from __future__ import annotations

import unicodedata
from typing import Final

from codexctl_tasks.stack.gotemplate.texts import character, is_escaped_byte

_ESCAPES: Final = {
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
}
_DELETE = "\x7f"
_LAST_OF_PLANE = 0xFFFF
_PRINTABLE_CATEGORIES = frozenset("LMNPS")


def is_printable(char: str) -> bool:
    """Say whether a character is a letter, mark, number, sign or the ASCII blank."""
    if char == " " or unicodedata.category(char)[0] in _PRINTABLE_CATEGORIES:
        return True
    return any(ord(char) in new for new in _UNICODE_15)


def quote(text: str, *, only_ascii: bool = False) -> str:
    """Write a text between double quotes; bytes that are not UTF-8 become escapes."""
    return '"' + "".join(_escape(char, '"', only_ascii=only_ascii) for char in text) + '"'


def quote_rune(code: int, *, only_ascii: bool = False) -> str:
    """Write a character between single quotes."""
    return f"'{_escape(character(code), chr(39), only_ascii=only_ascii)}'"


def can_backquote(text: str) -> bool:
    """Say whether a text can stand between backquotes as it is, on one line."""
    return all(
        (char >= " " or char == "\t")
        and char not in {"`", _DELETE, "\ufeff"}
        and not is_escaped_byte(char)
        for char in text
    )


def _escape(char: str, quotation_mark: str, *, only_ascii: bool) -> str:
    if char in {quotation_mark, "\\"}:
        return "\\" + char
    if is_printable(char) and (char.isascii() or not only_ascii):
        return char
    if char in _ESCAPES:
        return _ESCAPES[char]
    code = ord(char)
    if is_escaped_byte(char):
        return rf"\x{code & 0xFF:02x}"
    if char < " " or char == _DELETE:
        return rf"\x{code:02x}"
    return rf"\u{code:04x}" if code <= _LAST_OF_PLANE else rf"\U{code:08x}"


def _ranges(text: str) -> tuple[range, ...]:
    """Read ranges of code points; both ends of each belong to it."""
    bounds = (part.partition("-") for part in text.split())
    return tuple(range(int(first, 16), int(last or first, 16) + 1) for first, _, last in bounds)


# Go's tables are of Unicode 15.0, those of Python 3.11 of 14.0: this is what came in between.
# A newer Python knows characters that Go escapes until its tables are renewed.
_UNICODE_15: Final = _ranges(
    """
    CF3 ECE 10EFD-10EFF 1123F-11241 11B00-11B09 11F00-11F10 11F12-11F3A 11F3E-11F59 1342F
    13440-13455 1B132 1B155 1D2C0-1D2D3 1DF25-1DF2A 1E030-1E06D 1E08F 1E4D0-1E4F9 1F6DC
    1F774-1F776 1F77B-1F77F 1F7D9 1FA75-1FA77 1FA87-1FA88 1FAAD-1FAAF 1FABB-1FABD 1FABF
    1FACE-1FACF 1FADA-1FADB 1FAE8 1FAF7-1FAF8 2B739 31350-323AF
    """
)
