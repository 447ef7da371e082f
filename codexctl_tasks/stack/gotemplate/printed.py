"""``print`` and its like: printing as Go does, and an error where that cannot be known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codexctl_tasks.stack.gotemplate import formatting
from codexctl_tasks.stack.gotemplate.absence import GoTemplateError, NilPointer
from codexctl_tasks.stack.gotemplate.indexing import Part
from codexctl_tasks.stack.gotemplate.truth import Byte
from codexctl_tasks.stack.gotemplate.values import Struct

if TYPE_CHECKING:
    from collections.abc import Callable

_NIL = "<nil>"


def display(value: Any) -> str:
    """Return what a template shows for a value."""
    _refuse_structs(value)
    return _NIL if isinstance(value, NilPointer) else formatting.display(value)


def sprint(*values: Any) -> str:
    """Print values side by side, with a blank only between two that are no strings."""
    return formatting.sprint(*_plain(values))


def sprintln(*values: Any) -> str:
    """Print values with a blank between them and a line break at the end."""
    return formatting.sprintln(*_plain(values))


def sprintf(layout: str, *values: Any) -> str:
    """Print values as the verbs in *layout* ask for."""
    printed = formatting.sprintf(layout, *_plain(values))
    # The type is not quite known of these, and would be seen.
    if any(isinstance(value, NilPointer | Byte | Part) for value in values) and (
        "%!" in printed or any(sign in layout for sign in "T#")
    ):
        raise GoTemplateError(f"cannot format this value as {layout!r}")
    return printed


def html(*values: Any) -> str:
    """Print values and escape what HTML would take for markup."""
    return _escaped(formatting.html, values)


def js(*values: Any) -> str:
    """Print values and escape what would end a string of JavaScript."""
    return _escaped(formatting.js, values)


def urlquery(*values: Any) -> str:
    """Print values and escape them for the query of a URL."""
    return _escaped(formatting.urlquery, values)


def _escaped(escape: Callable[..., str], values: tuple[Any, ...]) -> str:
    if not any(isinstance(value, NilPointer) for value in values):
        return escape(*_plain(values))
    if len(values) == 1:
        return escape(_NIL)
    raise GoTemplateError("cannot print nil here")


def _plain(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the values as they are printed."""
    for value in values:
        _refuse_structs(value)
    return tuple(None if isinstance(value, NilPointer) else value for value in values)


def _refuse_structs(value: Any) -> None:
    """Refuse to print a struct: Go would show addresses, or names of types unknown here."""
    if isinstance(value, Struct):
        raise GoTemplateError("a struct cannot be printed, only its fields")
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return
    for each in value:
        _refuse_structs(each)
