"""The Go type that each value stands for."""

from __future__ import annotations

from typing import Any, Final

from codexctl_tasks.stack.gotemplate.times import NamedInt, Time
from codexctl_tasks.stack.gotemplate.values import StringMap, Struct

NIL = "<nil>"
ANY = "interface {}"

# bool comes before int, and the maps of the stack before dict, because Python counts them in.
_SIMPLE: Final[tuple[tuple[type, str], ...]] = (
    (bool, "bool"),
    (int, "int"),
    (float, "float64"),
    (str, "string"),
    (Time, "time.Time"),
    (StringMap, "map[string]string"),
    (dict, f"map[string]{ANY}"),
)


def type_name(value: Any) -> str:
    """
    Return the type as Go writes it.

    Raises:
        TypeError: A template cannot hold such a value.
    """
    if value is None:
        return NIL
    if isinstance(value, NamedInt):
        return value.type_name
    if isinstance(value, Struct):
        return _struct_type(value)
    if isinstance(value, (list, tuple)):
        return "[]string" if all(isinstance(each, str) for each in value) else f"[]{ANY}"
    for kind, name in _SIMPLE:
        if isinstance(value, kind):
            return name
    raise unsupported(value)


def unsupported(value: Any) -> TypeError:
    """Return the error for a value that templates cannot hold."""
    return TypeError(f"templates cannot hold a value of type {type(value).__name__}: {value!r}")


def _struct_type(struct: Struct) -> str:
    """Write the type of a struct, which has no name here, field by field."""
    fields = (f"{name} {ANY if v is None else type_name(v)}" for name, v in struct.items())
    return f"struct {{ {'; '.join(fields)} }}" if struct else "struct {}"
