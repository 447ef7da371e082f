"""Answers that have to meet a schema."""

from __future__ import annotations

import json
from typing import Any

import pytest

from codexctl_tasks.agent.schema import violation

NESTED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "findings": {
            "type": "array",
            "items": {"$ref": "#/$defs/finding"},
            "maxItems": 2,
        },
        "verdict": {"enum": ["approve", "reject"]},
        "note": {"type": ["string", "null"]},
    },
    "required": ["findings", "verdict"],
    "additionalProperties": False,
    "$defs": {
        "finding": {
            "type": "object",
            "properties": {"line": {"type": "integer", "minimum": 1}, "text": {"type": "string"}},
            "required": ["line", "text"],
        }
    },
}


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ({"findings": [], "verdict": "approve"}, ""),
        ({"findings": [{"line": 1, "text": "a"}], "verdict": "reject", "note": None}, ""),
        ({"verdict": "approve"}, "$.findings is missing"),
        ({"findings": [], "verdict": "maybe"}, '$.verdict is none of ["approve", "reject"]'),
        ({"findings": {}, "verdict": "approve"}, "$.findings is no array"),
        ({"findings": [{"line": 0, "text": "a"}], "verdict": "approve"}, "beyond minimum 1"),
        ({"findings": [{"line": True, "text": "a"}], "verdict": "approve"}, "is no integer"),
        ({"findings": [{"line": 1.5, "text": "a"}], "verdict": "approve"}, "is no integer"),
        ({"findings": [{"line": 1}], "verdict": "approve"}, "$.findings[0].text is missing"),
        ({"findings": [], "verdict": "approve", "note": 1}, "$.note is no string or null"),
        ({"findings": [], "verdict": "approve", "x": 1}, "$.x is not known"),
        ([], "$ is no object"),
    ],
)
def test_the_first_violation_is_named(answer: Any, what: str) -> None:
    """An answer that is not as it should be is told of with its place."""
    found = violation(json.dumps(answer), NESTED)
    assert (what in found) if what else not found


@pytest.mark.parametrize("text", ["", "Done.", "{", "[" * 100_000])
def test_what_is_no_json_violates_every_schema(text: str) -> None:
    """Prose is no answer where data is asked for."""
    assert violation(text, {}) == "it is no JSON"


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ('{"line": 1e999}', "$.line is no integer"),
        ('{"line": NaN}', "$.line is no integer"),
        ('{"line": %s}' % ("9" * 5000), "it is no JSON"),
        ('{"\\ud800": 1}', "$.\ufffd is not known"),
    ],
)
def test_an_answer_of_somebody_hostile_is_only_wrong(answer: str, what: str) -> None:
    """Numbers without end and halves of characters are violations that can be told of."""
    properties = {"line": {"type": "integer"}}
    assert violation(answer, {"properties": properties, "additionalProperties": False}) == what


def test_choices_are_followed() -> None:
    """One of several shapes has to fit; with oneOf exactly one."""
    schema = {"anyOf": [{"type": "string", "pattern": "^a"}, {"const": 5}]}
    assert not violation('"abc"', schema)
    assert not violation("5", schema)
    assert violation('"b"', schema) == "$ is none of what anyOf allows"
    twice = {"oneOf": [{"type": "number"}, {"type": "integer"}]}
    assert violation("1", twice) == "$ is more than one of what oneOf allows"
    assert not violation("1.5", twice)


def test_a_schema_that_refers_to_itself_comes_to_an_end() -> None:
    """Trees are checked at every depth, and a reference to itself does not hang."""
    tree = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    assert violation('{"next": {"next": {"next": 1}}}', tree) == "$.next.next.next is no object"
    assert violation("1", {"$ref": "#"})
