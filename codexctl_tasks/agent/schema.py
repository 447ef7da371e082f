"""
JSON Schema, as far as the last message of an agent can be asked to follow it; pure.

Models are given the part of the language that they can be made to follow: types, properties, items,
values and limits. Other keywords are not looked at.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


_SURROGATE = re.compile("[\ud800-\udfff]")


def writable(text: str) -> str:
    """Return a text of JSON, which can hold halves of characters, as one that can be written."""
    return _SURROGATE.sub("\ufffd", text)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: _is_number(value) and (isinstance(value, int) or value.is_integer()),
    "number": _is_number,
}
_LIMITS: dict[str, tuple[Callable[[Any, Any], bool], Callable[[Any], bool]]] = {
    "minimum": (lambda value, limit: value >= limit, _TYPES["number"]),
    "maximum": (lambda value, limit: value <= limit, _TYPES["number"]),
    "minLength": (lambda value, limit: len(value) >= limit, _TYPES["string"]),
    "maxLength": (lambda value, limit: len(value) <= limit, _TYPES["string"]),
    "minItems": (lambda value, limit: len(value) >= limit, _TYPES["array"]),
    "maxItems": (lambda value, limit: len(value) <= limit, _TYPES["array"]),
    "pattern": (lambda value, limit: re.search(limit, value) is not None, _TYPES["string"]),
}


def violation(text: str, schema: Mapping[str, Any]) -> str:
    """Return what a text violates first, in one line; empty: it meets the schema."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return "it is no JSON"
    try:
        return writable(next(_violations(value, schema, schema, "$"), ""))
    except RecursionError:
        return "the schema refers to itself without end"


def _violations(value: Any, schema: Any, root: Mapping[str, Any], path: str) -> Iterator[str]:
    if schema is True or not isinstance(schema, dict):
        return
    if reference := schema.get("$ref"):
        yield from _violations(value, _referred(str(reference), root), root, path)
    yield from _plain_violations(value, schema, path)
    yield from _choice_violations(value, schema, root, path)
    if isinstance(value, dict):
        yield from _object_violations(value, schema, root, path)
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from _violations(each, schema.get("items", True), root, f"{path}[{index}]")


def _plain_violations(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    types = schema.get("type", [])
    names = [types] if isinstance(types, str) else types
    if names and not any(_TYPES.get(name, lambda _: True)(value) for name in names):
        yield f"{path} is no {' or '.join(names)}"
    if "enum" in schema and not any(_same(value, each) for each in schema["enum"]):
        yield f"{path} is none of {json.dumps(schema['enum'])[:200]}"
    if "const" in schema and not _same(value, schema["const"]):
        yield f"{path} is not {json.dumps(schema['const'])[:200]}"
    for keyword, (holds, concerns) in _LIMITS.items():
        limit = schema.get(keyword)
        if limit is not None and concerns(value) and not holds(value, limit):
            yield f"{path} is beyond {keyword} {limit}"


def _choice_violations(
    value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], path: str
) -> Iterator[str]:
    for part in schema.get("allOf", ()):
        yield from _violations(value, part, root, path)
    for keyword in ("anyOf", "oneOf"):
        if parts := schema.get(keyword):
            found = [next(_violations(value, part, root, path), "") for part in parts]
            if all(found):
                yield found[0] if len(found) == 1 else f"{path} is none of what {keyword} allows"
            elif keyword == "oneOf" and found.count("") > 1:
                yield f"{path} is more than one of what oneOf allows"


def _object_violations(
    value: Mapping[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any], path: str
) -> Iterator[str]:
    known = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{path}.{name} is missing"
    for name, each in value.items():
        inner = known.get(name, schema.get("additionalProperties", True))
        if inner is False:
            yield f"{path}.{name[:100]} is not known"
        else:
            yield from _violations(each, inner, root, f"{path}.{name[:100]}")


def _referred(reference: str, root: Mapping[str, Any]) -> Any:
    """Return the part of the schema that is meant; everything is allowed by one elsewhere."""
    found: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        found = found.get(name, True) if isinstance(found, dict) else True
    return found if reference.startswith("#") else True


def _same(value: Any, other: Any) -> bool:
    return type(value) is type(other) and value == other
