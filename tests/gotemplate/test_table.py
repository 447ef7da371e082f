"""The Go dialect renders byte for byte what Go renders."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.gotemplate.cases.differences import ACCEPTED, REFUSED
from tests.gotemplate.data import STACK
from tests.gotemplate.generate import TABLE, make_table
from tests.gotemplate.go_process import answer

if TYPE_CHECKING:
    from tests.gotemplate.go_process import Oracle

_TOPICS: dict[str, list[dict[str, Any]]] = json.loads(TABLE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("topic", _TOPICS)
def test_renders_what_go_renders(topic: str) -> None:
    """A template of the Go tool gives the same bytes, and is an error where it was one."""
    differences = []
    for row in _TOPICS[topic]:
        given = answer(row["text"], row.get("data", STACK))
        wanted = row.get("output", "an error")
        if given.get("output", "an error") != wanted:
            differences.append(f"{row['text']!r}\n  Go:   {wanted!r}\n  here: {given!r}")
    assert not differences, "\n".join(differences)


def test_the_table_is_large() -> None:
    """The promise of equal output rests on many cases, errors among them."""
    rows = [row for rows in _TOPICS.values() for row in rows]
    assert len(rows) >= 400
    assert sum("error" in row for row in rows) >= 100


@pytest.mark.parametrize(("text", "data", "reason"), REFUSED)
def test_refuses_what_it_cannot_render_alike(text: str, data: Any, reason: str) -> None:
    """What cannot be rendered as Go does is an error that says so, never other output."""
    assert reason in answer(text, STACK if data is None else data)["error"]


@pytest.mark.parametrize(("text", "data", "output"), ACCEPTED)
def test_accepts_what_go_refuses_without_need(text: str, data: Any, output: str) -> None:
    """An int of a map can be a position; Go wants it in parentheses."""
    assert answer(text, STACK if data is None else data) == {"output": output}


def test_the_table_is_what_go_says(oracle: Oracle) -> None:
    """The committed table is what the Go at hand makes of the cases."""
    assert make_table(oracle) == _TOPICS, "run: python -m tests.gotemplate.generate"


def test_go_does_render_what_is_refused(oracle: Oracle) -> None:
    """The list of what is refused holds nothing that Go refuses as well."""
    refused = [
        text
        for text, data, _ in REFUSED
        if "error" in oracle.ask(text, STACK if data is None else data)
    ]
    assert refused == []
    for text, data, _ in ACCEPTED:
        assert "error" in oracle.ask(text, STACK if data is None else data)
