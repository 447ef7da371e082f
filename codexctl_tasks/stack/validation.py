"""A rendered ``services.yaml`` as a `Stack`, or every mistake in it with its line and path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from codexctl_tasks.errors import (
    CodexctlError,
    CombinedError,
    ConfigurationError,
    did_you_mean,
)
from codexctl_tasks.stack.model import Image, Stack
from codexctl_tasks.stack.sealing import unsealed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from codexctl_tasks.stack.documents import Document

KeyPath = tuple[str | int, ...]

_REFERENCE = "docs/services-yaml.md lists the keys"
_FIXES = {
    "neither true nor false": "write true or false",
    "not a whole number": "write digits only",
    "not a duration": "write 90s, 10m or 1h30m",
}
_MAIN_KEYS = {"ManifestFile": "path", "HookStep": "run", "Item": "name", "Service": "name"}
"""What people mean who write a text instead of such an entry."""
_LONGEST_SHOWN = 40


def parse_stack(document: Document, *, project: str = "") -> Stack:
    """
    Validate a rendered document.

    Args:
        document: The whole file; see `read_documents` with *keep_spelling*.
        project: Stands in for the file's own `project`, which a header of variables may swallow.

    Raises:
        CombinedError: Every mistake, with its line and its path in the file.
    """
    value = unsealed(document.value)
    if project:
        value["project"] = project
    try:
        stack = Stack.model_validate(value)
    except ValidationError as error:
        problems = [_problem(document, details) for details in error.errors(include_url=False)]
        raise CombinedError(sorted(problems, key=_line)) from error
    if problems := list(_contradictions(stack, document)):
        raise CombinedError(problems)
    return stack


def unknown_key_problems(stack: Stack, document: Document) -> list[ConfigurationError]:
    """Return one problem for each key that no version of the file knows, in order."""
    problems = []
    for path, known in _unknown_keys(stack, ()):
        hint = did_you_mean(str(path[-1]), known, _REFERENCE)
        what = f"{named_path(document.value, path)} is not a known key"
        problems.append(ConfigurationError(document.location(path), what, hint))
    return sorted(problems, key=_line)


def dotted(path: KeyPath) -> str:
    """Write a path as users do: ``services.api.manifests[0].path``, ``versions['a.b']``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif "." in step:
            text += f"[{step!r}]"
        else:
            text += f".{step}" if text else step
    return text


def named_path(value: Any, path: KeyPath) -> str:
    """Write a path with the names of items instead of their numbers, where they have one."""
    steps: list[str | int] = []
    for step in path:
        inner = _at(value, (step,))
        name = inner.get("name") if isinstance(step, int) and isinstance(inner, dict) else None
        named = isinstance(name, str) and name and steps in (["services"], ["infrastructure"])
        steps.append(name if named and isinstance(name, str) else step)
        value = inner
    return dotted(tuple(steps))


def _at(value: Any, path: KeyPath) -> Any:
    try:
        for step in path:
            value = value[step]
    except (KeyError, IndexError, TypeError):
        return None
    return value


def _unknown_keys(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, list[str]]]:
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        known = [field.alias or name for name, field in fields.items()]
        for key in value.model_extra or {}:
            yield (*path, key), known
        for name, field in fields.items():
            yield from _unknown_keys(getattr(value, name), (*path, field.alias or name))
    elif isinstance(value, tuple):
        for index, inner in enumerate(value):
            yield from _unknown_keys(inner, (*path, index))
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _unknown_keys(inner, (*path, key))


def _line(problem: CodexctlError) -> int:
    return (problem.location and problem.location.line) or 0


def _problem(document: Document, details: Any) -> CodexctlError:
    path: KeyPath = tuple(details["loc"])
    name = named_path(document.value, path) or "the file"
    kind, given, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "missing" and path[-1] in (_at(document.value, path[:-1]) or ()):
        kind = "too_short"
    what, fix = _words(kind, given, context, details["msg"])
    main_key = _MAIN_KEYS.get(str(context.get("class_name")))
    if isinstance(given, str) and isinstance(path[-1], int) and main_key:
        fix = f"write - {main_key}: {given}" if "\n" not in given else f"begin with - {main_key}:"
    return ConfigurationError(document.location(path), f"{name} {what}", fix)


def _words(kind: str, given: Any, context: Any, message: str) -> tuple[str, str]:
    """Say what is wrong with a value, and how to mend it, instead of how pydantic says it."""
    shown = _kind(given)
    if isinstance(given, str):
        shown = repr(given[:_LONGEST_SHOWN]) + ("..." if len(given) > _LONGEST_SHOWN else "")
    choices = str(context.get("expected", "")).replace("'', ", "").replace("'' or ", "")
    reason = str(context.get("error", ""))
    words = {
        "missing": ("is missing", "add it"),
        "too_short": ("is empty", "give it a value"),
        "string_type": (f"is {shown}, not a text", "write one value behind the key"),
        "tuple_type": (f"is {shown}, not a list", "begin each entry with '- '"),
        "literal_error": (f"is {shown}", f"use {choices}"),
        "greater_than_equal": ("is less than 0", "give 0 or more"),
        "value_error": (f"is {shown}, {reason}", _FIXES.get(reason, _REFERENCE)),
    }
    for mapping in ("dict_type", "model_type", "model_attributes_type"):
        words[mapping] = (f"is {shown}, not a mapping", "write KEY: VALUE, indented below it")
    return words.get(kind, (f"is wrong: {message}", _REFERENCE))


def _kind(value: Any) -> str:
    kinds = {dict: "a mapping", list: "a list", str: "a text", type(None): "empty"}
    return kinds.get(type(value), "a number or similar")


def _contradictions(stack: Stack, document: Document) -> Iterator[ConfigurationError]:
    """Yield what is wrong with keys that are right one by one."""
    yield from _broken_inheritance(stack, document)
    for name, image in stack.images.items():
        if missing := _missing_of_image(image):
            place = document.location(("images", name))
            what = f"{dotted(('images', name))} is of type {image.type} but has no {missing}"
            yield ConfigurationError(place, what, "add it")


def _broken_inheritance(stack: Stack, document: Document) -> Iterator[ConfigurationError]:
    environments = stack.environments
    for name, environment in environments.items():
        if not environment.base:
            continue
        path = ("environments", name, "from")
        place = document.location(path)
        if environment.base not in environments:
            known = f"known are {', '.join(sorted(environments))}"
            yield ConfigurationError(
                place,
                f"{dotted(path)} names the environment {environment.base!r}, which does not exist",
                did_you_mean(environment.base, environments, known),
            )
        elif name == min(
            cycle := _cycle(name, {n: e.base for n, e in environments.items()}), default=""
        ):
            what = f"{dotted(path)} comes back to itself: {' from '.join(cycle)}"
            yield ConfigurationError(place, what, "let one of them stand alone")


def _cycle(name: str, bases: Mapping[str, str]) -> list[str]:
    """Return the way from *name* back to it, or nothing."""
    way = [name]
    while (base := bases.get(way[-1], "")) and base not in way:
        way.append(base)
    return [*way, name] if base == name else []


def _missing_of_image(image: Image) -> str:
    if image.type == "external":
        return "from" if not image.source else "" if image.local else "local"
    if image.type == "build":
        if not image.repository:
            return "repository"
        return "" if image.tag or image.tag_template else "tag or tagTemplate"
    return ""
