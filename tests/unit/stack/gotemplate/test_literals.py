"""Literals in templates: the expected values come from Go itself."""

from __future__ import annotations

import math

import pytest

from codexctl_tasks.stack.gotemplate.literals import (
    Number,
    parse_number,
    unquote,
    unquote_rune,
)

TEXTS = [
    ('""', ""),
    ('"plain é世"', "plain é世"),
    ('"\\a\\b\\f\\n\\r\\t\\v"', "\x07\x08\x0c\n\r\t\x0b"),
    ('"\\\\\\""', '\\"'),
    ('"it\'s"', "it's"),
    ('"\\x41\\101\\u0041\\U00000041"', "AAAA"),
    ('"\\u00e9\\U0001F600"', "\xe9\U0001f600"),
    ('"\\xe4\\xb8\\x96"', "世"),
    ('"\\xff\\377\\200"', "\udcff\udcff\udc80"),
    ('"\\000"', "\x00"),
    ('"a\tb\rc"', "a\tb\rc"),
    ('"\udcff"', "\ufffd"),
    ('`raw \\n "x" \'`', 'raw \\n "x" \''),
    ("`two\nlines`", "two\nlines"),
    ("`a\r\nb`", "a\nb"),
    ("``", ""),
    ("`\udcff`", "\udcff"),
]

BAD_TEXTS = [
    "",
    '"',
    '"a',
    'a"',
    '"a`',
    "'ab'",
    '"\\q"',
    '"\\\'"',
    '"\\x4"',
    '"\\400"',
    '"\\12"',
    '"\\ud800"',
    '"\\U00110000"',
    '"\\u12"',
    '"\n"',
    '"a"b"',
    '"\\"',
    '"a" ',
    "`a`b`",
    "`",
    '"\\',
]

RUNES = [
    ("'a'", 97),
    ("'é'", 233),
    ("'世'", 19990),
    ("'\U0001f600'", 128512),
    ("'\\n'", 10),
    ("'\\\\'", 92),
    ("'\\''", 39),
    ("'\"'", 34),
    ("'\\x41'", 65),
    ("'\\xff'", 255),
    ("'\\377'", 255),
    ("'\\u00e9'", 233),
    ("'\\U0001F600'", 128512),
    ("'\\000'", 0),
    ("'\udcff'", 65533),
]

BAD_RUNES = [
    "''",
    "'ab'",
    "'a",
    "a'",
    "'\\\"'",
    "'\\q'",
    "'\\400'",
    "'\\ud800'",
    "'",
    "'\n'",
    "'\\'",
    "'''",
]

