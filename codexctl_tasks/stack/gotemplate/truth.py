"""What counts as true, and what a loop can go through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codexctl_tasks.stack.gotemplate.absence import (
    NIL_POINTER,
    GoTemplateError,
    NilPointer,
    NoValue,
)
from codexctl_tasks.stack.gotemplate.kinds import type_name
from codexctl_tasks.stack.gotemplate.texts import to_bytes
from codexctl_tasks.stack.gotemplate.times import NamedInt
from codexctl_tasks.stack.gotemplate.values import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence


class Byte(int):
    """A Go ``byte``, the element of a string: a number, but not an ``int``."""


def is_true(value: Any) -> bool:
    """Say whether a value is neither nil nor the zero or empty one of its type."""
    if value is None or isinstance(value, NoValue | NilPointer):
        return False
    if isinstance(value, bool | int | float | str | list | tuple | dict):
        return bool(value) or isinstance(value, Struct)
    return True


def items(value: Any, variables: int) -> Sequence[tuple[Any, Any]] | range:
    """
    Return the keys and values that a loop goes through, or the numbers that it counts.

    Args:
        value: What stands behind ``range``.
        variables: How many variables the loop has.
    """
    if value is None or isinstance(value, NoValue):
        return []
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    if isinstance(value, dict) and not isinstance(value, Struct):
        return sorted(value.items(), key=lambda item: to_bytes(item[0]))
    if isinstance(value, int) and not isinstance(value, bool | NamedInt):
        return _count(value, variables)
    raise GoTemplateError(f"range cannot go through {kind(value)}")


def _count(number: int, variables: int) -> Sequence[tuple[Any, Any]] | range:
    if variables > 1:
        raise GoTemplateError("range over a number takes only one variable")
    if type(number) is int:
        return range(number)
    same = type(number)
    return [(None, same(each)) for each in range(number)]


def kind(value: Any) -> str:
    """Return what messages call the type of a value."""
    if value is None or value is NIL_POINTER or isinstance(value, NoValue):
        return "nil"
    return "byte" if isinstance(value, Byte) else type_name(value)
