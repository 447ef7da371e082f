"""What the API server publishes about its types, for the tables of the proof."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codexctl_tasks.apply.stored import BUILTIN_GROUPS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.proof.server import Server

Schema = dict[str, Any]
Field = tuple[str, str, str, bool]
"""Name of the field around it, its own, ``object`` or ``array``, and whether it is atomic."""


def maps_and_lists(server: Server) -> set[Field]:
    """Return every map and list in the built-in kinds that the proof knows."""
    found: set[Field] = set()
    for path in server.request("GET", "/openapi/v3")["paths"]:
        root, *group = path.split("/")
        name = "" if root == "api" else ".".join(group[:-1])
        if name in BUILTIN_GROUPS and group and group[-1].startswith("v"):
            schemas = server.request("GET", f"/openapi/v3/{path}")["components"]["schemas"]
            for schema in schemas.values():
                if "x-kubernetes-group-version-kind" in schema and "metadata" in schema.get(
                    "properties", {}
                ):
                    found.update(_fields(schemas, schema, "", set()))
    return found


def _fields(
    schemas: dict[str, Schema], schema: Schema, name: str, seen: set[tuple[int, str]]
) -> Iterator[Field]:
    if (id(schema.get("properties")), name) in seen:
        return
    seen.add((id(schema.get("properties")), name))
    for key, part in schema.get("properties", {}).items():
        field = _resolved(schemas, part)
        kind = field.get("type", "object" if "properties" in field else "")
        if kind == "object":
            yield name, key, kind, field.get("x-kubernetes-map-type") == "atomic"
            yield from _fields(schemas, field, key, seen)
        elif kind == "array":
            is_merged = field.get("x-kubernetes-list-type") in ("map", "set")
            yield name, key, kind, not is_merged
            yield from _fields(schemas, _resolved(schemas, field["items"]), key, seen)


def _resolved(schemas: dict[str, Schema], schema: Schema) -> Schema:
    """Return a schema with what it refers to."""
    references = [schema, *schema.get("allOf", ())]
    for reference in references:
        if "$ref" in reference:
            return {**schemas[reference["$ref"].rpartition("/")[2]], **schema}
    return schema
