"""Print any value by a verb of Go's `fmt`, mistakes as Go shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from codexctl_tasks.stack.gotemplate.kinds import ANY, NIL, type_name, unsupported
from codexctl_tasks.stack.gotemplate.texts import normalized, to_bytes
from codexctl_tasks.stack.gotemplate.times import NamedInt, Time
from codexctl_tasks.stack.gotemplate.values import Struct
from codexctl_tasks.stack.gotemplate.verbs import (
    Spec,
    pad,
    print_bool,
    print_float,
    print_int,
    print_string,
    print_text,
)

PLAIN = Spec()


def print_argument(value: Any, verb: str = "v", spec: Spec = PLAIN) -> str:
    """
    Print an argument.

    Raises:
        TypeError: A template cannot hold such a value.
        ValueError: Go would print an address of memory, or the inside of a time.
    """
    name = type_name(value)
    if verb == "T" or (verb == "v" and value is None):
        return pad(name, spec) if value is None else print_text(name, spec)
    if verb == "p" and isinstance(value, (Mapping, list, tuple)) and not isinstance(value, Struct):
        raise ValueError(f"%p of a {name} prints an address, which is another one each time")
    if value is None or verb in {"p", "w"}:
        return _bad_verb(value, verb, spec)
    return _print(value, verb, spec)


def _print(value: Any, verb: str, spec: Spec) -> str:
    """Print a value that may be an element of another one."""
    if value is None:
        return f"{ANY}(nil)" if spec.sharp_v else NIL
    if isinstance(value, Struct):
        return _print_struct(value, verb, spec)
    if isinstance(value, Mapping):
        return _print_map(value, verb, spec)
    if isinstance(value, (list, tuple)):
        return _print_list(value, verb, spec)
    if isinstance(value, (Time, NamedInt)):
        return _print_method(value, verb, spec)
    return _print_scalar(value, verb, spec)


def _print_scalar(value: Any, verb: str, spec: Spec) -> str:
    printed: str | None
    if isinstance(value, bool):
        printed = print_bool(value, verb, spec)
    elif isinstance(value, int):
        printed = print_int(value, verb, spec)
    elif isinstance(value, float):
        printed = print_float(value, verb, spec)
    elif isinstance(value, str):
        printed = print_string(normalized(value), verb, spec)
    else:
        raise unsupported(value)
    return _bad_verb(value, verb, spec) if printed is None else printed


def _print_method(value: Time | NamedInt, verb: str, spec: Spec) -> str:
    """Print a value that has a method String, which verbs for strings use."""
    if spec.sharp_v and isinstance(value, Time) and spec.methods:
        return print_text(value.GoString(), spec)
    if verb in "vsxXq" and not spec.sharp_v and spec.methods:
        return print_string(value.String(), verb, spec) or ""
    if isinstance(value, NamedInt):
        return _print_scalar(value, verb, spec)
    raise ValueError(f"%{verb} of a time prints its inside, which only Go itself knows")


def _print_struct(value: Struct, verb: str, spec: Spec) -> str:
    named = spec.plus_v or spec.sharp_v
    fields = (f"{name}:" * named + _print(each, verb, spec) for name, each in value.items())
    if spec.sharp_v:
        return _go_syntax(value, fields)
    return f"{{{' '.join(fields)}}}"


def _print_map(value: Mapping[str, Any], verb: str, spec: Spec) -> str:
    entries = (
        f"{_print(key, verb, spec)}:{_print(value[key], verb, spec)}"
        for key in sorted(value, key=to_bytes)
    )
    return _go_syntax(value, entries) if spec.sharp_v else f"map[{' '.join(entries)}]"


def _print_list(value: list[Any] | tuple[Any, ...], verb: str, spec: Spec) -> str:
    elements = (_print(each, verb, spec) for each in value)
    return _go_syntax(value, elements) if spec.sharp_v else f"[{' '.join(elements)}]"


def _go_syntax(value: Any, parts: Iterable[str]) -> str:
    return f"{type_name(value)}{{{', '.join(parts)}}}"


def _bad_verb(value: Any, verb: str, spec: Spec) -> str:
    """Print what Go shows for a verb that a value does not have."""
    if value is None:
        return f"%!{verb}({NIL})"
    return f"%!{verb}({type_name(value)}={_print(value, 'v', replace(spec, methods=False))})"
