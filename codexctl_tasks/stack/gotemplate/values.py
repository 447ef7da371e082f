"""
What a Go template can hold, as Python values.

`bool`, `int` (Go's int, 64 bits), `float`, `str` and None (nil) are themselves; a `dict` is a
``map[string]any``, a `list` or `tuple` an ``[]any``, or a ``[]string`` if all its elements are
strings; a `Time` is a ``time.Time``. The two types here are what Python has no own word for.
"""

from __future__ import annotations

from typing import Any


class StringMap(dict[str, str]):
    """A ``map[string]string``: `index` of a missing key gives the empty text, not nil."""


class Struct(dict[str, Any]):
    """A struct, its fields by name, in order: a field that it does not have is an error."""


_STRING_MAPS = ("Vars", "UserVars", "EnvMap", "Versions", "BaseDomain", "Images")


def with_string_maps(data: Any) -> Any:
    """Return data from a JSON file, say, in which the string maps of a stack are such."""
    if type(data) is not dict:
        return data
    return {name: _as_string_map(name, value) for name, value in data.items()}


def _as_string_map(name: str, value: Any) -> Any:
    is_one = name in _STRING_MAPS and type(value) is dict
    if not is_one or not all(isinstance(each, str) for each in value.values()):
        return value
    return StringMap(value)
