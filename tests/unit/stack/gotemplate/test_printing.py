"""The verbs of `printf` for lists, maps and times: the expected texts come from Go itself."""

from __future__ import annotations

from typing import Any

import pytest

from codexctl_tasks.stack.gotemplate.formatting import sprintf
from codexctl_tasks.stack.gotemplate.times import Time
from codexctl_tasks.stack.gotemplate.values import StringMap, Struct

MOMENT = Time(2026, 1, 2, 3, 4, 5, 123456)
JANUARY = MOMENT.Month()
FRIDAY = MOMENT.Weekday()
PERSON = Struct(Name="a", Age=3, Note=None)

COMPOSITES = [
    ("[a b]", "%v", ["a", "b"]),
    ("[a b]", "%s", ["a", "b"]),
    ('["a" "b c"]', "%q", ["a", "b c"]),
    ("[61 62]", "%x", ["a", "b"]),
    ("[1 2]", "%d", [1, 2]),
    ("[001 002]", "%03d", [1, 2]),
    ("[    a     1]", "%5v", ["a", 1]),
    ("[1.2 2.0]", "%.1f", [1.25, 2.0]),
    ("[%!d(string=a)]", "%d", ["a"]),
    ("[%!d(string=a) 1 <nil>]", "%d", ["a", 1, None]),
    ("[%!s(int=1) a <nil> %!s(bool=true)]", "%s", [1, "a", None, True]),
    ("map[%!d(string=a):1]", "%d", {"a": 1}),
    ("map[61:1]", "%x", {"a": 1}),
    ('map["a":<nil> "b":"x"]', "%q", {"b": "x", "a": None}),
    ("map[a:map[] b:map[c:[]]]", "%v", {"b": {"c": []}, "a": StringMap()}),
    ("map[a:1 b:2]", "%s", StringMap(b="2", a="1")),
    ("{Name:a Age:3 Note:<nil>}", "%+v", PERSON),
    ("{a 3 <nil>}", "%v", PERSON),
    ("{%!d(string=a) 3 <nil>}", "%d", PERSON),
    ("{a %!s(int=3) <nil>}", "%s", PERSON),
    (
        (
            'struct { Name string; Age int; Note interface {} }{Name:"a", Age:3, '
            "Note:interface {}(nil)}"
        ),
        "%#v",
        PERSON,
    ),
    ("struct {}{}", "%#v", Struct()),
    ("[]string{}", "%#v", []),
    ('[]string{"a", "b"}', "%#v", ["a", "b"]),
    ('[]interface {}{1, "a", interface {}(nil), 1, true}', "%#v", [1, "a", None, 1.0, True]),
    ("map[string]interface {}{}", "%#v", {}),
    ('map[string]interface {}{"a":"x", "b":1}', "%#v", {"b": 1, "a": "x"}),
    ('map[string]string{"a":"1"}', "%#v", StringMap(a="1")),
    (
        (
            'map[string]interface {}{"a":[]interface {}{struct { Name string; Age '
            'int; Note interface {} }{Name:"a", Age:3, Note:interface {}(nil)}}}'
        ),
        "%#v",
        {"a": [PERSON]},
    ),
    ("map[a:[{Name:a Age:3 Note:<nil>}]]", "%+v", {"a": [PERSON]}),
    ("map[a:[1]]", "%+v", {"a": [1]}),
    ("[%!z(int=1) %!z(string=a)]", "%z", [1, "a"]),
    ("%!w([]interface {}=[1])", "%w", [1]),
    ("%!p(struct { Name string; Age int; Note interface {} }={a 3 <nil>})", "%p", PERSON),
    ("[]interface {}", "%T", ["a", 1]),
    ("map[string]interface {}", "%T", {"a": 1}),
    ("[]", "%v", ()),
    ("[true %!t(int=0)]", "%t", [True, 0]),
    ("map[%!f(string=     a):  1.00]|", "%6.2f|", {"a": 1.0}),
]

TIMES = [
    ("2026-01-02 03:04:05.123456 +0000 UTC", "%v", MOMENT),
    ("2026-01-02 03:04:05.123456 +0000 UTC", "%s", MOMENT),
    ('"2026-01-02 03:04:05.123456 +0000 UTC"', "%q", MOMENT),
    ("323032362d30312d30322030333a30343a30352e313233343536202b3030303020555443", "%x", MOMENT),
    ("2026-01-02", "%.10s", MOMENT),
    ("    2026-01-02 03:04:05.123456 +0000 UTC", "%40s", MOMENT),
    ("time.Date(2026, time.January, 2, 3, 4, 5, 123456000, time.UTC)", "%#v", MOMENT),
    ("[2026-01-02 03:04:05.123456 +0000 UTC]", "%+v", [MOMENT]),
    ("time.Time", "%T", MOMENT),
    ("January", "%v", JANUARY),
    ("January", "%s", JANUARY),
    ("1", "%d", JANUARY),
    ("01", "%02d", JANUARY),
    ('"January"', "%q", JANUARY),
    ("4a616e75617279", "%x", JANUARY),
    ("1", "%#v", JANUARY),
    ("%!t(time.Month=1)", "%t", JANUARY),
    (" January|", "%8s|", JANUARY),
    ("Fri", "%.3s", FRIDAY),
    ("5", "%d", FRIDAY),
    ("[1]", "%d", [JANUARY]),
    ("7", "%*d", JANUARY, 7),
]


@pytest.mark.parametrize(("expected", "form", "value"), COMPOSITES)
def test_composites_are_printed_element_by_element(expected: str, form: str, value: Any) -> None:
    """A mistake inside a list is shown at the element that it concerns."""
    assert sprintf(form, value) == expected


@pytest.mark.parametrize(
    ("expected", "form", "values"), [(line[0], line[1], line[2:]) for line in TIMES]
)
def test_times_print_as_text_and_months_also_as_numbers(
    expected: str, form: str, values: tuple[Any, ...]
) -> None:
    """`printf "%02d" .Now.Month` gives the number, while `.Now.Month` alone gives the name."""
    assert sprintf(form, *values) == expected


@pytest.mark.parametrize(
    ("form", "value", "what"),
    [
        ("%p", {}, "an address"),
        ("%p", ["a"], "an address"),
        ("%d", MOMENT, "its inside"),
        ("%w", MOMENT, "its inside"),
        ("%d", [1, MOMENT], "its inside"),
    ],
)
def test_what_only_the_memory_of_go_knows_is_refused(form: str, value: Any, what: str) -> None:
    """No manifest gets an address of memory, which would differ in each run."""
    with pytest.raises(ValueError, match=what):
        sprintf(form, value)
