"""The reference of ``services.yaml``, made of the model: a JSON Schema and a page of docs."""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema

from codexctl_tasks.stack import model

if TYPE_CHECKING:
    from collections.abc import Iterator

_TEMPLATE = {"type": "string", "pattern": r"\{[{%]"}
"""Editors see the file before it is rendered: any value may be a template there."""
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _EditorSchema(GenerateJsonSchema):
    """Describes the file as it is written: texts without quotes, templates instead of values."""

    def str_schema(self, schema: Any) -> dict[str, Any]:
        """Allow what YAML reads as another type: a version 1.10 is a text all the same."""
        found = super().str_schema(schema)
        return {**found, "type": ["string", "number", "boolean", "null"]}

    def int_schema(self, schema: Any) -> dict[str, Any]:
        """Allow a template."""
        return {"anyOf": [super().int_schema(schema), _TEMPLATE]}

    def bool_schema(self, schema: Any) -> dict[str, Any]:
        """Allow a template."""
        return {"anyOf": [super().bool_schema(schema), _TEMPLATE]}

    def literal_schema(self, schema: Any) -> dict[str, Any]:
        """Allow a template."""
        choices = [choice for choice in schema["expected"] if choice]
        return {"anyOf": [{"enum": choices}, _TEMPLATE]}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``services.yaml``; unknown keys are not allowed in it."""
    found = model.Stack.model_json_schema(schema_generator=_EditorSchema)
    described = _described_fields()
    for definition in (found, *found["$defs"].values()):
        part = getattr(model, definition["title"])
        definition["additionalProperties"] = False
        definition["description"] = _plain(definition["description"])
        for name, field in part.model_fields.items():
            entry = definition["properties"][field.alias or name]
            entry.pop("title", None)
            holder = next(c.__name__ for c in part.__mro__ if name in described[c.__name__])
            entry["description"] = _plain(described[holder][name])
    return {"$schema": _DIALECT, **found, "title": "services.yaml"}


def reference() -> str:
    """Return the page that documents all keys, in Markdown."""
    schema = json_schema()
    return "\n".join([_INTRODUCTION, *_section(schema, schema, "")])


_INTRODUCTION = """\
# The keys of services.yaml

<!-- Made from codexctl_tasks/stack/model.py by `make docs`. -->

The file is a template ([templates.md](templates.md)); this is what it holds once it is rendered.
[stack.md](stack.md) tells how the parts work together. Every text keeps its spelling: a version
`1.10` is "1.10", `no` is "no". A key without a value is a key that is not there; an unknown key is
a warning, with `--strict` an error.

Editors check and complete the file by the schema that `codexctl schema > services.schema.json`
prints, if its first line is `# yaml-language-server: $schema=services.schema.json`.
"""


def _section(whole: dict[str, Any], part: dict[str, Any], path: str) -> Iterator[str]:
    """Yield the table of one mapping, then the sections of the mappings in it."""
    if path:
        yield from (f"## `{path}`", "")
        _, _, meaning = part["description"].partition(": ")
        if meaning:
            yield from (f"{meaning[:1].upper()}{meaning[1:]}", "")
    yield from ("| key | value | meaning |", "|---|---|---|")
    inner: list[tuple[dict[str, Any], str]] = []
    for key, entry in part["properties"].items():
        kind, target, suffix = _kind(whole, entry)
        required = ", required" if key in part.get("required", []) else ""
        yield f"| `{key}` | {kind}{required} | {entry['description']} |"
        if target:
            inner.append((target, f"{path}.{key}{suffix}".lstrip(".")))
    yield ""
    for target, inner_path in inner:
        yield from _section(whole, target, inner_path)


def _kind(whole: dict[str, Any], entry: dict[str, Any]) -> tuple[str, dict[str, Any] | None, str]:
    """Return what a value is in words, the mapping it holds, and what its path gets appended."""
    if choices := [each for each in entry.get("anyOf", []) if each.get("type") != "null"]:
        first = choices[0]
        return _kind(whole, {**first, "description": ""})
    if "$ref" in entry:
        return "mapping", whole["$defs"][entry["$ref"].rpartition("/")[2]], ""
    if "enum" in entry:
        return " or ".join(f"`{choice}`" for choice in entry["enum"]), None, ""
    if entry.get("type") == "array":
        kind, target, _ = _kind(whole, entry["items"])
        return f"list of {kind}s", target, "[]"
    if isinstance(values := entry.get("additionalProperties"), dict):
        kind, target, _ = _kind(whole, values)
        return f"{kind} by name", target, ".<name>"
    names = {"integer": "whole number", "boolean": "`true` or `false`", "object": "mapping"}
    return names.get(str(entry.get("type")), "text"), None, ""


def _plain(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def _described_fields() -> dict[str, dict[str, str]]:
    """Return the docstrings below the fields of the model, by class and field."""
    described: dict[str, dict[str, str]] = {}
    for part in ast.parse(inspect.getsource(model)).body:
        if isinstance(part, ast.ClassDef):
            described[part.name] = {
                field.target.id: inspect.cleandoc(text.value.value)
                for field, text in pairwise(part.body)
                if isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
                and isinstance(text.value.value, str)
            }
    return described
