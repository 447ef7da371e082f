"""The literals of Go's templates: quoted text, characters and numbers."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

from codexctl_tasks.stack.gotemplate.texts import (
    from_bytes,
    is_rune,
    replace_invalid,
    to_bytes,
)

_INT64 = range(-(1 << 63), 1 << 63)
_UINT64 = range(1 << 64)
_LAST_BYTE = 0xFF
_LETTERS: Final = {
    "a": 7,
    "b": 8,
    "t": 9,
    "n": 10,
    "v": 11,
    "f": 12,
    "r": 13,
    "\\": ord("\\"),
}
_CHARACTER = re.compile(
    r"""
      \\(?P<letter>[abtnvfr\\'"])
    | \\x(?P<byte>[0-9A-Fa-f]{2})
    | \\(?P<octal>[0-7]{3})
    | \\(?:u(?P<short>[0-9A-Fa-f]{4})|U(?P<long>[0-9A-Fa-f]{8}))
    | (?P<plain>[^\\])
    """,
    re.VERBOSE | re.DOTALL,
)
_PREFIXED = re.compile(r"[+-]?0[bBoOxX]")
_INTEGERS: Final = tuple(
    (re.compile(pattern), base)
    for pattern, base in (
        (r"([+-]?)0[bB]([01]+)", 2),
        (r"([+-]?)0[oO]([0-7]+)", 8),
        (r"([+-]?)0[xX]([0-9a-fA-F]+)", 16),
        (r"([+-]?)(0[0-7]*)", 8),
        (r"([+-]?)([1-9][0-9]*)", 10),
    )
)
_DECIMAL_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_HEX_FLOAT = re.compile(r"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+")


@dataclass(frozen=True)
class Number:
    """A constant, as every type that can hold it; what it becomes depends on where it stands."""

    #: As an int of 64 bits; also set for a float without a fraction, such as 1e3.
    int_value: int | None
    float_value: float
    #: Where no type is asked for, it is a float; if it is not, and there is no int, it overflows.
    is_float: bool


def unquote(text: str) -> str:
    """
    Return the text that a literal in double quotes or backquotes stands for.

    Raises:
        ValueError: The quotes do not match, or an escape is not one of Go's.
    """
    quotation_mark, inside = text[:1], text[1:-1]
    if len(text) < len('""') or quotation_mark not in {'"', "`"} or text[-1] != quotation_mark:
        raise ValueError(f"a text must stand between double quotes or backquotes: {text}")
    if quotation_mark == "`":
        if "`" in inside:
            raise ValueError(f"a backquote cannot stand between backquotes: {text}")
        return inside.replace("\r", "")
    data = b""
    at = 0
    while at < len(inside):
        if inside[at] == "\n":
            raise ValueError(f"a line break cannot stand between double quotes: {text}")
        piece, at = _read_character(inside, at, quotation_mark)
        data += piece if isinstance(piece, bytes) else to_bytes(chr(piece))
    return from_bytes(data)


def unquote_rune(text: str) -> int:
    """
    Return the code point that a character in single quotes stands for.

    Raises:
        ValueError: There is not exactly one character, or an escape is not one of Go's.
    """
    quotation_mark, inside = text[:1], text[1:]
    if quotation_mark != "'" or inside[:1] in {"", "'", "\n"}:
        raise ValueError(f"a character must stand between single quotes: {text}")
    piece, at = _read_character(inside, 0, quotation_mark)
    if inside[at:] != "'":
        raise ValueError(f"only one character can stand between single quotes: {text}")
    return piece[0] if isinstance(piece, bytes) else piece


def parse_number(text: str) -> Number:
    """
    Read a number or a character as the parser of `text/template` does.

    Raises:
        ValueError: It is none, is too large, or is imaginary, which templates here do not support.
    """
    if text.startswith("'"):
        code = unquote_rune(text)
        return Number(code, float(code), is_float=False)
    if text.endswith("i"):
        raise ValueError(f"imaginary numbers are not supported: {text}")
    digits = _without_underscores(text)
    for pattern, base in _INTEGERS:
        if found := pattern.fullmatch(digits):
            return _integer(text, found[1], int(found[2], base))
    return _float(text, digits)


def _read_character(text: str, at: int, quotation_mark: str) -> tuple[int | bytes, int]:
    """Read a character or an escape; return its code point or byte, and where the text goes on."""
    found = _CHARACTER.match(text, at)
    if not found or found["plain"] == quotation_mark:
        raise ValueError(f"unknown escape or stray quotation mark: {text[at:]}")
    return _value(found, quotation_mark), found.end()


def _value(found: re.Match[str], quotation_mark: str) -> int | bytes:
    if plain := found["plain"]:
        return ord(replace_invalid(plain))
    if letter := found["letter"]:
        # The other kind of quotation mark needs no escape, and Go allows none.
        if letter in "'\"" and letter != quotation_mark:
            raise ValueError(f"unknown escape: {found[0]}")
        return _LETTERS.get(letter, ord(letter))
    if unicode := found["short"] or found["long"]:
        code = int(unicode, 16)
        if not is_rune(code):
            raise ValueError(f"no character has this code: {found[0]}")
        return code
    code = int(found["byte"], 16) if found["byte"] else int(found["octal"], 8)
    if code > _LAST_BYTE:
        raise ValueError(f"an octal escape must be at most \\377: {found[0]}")
    return bytes([code])


def _without_underscores(text: str) -> str:
    """Leave the underscores out, each of which must stand between digits or after a prefix."""
    # A prefix counts as a digit here, and the letters after that of hexadecimal numbers do.
    bare = text.lstrip("+-").lower()
    digit = "[0-9a-f]" if bare.startswith("0x") else "[0-9]"
    bare = re.sub("^0[box]", "0", bare)
    if re.search(f"_(?!{digit})|(?<!{digit})_", bare):
        raise ValueError(f"an underscore must stand between digits: {text}")
    return text.replace("_", "")


def _integer(text: str, sign: str, magnitude: int) -> Number:
    value = -magnitude if sign == "-" else magnitude
    if value in _INT64:
        return Number(value, float(value), is_float=_looks_like_float(text))
    # Go knows unsigned numbers too, but never chooses one by itself; a sign they cannot have.
    if not sign and value in _UINT64:
        return Number(None, float(value), is_float=_looks_like_float(text))
    raise ValueError(f"the number does not fit into 64 bits: {text}")


def _looks_like_float(text: str) -> bool:
    """Say whether Go takes a number for a float, which is so for a signed 0x1E by mistake."""
    hex_int = text[:2] in {"0x", "0X"} and not set(text) & set("pP")
    return not hex_int and bool(set(text) & set(".eEpP"))


def _float(text: str, digits: str) -> Number:
    value = _float_value(digits)
    if value is None or not _looks_like_float(text):
        raise ValueError(f"this is no number: {text}")
    if math.isinf(value):
        raise ValueError(f"the number is too large for a float: {text}")
    is_int = value.is_integer() and int(value) in _INT64
    return Number(int(value) if is_int else None, value, is_float=True)


def _float_value(digits: str) -> float | None:
    if _DECIMAL_FLOAT.fullmatch(digits):
        return float(digits)
    if _HEX_FLOAT.fullmatch(digits):
        try:
            return float.fromhex(digits)
        except OverflowError:
            return math.inf
    return None