NUMBERS = [
    ("0", 0, 0.0, False),
    ("7", 7, 7.0, False),
    ("-7", -7, -7.0, False),
    ("+7", 7, 7.0, False),
    ("007", 7, 7.0, False),
    ("017", 15, 15.0, False),
    ("0_17", 15, 15.0, False),
    ("0o17", 15, 15.0, False),
    ("0O17", 15, 15.0, False),
    ("-0o17", -15, -15.0, False),
    ("0x1F", 31, 31.0, False),
    ("0X1f", 31, 31.0, False),
    ("-0x1F", -31, -31.0, False),
    ("0x_1F", 31, 31.0, False),
    ("0x1E", 30, 30.0, False),
    ("+0x1e", 30, 30.0, True),
    ("-0x1E", -30, -30.0, True),
    ("0b101", 5, 5.0, False),
    ("0B1", 1, 1.0, False),
    ("1_000", 1000, 1000.0, False),
    ("1_000.5", None, 1000.5, True),
    ("9223372036854775807", 9223372036854775807, 9.223372036854776e18, False),
    ("9223372036854775808", None, 9.223372036854776e18, False),
    ("-9223372036854775808", -9223372036854775808, -9.223372036854776e18, False),
    ("18446744073709551615", None, 1.8446744073709552e19, False),
    ("0xFFFFFFFFFFFFFFFF", None, 1.8446744073709552e19, False),
    ("-0", 0, 0.0, False),
    ("-0.0", 0, -0.0, True),
    ("0.0", 0, 0.0, True),
    ("1.0", 1, 1.0, True),
    ("1.", 1, 1.0, True),
    (".5", None, 0.5, True),
    ("-.5", None, -0.5, True),
    ("1.5", None, 1.5, True),
    ("1e3", 1000, 1000.0, True),
    ("1E3", 1000, 1000.0, True),
    ("1e+3", 1000, 1000.0, True),
    ("1e-3", None, 0.001, True),
    ("1.5e3", 1500, 1500.0, True),
    ("1e18", 1000000000000000000, 1e18, True),
    ("1e19", None, 1e19, True),
    ("1e22", None, 1e22, True),
    ("1e308", None, 1e308, True),
    ("1e-400", 0, 0.0, True),
    ("0.1", None, 0.1, True),
    ("017.5", None, 17.5, True),
    ("08.5", None, 8.5, True),
    ("1_0e1_0", 100000000000, 100000000000.0, True),
    ("9007199254740993.0", 9007199254740992, 9007199254740992.0, True),
    ("0x1p4", 16, 16.0, True),
    ("0x1P-2", None, 0.25, True),
    ("0x1.8p1", 3, 3.0, True),
    ("0x.8p1", 1, 1.0, True),
    ("-0x1p63", -9223372036854775808, -9.223372036854776e18, True),
    ("0x1p63", None, 9.223372036854776e18, True),
    ("0x1p64", None, 1.8446744073709552e19, True),
    ("0x1p-1074", None, 5e-324, True),
    ("0x_1p4", 16, 16.0, True),
    ("1e0", 1, 1.0, True),
    ("123456789012345678901234567890.0", None, 1.2345678901234568e29, True),
    ("'a'", 97, 97.0, False),
    ("'e'", 101, 101.0, False),
]

BAD_NUMBERS = """
08 09 1__0 _1 1_ 0x 0x_ 0b 0b2 0o8 0xG 1e 1e+ 1.2.3 1_.5 1._5 1e_5 0x1.8 0x1p 0x1p_1 1p4
18446744073709551616 -9223372036854775809 99999999999999999999 0x1FFFFFFFFFFFFFFFF 1e309 -1e400
0x1p1024 1i 2.5i 1+2i -1-2i 0i 1x 12ab + - -+1 --1 1e5.5 00x1 1.5.
"""


@pytest.mark.parametrize(("literal", "expected"), TEXTS)
def test_texts(literal: str, expected: str) -> None:
    """Every escape of Go's means what it means there, also one that is not UTF-8."""
    assert unquote(literal) == expected


@pytest.mark.parametrize("literal", BAD_TEXTS)
def test_mistakes_in_texts(literal: str) -> None:
    """An escape that Go does not know is an error and not passed on as it is."""
    with pytest.raises(ValueError, match=r"quot|escape|code|line break"):
        unquote(literal)


@pytest.mark.parametrize(("literal", "expected"), RUNES)
def test_characters(literal: str, expected: int) -> None:
    """A character in single quotes is a number, as in Go."""
    assert unquote_rune(literal) == expected
    assert parse_number(literal) == Number(expected, float(expected), is_float=False)


@pytest.mark.parametrize("literal", BAD_RUNES)
def test_mistakes_in_characters(literal: str) -> None:
    """Exactly one character stands between single quotes."""
    with pytest.raises(ValueError, match=r"quot|escape|code"):
        unquote_rune(literal)


@pytest.mark.parametrize(("text", "int_value", "float_value", "is_float"), NUMBERS)
def test_numbers(text: str, int_value: int | None, float_value: float, is_float: bool) -> None:
    """A number is an int or a float by its spelling, and can stand for the other if it fits."""
    number = parse_number(text)
    assert number == Number(int_value, float_value, is_float=is_float)
    assert math.copysign(1, number.float_value) == math.copysign(1, float_value)


@pytest.mark.parametrize("text", BAD_NUMBERS.split())
def test_mistakes_in_numbers(text: str) -> None:
    """What Go takes for a mistake is one here, with a message that quotes it."""
    with pytest.raises(ValueError, match=r"number|underscore") as caught:
        parse_number(text)
    assert text in str(caught.value)
