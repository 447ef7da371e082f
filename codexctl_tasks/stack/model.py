"""
``services.yaml`` as immutable types.

Pure data: no I/O, no defaults read from the environment. Keys are camelCase in the file and
snake_case here. An unknown key is kept aside for a warning, so that files written for a newer
or older version go on loading.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from codexctl_tasks.errors import CodexctlError, CombinedError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codexctl_tasks.stack.documents import Document

KeyPath = tuple[str | int, ...]


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="allow", alias_generator=to_camel, populate_by_name=True
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, given: Any) -> Any:
        """Treat a key without a value as a key that is not there."""
        if isinstance(given, dict):
            return {key: value for key, value in given.items() if value is not None}
        return given


def _null_is_empty(value: Any) -> Any:
    return "" if value is None else value


def _null_is_mapping(value: Any) -> Any:
    return {} if value is None else value


Text = Annotated[str, BeforeValidator(_null_is_empty)]


class NamespaceRules(_Part):
    """``namespace``: how environments are mapped to namespaces."""

    patterns: dict[str, Text] = {}
    """Template of the namespace by environment."""


class Environment(_Part):
    """One entry of ``environments``."""


class ManifestFile(_Part):
    """One entry of ``manifests``."""

    path: str = Field(min_length=1)
    """Relative to the folder of ``services.yaml``."""


class Item(_Part):
    """One entry of ``infrastructure`` or ``services``."""

    name: str = Field(min_length=1)
    when: str = ""
    """``false``, ``0`` and ``no`` leave the item out; anything else, blank too, keeps it."""
    manifests: tuple[ManifestFile, ...] = ()

    @property
    def wanted(self) -> bool:
        """Tell whether ``when`` lets the item take part."""
        return self.when.strip().lower() not in ("false", "0", "no")


class Stack(_Part):
    """A whole ``services.yaml`` after rendering."""

    project: str = Field(min_length=1)
    namespace: NamespaceRules = NamespaceRules()
    environments: dict[str, Annotated[Environment, BeforeValidator(_null_is_mapping)]] = {}
    infrastructure: tuple[Item, ...] = ()
    services: tuple[Item, ...] = ()


def parse_stack(document: Document) -> Stack:
    """Validate a rendered document; raise `CombinedError` with a line for each mistake in it."""
    try:
        return Stack.model_validate(document.value)
    except ValidationError as error:
        raise CombinedError(
            [_problem(document, details) for details in error.errors(include_url=False)]
        ) from error


def unknown_keys(part: BaseModel, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Yield the path of each key that this version does not know, and the nearest known name."""
    known = [field.alias or name for name, field in type(part).model_fields.items()]
    for key in part.model_extra or {}:
        nearest = difflib.get_close_matches(key, known, n=1)
        yield (*path, key), nearest[0] if nearest else ""
    for name, field in type(part).model_fields.items():
        yield from _unknown_in(getattr(part, name), (*path, field.alias or name))


def dotted(path: KeyPath) -> str:
    """Write a path as users do: ``services[0].manifests[0].path``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.lstrip(".")


def _unknown_in(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, BaseModel):
        yield from unknown_keys(value, path)
    elif isinstance(value, tuple):
        for index, inner in enumerate(value):
            yield from _unknown_in(inner, (*path, index))
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _unknown_in(inner, (*path, key))


def _problem(document: Document, details: Any) -> CodexctlError:
    path: KeyPath = tuple(details["loc"])
    place = document.location(path)
    name = dotted(path) or "the file"
    if details["type"] == "missing":
        return ConfigurationError(place, f"{name} is missing", "add it")
    message = details["msg"][:1].lower() + details["msg"][1:]
    return ConfigurationError(place, f"{name}: {message}", "see the table of keys in docs/stack.md")
