"""The published schema of ``--output json``, closed: what is not documented is a mistake here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema

from tests.support.shell import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA: dict[str, Any] = json.loads((ROOT / "docs" / "output.schema.json").read_text("utf-8"))


def check(document: Any, kind: str) -> None:
    """Fail unless a document is one of this kind: ``apply``, ``plan`` or ``destroy``."""
    jsonschema.validate(document, SCHEMA)
    jsonschema.validate(document, _closed({"$ref": f"#/$defs/{kind}", "$defs": SCHEMA["$defs"]}))


def keys() -> set[str]:
    """Return the names of all keys of all documents."""
    return {name for properties in _find("properties", SCHEMA) for name in properties}


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    more = {"additionalProperties": False} if schema.get("type") == "object" else {}
    return {**{key: _closed(value) for key, value in schema.items()}, **more}


def _find(key: str, value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        if isinstance(value.get(key), dict):
            yield value[key]
        for each in value.values():
            yield from _find(key, each)
    if isinstance(value, list):
        for each in value:
            yield from _find(key, each)
