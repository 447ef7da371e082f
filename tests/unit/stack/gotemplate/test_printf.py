"""The format strings of `printf`: the expected texts come from Go itself."""

from __future__ import annotations

from typing import Any

import pytest

from codexctl_tasks.stack.gotemplate.formatting import sprintf
from codexctl_tasks.stack.gotemplate.times import CalendarMonth

JANUARY = CalendarMonth(1)

FORMS = [
    ("", ""),
    ("plain", "plain"),
    ("100%", "100%%"),
    ("%|", "%5%|"),
    ("%!(NOVERB)", "%"),
    ("a%!(NOVERB)", "a%"),
    ("%!(NOVERB)", "%5"),
    ("%!(NOVERB)", "%-"),
    ("%!.(int=1)", "%.", 1),
    ("%!d(MISSING)", "%d"),
    ("1 %!d(MISSING)", "%d %d", 1),
    ("1%!(EXTRA int=2)", "%d", 1, 2),
    (
        "1%!(EXTRA <nil>, string=a, []interface {}=[1], time.Month=January)",
        "%d",
        1,
        None,
        "a",
        [1],
        JANUARY,
    ),
    ("x%!(EXTRA int=1)", "x", 1),
    ("%!!(int=1)", "%!", 1),
    ("%!z(int=1)", "%z", 1),
    (" 1|+2", "% d|%+d", 1, 2),
    ("7 7", "%[1]d %[1]d", 7),
    ("2 1", "%[2]d %[1]d", 1, 2),
    ("b", "%[2]s", "a", "b"),
    ("2 3", "%[2]d %d", 1, 2, 3),
    ("%!d(BADINDEX)", "%[3]d", 1, 2),
    ("%!d(BADINDEX)", "%[0]d", 1),
    ("%!d(BADINDEX)", "%[-1]d", 1),
    ("%!d(BADINDEX)", "%[x]d", 1),
    ("%!d(BADINDEX)", "%[]d", 1),
    ("%!d(BADINDEX)", "%[1d", 1),
    ("%!(NOVERB)", "%[", 1),
    ("%!(NOVERB)", "%[1]", 1),
    ("%!d(BADINDEX)", "%[1]2d", 7),
    ("%!d(BADINDEX)", "%[1].2d", 7),
    ("7", "%.[1]d", 7),
    ("%!d(BADINDEX)", "%[99999999999]d", 1),
    ("%!d(BADINDEX) 1", "%[5]d %d", 1),
    ("   42", "%*d", 5, 42),
    ("42   |", "%-*d|", 5, 42),
    ("42   |", "%*d|", -5, 42),
    ("42   |", "%0*d|", -5, 42),
    ("3.14", "%.*f", 2, 3.14159),
    ("    3.14", "%*.*f", 8, 2, 3.14159),
    (" 12.00", "%[3]*.[2]*[1]f", 12.0, 2, 6),
    ("    2", "%[2]*[1]d", 2, 5),
    ("%!(BADWIDTH)42", "%*d", "a", 42),
    ("%!(BADWIDTH)42", "%*d", True, 42),
    ("%!(BADWIDTH)42", "%*d", 2000000, 42),
    ("%!(BADWIDTH)%!d(MISSING)", "%*d"),
    ("%!(BADPREC)42", "%.*d", "a", 42),
    ("%!(BADPREC)42", "%.*d", -1, 42),
    ("%!(BADPREC)42", "%.*d", 1.0, 42),
    ("%!(BADPREC)%!d(MISSING)", "%.*d"),
    ("%!(NOVERB)%!(EXTRA int=1)", "%99999999d", 1),
    ("%!(NOVERB)%!(EXTRA int=1)", "%.99999999d", 1),
    ("  001|002  |", "%5.3d|%-5.3d|", 1, 2),
    ("éx世", "é%s世", "x"),
    ("\udcffx", "\udcff%s", "x"),
    ("\u20ac", "%s%s", "\udce2", "\udc82\udcac"),
    ("5         |", "%-010d|", 5),
    ("+5    |", "%+-6d|", 5),
    ("a b 3", "%s %v %d", "a", "b", 3),
]


@pytest.mark.parametrize(
    ("expected", "form", "values"), [(line[0], line[1], line[2:]) for line in FORMS]
)
def test_format_strings_and_mistakes_in_them(
    expected: str, form: str, values: tuple[Any, ...]
) -> None:
    """A mistake shows in the output, word for word as with the Go tool."""
    assert sprintf(form, *values) == expected


def test_a_width_of_seven_digits_is_the_greatest() -> None:
    """A width that Go accepts is not refused, however odd."""
    assert len(sprintf("%1000000d", 1)) == 1_000_000
    assert sprintf("%10000000009d", 1) == "%!(NOVERB)%!(EXTRA int=1)"
