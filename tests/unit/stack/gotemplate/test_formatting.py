"""What templates show for a value: the expected texts come from Go itself."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from codexctl_tasks.stack.gotemplate.formatting import display, sprint, sprintln, type_name
from codexctl_tasks.stack.gotemplate.times import Time
from codexctl_tasks.stack.gotemplate.values import StringMap, Struct

MOMENT = Time(2026, 1, 2, 3, 4, 5, 123456)
JANUARY = MOMENT.Month()
FRIDAY = MOMENT.Weekday()
PERSON = Struct(Name="a", Age=3, Note=None)
INF = math.inf
NAN = math.nan

SHOWN: list[tuple[str, Any]] = [
    ("<nil>", None),
    ("true", True),
    ("false", False),
    ("0", 0),
    ("-7", -7),
    ("9223372036854775807", 9223372036854775807),
    ("text", "text"),
    ("", ""),
    ("1", 1.0),
    ("-0", -0.0),
    ("0.1", 0.1),
    ("1000", 1e3),
    ("100000", 100000.0),
    ("123456", 123456.0),
    ("1e+06", 1e6),
    ("1.234567e+06", 1234567.0),
    ("1e+20", 1e20),
    ("1e+21", 1e21),
    ("1e+22", 1e22),
    ("0.0001", 0.0001),
    ("1e-05", 0.00001),
    ("2.5e-07", 2.5e-7),
    ("5e-324", 5e-324),
    ("1.7976931348623157e+308", 1.7976931348623157e308),
    ("5.684341886080802e-14", 5.684341886080802e-14),
    ("+Inf", INF),
    ("-Inf", -INF),
    ("NaN", NAN),
    ("[]", []),
    ("[1 2.5 a b <nil> true]", [1, 2.5, "a b", None, True]),
    ("[a b c]", ["a", "b c"]),
    ("[a 1]", ("a", 1)),
    ("[[1 []] map[]]", [[1, []], {}]),
    ("map[]", {}),
    ("map[B:[1] a:x b:1 é:<nil>]", {"b": 1, "a": "x", "\u00e9": None, "B": [1]}),
    ("map[a: b:2]", StringMap(b="2", a="")),
    ("{}", Struct()),
    ("{a 3 <nil>}", PERSON),
    ("[{a 3 <nil>}]", [PERSON]),
    ("2026-01-02 03:04:05.123456 +0000 UTC", MOMENT),
    ("[2026-01-02 03:04:05.123456 +0000 UTC January]", [MOMENT, JANUARY]),
    ("map[m:January]", {"m": JANUARY}),
    ("January", JANUARY),
    ("Friday", FRIDAY),
]

TYPES: list[tuple[str, Any]] = [
    ("<nil>", None),
    ("bool", True),
    ("int", 1),
    ("float64", 1.5),
    ("string", "a"),
    ("time.Time", MOMENT),
    ("time.Month", JANUARY),
    ("time.Weekday", FRIDAY),
    ("map[string]interface {}", {}),
    ("map[string]interface {}", {"a": "b"}),
    ("map[string]string", StringMap()),
    ("[]string", []),
    ("[]string", ["a"]),
    ("[]interface {}", ["a", 1]),
    ("[]interface {}", [[]]),
    ("struct {}", Struct()),
    ("struct { Name string; Age int; Note interface {} }", PERSON),
]

SPRINT = [
    ("ab", "a", "b"),
    ("1 2", 1, 2),
    ("1a2", 1, "a", 2),
    ("a1 2b", "a", 1, 2, "b"),
    ("<nil> <nil>", None, None),
    ("true 1.5x[1]", True, 1.5, "x", [1]),
    ("January Fridayx", JANUARY, FRIDAY, "x"),
    ("map[] []", {}, []),
    ("12", "", 1, "", 2),
]


@pytest.mark.parametrize(("expected", "value"), SHOWN)
def test_values_are_shown_as_go_shows_them(expected: str, value: Any) -> None:
    """A manifest rendered here has the same bytes as one rendered by the Go tool."""
    assert display(value) == expected


@pytest.mark.parametrize(("expected", "value"), TYPES)
def test_types_have_the_names_that_go_gives_them(expected: str, value: Any) -> None:
    """A message about a wrong type uses the words of Go's own messages."""
    assert type_name(value) == expected


@pytest.mark.parametrize(("expected", "values"), [(line[0], line[1:]) for line in SPRINT])
def test_print_puts_blanks_only_between_values_that_are_no_text(
    expected: str, values: tuple[Any, ...]
) -> None:
    """`print "a" .Slot` builds a name without a blank in it, as before."""
    assert sprint(*values) == expected


def test_println_puts_blanks_everywhere() -> None:
    """`println` ends a line, and parts even texts by blanks."""
    assert sprintln("a", "b", 1, None) == "a b 1 <nil>\n"
    assert sprintln() == "\n"


def test_bytes_that_form_a_character_together_are_joined() -> None:
    """A character cut in two by `slice` is whole again when both halves are printed."""
    assert sprint("\udce2\udc82", "\udcac") == "\u20ac"
    assert display(["\udce2", "\udc82\udcac"]) == "[\udce2 \udc82\udcac]"


@pytest.mark.parametrize("value", [b"x", Decimal(1), {1}, datetime(2026, 1, 2, tzinfo=UTC)])
def test_a_value_that_templates_cannot_hold_is_refused(value: Any) -> None:
    """Nothing is printed in a form that Python made up."""
    with pytest.raises(TypeError, match="templates cannot hold"):
        display(value)
    with pytest.raises(TypeError, match="templates cannot hold"):
        display({"inside": [value]})
