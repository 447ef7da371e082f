"""Random changes of objects, repeatable by seed."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

Object = dict[str, Any]
Path = tuple[str | int, ...]

_IDENTITY = ("apiVersion", "kind", "status")
_ZEROS = ("", 0, False, {}, [], None, "0")
_ABOUT = ("labels", "annotations", "finalizers")


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of everything that may be changed without making it another object."""
    if isinstance(value, dict):
        steps: list[str | int] = [
            key
            for key in value
            if path or key not in _IDENTITY
            if path != ("metadata",) or key in _ABOUT
        ]
    else:
        steps = list(range(len(value))) if isinstance(value, list) else []
    for step in steps:
        here = (*path, step)
        if here != ("metadata",):
            yield here
        yield from places(value[step], here)


def at(value: Any, path: Path) -> Any:
    """Return what is there; None if nothing is."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def replaced(thing: Object, path: Path, value: Any) -> Object:
    """Return a copy with another value at a path that exists."""
    changed = copy.deepcopy(thing)
    at(changed, path[:-1])[path[-1]] = copy.deepcopy(value)
    return changed


def removed(thing: Object, path: Path) -> Object:
    changed = copy.deepcopy(thing)
    del at(changed, path[:-1])[path[-1]]
    return changed


def mutated(thing: Object, random: Random) -> Object:
    """Return a copy with one change, seldom two."""
    for _ in range(random.choice((1, 1, 1, 2))):
        found = list(places(thing))
        if found:
            thing = _changed(thing, random.choice(found), random)
    return thing


def reordered(thing: Object, random: Random) -> Object:
    """Return a copy with one list in another order."""
    path = _some_list(thing, random, 2)
    values = list(at(thing, path)) if path else []
    random.shuffle(values)
    return replaced(thing, path, values) if path else thing


def doubled(thing: Object, random: Random) -> Object:
    """Return a copy with one item twice in its list."""
    path = _some_list(thing, random, 1)
    values = list(at(thing, path)) if path else []
    values.append(random.choice(values) if values else None)
    return replaced(thing, path, values) if path else thing


def emptied(thing: Object, random: Random) -> tuple[Object, Path]:
    """Return a copy with an empty, zero or null value somewhere, and its path."""
    found = list(places(thing))
    if not found:
        return thing, ()
    path = random.choice(found)
    value = at(thing, path)
    zero = type(value)()
    return replaced(thing, path, random.choice((zero, zero, None))), path


def relabelled(thing: Object, random: Random) -> Object:
    """Return a copy with a label or annotation more, fewer or other than before."""
    changed = copy.deepcopy(thing)
    kind = random.choice(("labels", "annotations"))
    values = changed["metadata"].get(kind) or {}
    key = random.choice([*values, "new", "example.com/new"])
    if key in values and random.random() < 0.3:
        del values[key]
    else:
        values[key] = random.choice(("", "x", "1"))
    changed["metadata"][kind] = values
    return changed


def spelled_out(thing: Object, live: Object, random: Random) -> Object:
    """Return a copy that states what the server has made of one of its values."""
    found = [path for path in places(thing) if at(live, path) not in (None, at(thing, path))]
    return replaced(thing, p := random.choice(found), at(live, p)) if found else thing


def in_stored_form(thing: Any, live: Any) -> Any:
    """Return the same fields, each with the value that the server stores for it."""
    if isinstance(thing, dict) and isinstance(live, dict):
        return {key: in_stored_form(v, live[key]) for key, v in thing.items() if key in live}
    return live


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Yield a line for each place where two values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}, key=str):
            if key not in one or key not in other:
                here, there = one.get(key, "nothing"), other.get(key, "nothing")
                yield f"{path}.{key}: {here!r} | {there!r}"
            else:
                yield from differences(one[key], other[key], f"{path}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from differences(left, right, f"{path}[{number}]")
    elif type(one) is not type(other) or one != other:
        yield f"{path}: {one!r} | {other!r}"


def _some_list(thing: Object, random: Random, least: int) -> Path:
    found = [
        path
        for path in places(thing)
        if isinstance(at(thing, path), list)
        if len(at(thing, path)) >= least
    ]
    return random.choice(found) if found else ()


def _changed(thing: Object, path: Path, random: Random) -> Object:
    chance, value = random.random(), at(thing, path)
    if chance < 0.3:
        return removed(thing, path)
    if chance < 0.85:
        return replaced(thing, path, _other(value, random))
    changed = copy.deepcopy(thing)
    parent, step = at(changed, path[:-1]), path[-1]
    if isinstance(parent, list):
        parent.insert(random.randrange(len(parent) + 1), copy.deepcopy(value))
    else:
        parent[f"{step}{random.choice('X2')}"] = copy.deepcopy(value)
    return changed


def _other(value: Any, random: Random) -> Any:
    if random.random() < 0.1:
        return random.choice(_ZEROS)
    choices: dict[type, Callable[[], tuple[Any, ...]]] = {
        bool: lambda: (not value, not value, not value, str(value), None),
        int: lambda: (value + 1, 0, str(value), float(value), -value, None),
        float: lambda: (value + 0.5, int(value), str(value), None),
        str: lambda: (
            *(value + "x", value + " ", value.upper(), value.replace("m", "") or "q"),
            *("", None, "1", "1000m", "1024Mi", "1Gi", "1e3"),
        ),
        dict: lambda: ({}, None, {**value, "zz": "1"}, dict(list(value.items())[1:])),
        list: lambda: ([], None, value[1:], value + value[-1:], value[::-1]),
    }
    return random.choice(choices[type(value)]()) if type(value) in choices else "x"
