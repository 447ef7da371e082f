"""``index``, ``slice`` and ``len``, which count the bytes of a string."""

from __future__ import annotations

from typing import Any

from codexctl_tasks.stack.gotemplate.absence import GoTemplateError, NilPointer, NoValue
from codexctl_tasks.stack.gotemplate.texts import from_bytes, to_bytes
from codexctl_tasks.stack.gotemplate.truth import Byte, kind
from codexctl_tasks.stack.gotemplate.values import StringMap, Struct

_MOST_BOUNDS = 3


class Part(list[Any]):
    """A part of a list, which in Go still sees the elements behind its end."""

    def __init__(self, values: list[Any], behind: list[Any], *, only_strings: bool) -> None:
        super().__init__(values)
        self.behind = behind
        self.only_strings = only_strings
        """Whether the whole list has only strings; a list of anything stays one when cut."""


def index(item: Any, *keys: Any) -> Any:
    """Return what is at a key, in what is there at the next key, and so on."""
    if item is None:
        raise GoTemplateError("the value is nil, so it has no entries")
    for key in keys:
        item = _index(item, key)
    return item


def _index(item: Any, key: Any) -> Any:
    if isinstance(item, str):
        data = to_bytes(item)
        return Byte(data[_position(key, len(data) - 1)])
    if isinstance(item, list | tuple):
        return item[_position(key, len(item) - 1)]
    if isinstance(item, dict) and not isinstance(item, Struct):
        if not isinstance(key, str):
            raise GoTemplateError(f"the key of a map is a string, not {kind(key)}")
        missing = "" if isinstance(item, StringMap) else NoValue(key, "the map", item)
        return item.get(key, missing)
    if item is None or isinstance(item, NilPointer | NoValue):
        raise GoTemplateError("the value is nil, so it has no entries")
    raise GoTemplateError(f"{kind(item)} has no entries")


def slice_(item: Any, *bounds: Any) -> Any:
    """Return a part of a string or list: from the first bound to before the second."""
    if len(bounds) > _MOST_BOUNDS:
        raise GoTemplateError(f"takes at most {_MOST_BOUNDS} positions, got {len(bounds)}")
    if isinstance(item, str):
        if len(bounds) == _MOST_BOUNDS:
            raise GoTemplateError("takes at most 2 positions of a string, got 3")
        data = to_bytes(item)
        start, end, _ = _bounds(bounds, len(data), len(data))
        return from_bytes(data[start:end])
    if isinstance(item, list | tuple):
        return _slice_list(item, bounds)
    raise GoTemplateError(f"cannot take a part of {kind(item)}")


def _slice_list(item: list[Any] | tuple[Any, ...], bounds: tuple[Any, ...]) -> Part:
    behind = item.behind if isinstance(item, Part) else []
    everything = [*item, *behind]
    start, end, limit = _bounds(bounds, len(item), len(everything))
    return Part(everything[start:end], everything[end:limit], only_strings=is_string_list(item))


def _bounds(bounds: tuple[Any, ...], length: int, capacity: int) -> tuple[int, int, int]:
    start, end, limit = 0, length, capacity
    positions = [_position(bound, capacity) for bound in bounds]
    for number, position in enumerate(positions):
        if number == 0:
            start = position
        elif number == 1:
            end = position
        else:
            limit = position
    if not start <= end <= limit:
        raise GoTemplateError(f"positions must rise, got {start}, {end} and {limit}")
    return start, end, limit


def length(item: Any) -> int:
    """Return the number of elements, or of the bytes of a string."""
    if isinstance(item, str):
        return len(to_bytes(item))
    if isinstance(item, list | tuple | dict) and not isinstance(item, Struct):
        return len(item)
    raise GoTemplateError(f"{kind(item)} has no length")


def is_string_list(value: Any) -> bool:
    """Say whether Go would hold a value as a ``[]string``."""
    if isinstance(value, Part):
        return value.only_strings
    return isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)


def _position(position: Any, last: int) -> int:
    """Check a position, which can be any kind of integer."""
    if not isinstance(position, int) or isinstance(position, bool):
        raise GoTemplateError(f"a position is an int, not {kind(position)}")
    if not 0 <= position <= last:
        raise GoTemplateError(f"position {position} is out of range, the last one is {last}")
    return int(position)
