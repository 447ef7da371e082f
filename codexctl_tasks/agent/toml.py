"""TOML: read with the line of every mistake, put together, and written; pure."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import ConfigurationError, Location

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Table = dict[str, Any]
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_LINE = re.compile(r"\s*\(at line (\d+), column \d+\)$")


def read_table(text: str, what: str, place: Callable[[int], Location]) -> Table:
    """
    Return what a text says.

    Args:
        text: The TOML.
        what: It is called in errors.
        place: Tells where a line of *text*, from 1, was written.

    Raises:
        ConfigurationError: It is no TOML; names the line.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _LINE.search(str(error))
        line = int(found[1]) if found else max(text.count("\n"), 1)
        problem = _LINE.sub("", str(error))
        fix = "write it as TOML, see https://toml.io"
        raise ConfigurationError(place(line), f"{what} is no TOML: {problem}", fix) from error


def merge(into: Table, more: Mapping[str, Any], path: tuple[str, ...] = ()) -> str:
    """Add the keys of one table to another; return the first key that both set, else nothing."""
    for key, value in more.items():
        here = (*path, key)
        if key not in into:
            into[key] = _copied(value)
        elif isinstance(into[key], dict) and isinstance(value, dict):
            if twice := merge(into[key], value, here):
                return twice
        else:
            return ".".join(map(_key, here))
    return ""


def impose(into: Table, more: Mapping[str, Any]) -> None:
    """Set keys whatever they were; the others of each table stay."""
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            impose(into[key], value)
        else:
            into[key] = _copied(value)


def write_table(table: Mapping[str, Any]) -> str:
    """Return the text of a table; `tomllib` reads the same from it."""
    return "\n".join(_lines(table, ())).strip("\n") + "\n"


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    inner = {key: value for key, value in table.items() if isinstance(value, dict)}
    plain = {key: value for key, value in table.items() if key not in inner}
    if path and (plain or not inner):
        yield f"\n[{'.'.join(map(_key, path))}]"
    for key, value in plain.items():
        yield f"{_key(key)} = {_value(value)}"
    for key, value in inner.items():
        yield from _lines(value, (*path, key))


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        pairs = (f"{_key(key)} = {_value(each)}" for key, each in value.items())
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    return value.isoformat() if hasattr(value, "isoformat") else repr(value)


def _text(value: str) -> str:
    """Return a basic string: JSON's escapes are among those of TOML."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _copied(value: Any) -> Any:
    return {key: _copied(each) for key, each in value.items()} if isinstance(value, dict) else value
