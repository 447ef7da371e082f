"""Fields of structs, entries of maps, and methods of times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codexctl_tasks.stack.gotemplate.absence import (
    NIL_POINTER,
    NO_VALUE,
    GoTemplateError,
    NilPointer,
    NoValue,
    nearest,
)
from codexctl_tasks.stack.gotemplate.calls import Callee, callee
from codexctl_tasks.stack.gotemplate.times import METHODS, NamedInt, Time
from codexctl_tasks.stack.gotemplate.truth import kind
from codexctl_tasks.stack.gotemplate.values import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

_TIME_METHODS = {name: callee(name, getattr(Time, name)) for name in METHODS}
_NAMED_METHODS = {"String": callee("String", NamedInt.String)}


def field(value: Any, path: str, *names: str) -> Any:
    """
    Return a field of a field of a value; methods are called.

    Args:
        value: What the first field is taken from.
        path: What messages call that value; empty for the dot.
        names: The fields.
    """
    for name in names:
        value = _field(value, path, name, ())
        path = f"{path}.{name}"
    return value


def method(value: Any, path: str, names: Sequence[str], arguments: Sequence[Any]) -> Any:
    """Call the last of the fields, which must be a method, with arguments."""
    *inner, last = names
    value = field(value, path, *inner)
    path = ".".join((path, *inner))
    if isinstance(value, NoValue):  # Go does not even look at the arguments
        return value
    return _field(value, path, last, arguments)


def _field(value: Any, path: str, name: str, arguments: Sequence[Any]) -> Any:
    if isinstance(value, NoValue):
        return value
    if found := _method(value, name):
        return found((value, *arguments))
    if isinstance(value, dict):
        if arguments:
            raise GoTemplateError(f"{path}.{name} is no method, so it takes no argument")
        take = _struct_field if isinstance(value, Struct) else _entry
        return take(value, path, name)
    if value is None or isinstance(value, NilPointer):
        raise GoTemplateError(f"{path or 'the dot'} is nil, so it has no field {name}")
    raise GoTemplateError(f"{path or 'the dot'} is {kind(value)}, so it has no field {name}")


def _struct_field(value: dict[str, Any], path: str, name: str) -> Any:
    if name not in value:
        raise GoTemplateError(f"{path or 'the context'} has no field {name}{nearest(name, value)}")
    found = value[name]
    return NIL_POINTER if found is None else found


def _entry(value: dict[str, Any], path: str, name: str) -> Any:
    return value[name] if name in value else NoValue(name, path or "the map", value)


def _method(value: Any, name: str) -> Callee | None:
    """Return a method that templates can call."""
    if isinstance(value, Time):
        return _TIME_METHODS.get(name)
    return _NAMED_METHODS.get(name) if isinstance(value, NamedInt) else None


def value(of: Any) -> Any:
    """Return the value of a pipeline: a nil in it becomes no value at all."""
    return NO_VALUE if of is None else of
