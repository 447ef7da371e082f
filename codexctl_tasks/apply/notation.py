"""
How a value is shown to a person: like YAML, on one line or on several, with all its quirks seen.

Long values are shortened; characters that would not show, or would act on a terminal, are escaped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

_INLINE = 100
"""What is longer, both values of a change together, is spread over lines."""
WIDTH = 120
"""Characters of a line, or of a value in it."""
MOST_OF_A_TEXT = 60
"""Lines of a text."""
_PLAIN = re.compile(r"(?:-(?=[\w-])|[\w./$…])[\w./:@=+~?&%$()…-]*(?: [\w./:@=+~?&%$()…-]+)*")
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


@dataclass(frozen=True, slots=True)
class Opaque:
    """A value that is compared and never shown."""

    shown: str
    content: str

    def __repr__(self) -> str:
        return self.shown


def is_long(*values: Any) -> bool:
    """Tell whether values are better spread over lines."""
    return sum(len(flow(value)) for value in values) > _INLINE or any(map(_has_text, values))


def _has_text(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_text, value.values()))
    return any(map(_has_text, value)) if isinstance(value, list) else is_text(value)


def is_text(value: Any) -> bool:
    """Tell whether a value has several lines."""
    return isinstance(value, str) and "\n" in value[:-1]


def block(value: Any) -> Iterator[str]:
    """Yield the lines of a value in the block style of YAML."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _entry(scalar(key) + ":", inner)
    elif isinstance(value, list) and value:
        for inner in value:
            first, *rest = _entry("", inner) if is_text(inner) else block(inner)
            yield f"- {first.lstrip()}"
            yield from (f"  {line}" for line in rest)
    else:
        yield flow(value)


def _entry(head: str, value: Any) -> Iterator[str]:
    if is_text(value):
        yield f"{head} |" if value.endswith("\n") else f"{head} |-"
        yield from (f"  {line}" for line in first_lines(value))
    elif value and isinstance(value, Mapping | list):
        yield head
        indent = "" if isinstance(value, list) else "  "
        yield from (indent + line for line in block(value))
    else:
        yield f"{head} {flow(value)}"


def first_lines(value: str) -> list[str]:
    """Return the first lines of a text."""
    return first([shown_line(line) for line in lines_of(value)], MOST_OF_A_TEXT, str)


def flow(value: Any) -> str:
    """Return a value in one line, in the flow style of YAML."""
    if isinstance(value, Mapping):
        pairs = (f"{scalar(key)}: {flow(inner)}" for key, inner in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def scalar(value: Any) -> str:
    """Return what is neither a map nor a list; texts in quotes only where it matters."""
    if isinstance(value, Opaque):
        return value.shown
    if not isinstance(value, str):
        return json.dumps(value)
    value = cut(value)
    return value if _is_plain(value) else quoted(value)


def _is_plain(text: str) -> bool:
    """Tell whether a text needs no quotes: neither to see its ends nor to tell it from a number."""
    if not _PLAIN.fullmatch(text) or ": " in text + " " or text.lower() in _WORDS:
        return False
    for read in (float, lambda digits: int(digits, 0)):
        with suppress(ValueError):
            read(text)
            return False
    return text.isprintable()


def cut(text: str) -> str:
    """Return the text as far as a line has room for it."""
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def lines_of(text: str) -> list[str]:
    """Return the lines of a text with their ends."""
    *whole, last = text.split("\n")
    return [line + "\n" for line in whole] + ([last] if last else [])


def shown_line(line: str) -> str:
    """Return a line without its end; what has no shape of its own is escaped, except tabs."""
    line = cut(line.removesuffix("\n"))
    return line if line.isprintable() else "\t".join(map(escaped, line.split("\t")))


def quoted(text: str) -> str:
    """Return the text in quotes, whatever is in it."""
    return '"' + escaped(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def escaped(text: str) -> str:
    r"""Return the text with everything that would not show written out: ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def first(lines: list[T], most: int, remark: Callable[[str], T]) -> list[T]:
    """Return the first lines and how many more there are."""
    more = len(lines) - most
    if more <= 1:  # one takes no more room than the remark about it
        return lines
    return [*lines[:most], remark(f"… {more:,} more lines")]
