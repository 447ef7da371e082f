"""``eq``, ``lt`` and their like: a comparison of different types is an error, not false."""

from __future__ import annotations

from typing import Any

from codexctl_tasks.stack.gotemplate.absence import GoTemplateError, NilPointer
from codexctl_tasks.stack.gotemplate.texts import to_bytes
from codexctl_tasks.stack.gotemplate.times import Time
from codexctl_tasks.stack.gotemplate.truth import kind
from codexctl_tasks.stack.gotemplate.values import Struct

_POINTERS = (NilPointer, Struct)


def eq(first: Any, *others: Any) -> bool:
    """Say whether the first value equals any of the others."""
    if not others:
        raise GoTemplateError("eq needs something to compare with")
    return any(_equal(first, other) for other in others)


def ne(first: Any, second: Any) -> bool:
    """Say whether two values differ."""
    return not _equal(first, second)


def lt(first: Any, second: Any) -> bool:
    """Say whether the first value is less than the second."""
    for value in (first, second):
        if _basic(value) in (None, "bool"):
            raise GoTemplateError(f"{kind(value)} has no order: only numbers and strings have")
    _check_same(first, second)
    return bool(to_bytes(first) < to_bytes(second) if isinstance(first, str) else first < second)


def le(first: Any, second: Any) -> bool:
    """Say whether the first value is at most the second."""
    return lt(first, second) or _equal(first, second)


def gt(first: Any, second: Any) -> bool:
    """Say whether the first value is greater than the second."""
    return not le(first, second)


def ge(first: Any, second: Any) -> bool:
    """Say whether the first value is at least the second."""
    return not lt(first, second)


def _equal(first: Any, second: Any) -> bool:
    if _basic(first) is None and _basic(second) is None:
        return _equal_others(first, second)
    if first is None or second is None:
        return False
    _check_same(first, second)
    return bool(first == second)


def _equal_others(first: Any, second: Any) -> bool:
    """Compare what is neither number, string nor bool: a nil, a list, a map, a time."""
    if first is None or second is None:
        return _is_nil(first) and _is_nil(second)
    if isinstance(first, _POINTERS) and isinstance(second, _POINTERS):
        if _is_nil(first) or _is_nil(second):
            return _is_nil(first) and _is_nil(second)
        raise GoTemplateError("structs cannot be compared, only their fields")
    if isinstance(first, Time) and isinstance(second, Time):
        return _equal_times(first, second)
    raise GoTemplateError(f"cannot compare {kind(first)} with {kind(second)}")


def _equal_times(first: Time, second: Time) -> bool:
    """Compare times as Go's == does, which looks at more than the moment."""
    if first != second or first is second:
        return first is second
    if first.tzname() == second.tzname() == "UTC":
        return True
    raise GoTemplateError("cannot compare times of different zones: use .Equal")


def _is_nil(value: Any) -> bool:
    return value is None or isinstance(value, NilPointer)


def _basic(value: Any) -> str | None:
    """Return the group of types within which Go compares."""
    for group, types in (("bool", bool), ("integer", int), ("float", float), ("string", str)):
        if isinstance(value, types):
            return group
    return None


def _check_same(first: Any, second: Any) -> None:
    if _basic(first) != _basic(second):
        raise GoTemplateError(f"cannot compare {kind(first)} with {kind(second)}")
