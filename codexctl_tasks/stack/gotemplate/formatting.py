"""
Print values byte for byte as Go's `fmt` and `text/template` do.

Values are those of `values.py`; anything else raises TypeError. What would show an address of
memory or the inside of a time raises ValueError, because Go's output would say nothing.
"""

from __future__ import annotations

from typing import Any

from codexctl_tasks.stack.gotemplate import escaping
from codexctl_tasks.stack.gotemplate.kinds import type_name
from codexctl_tasks.stack.gotemplate.printf import sprintf
from codexctl_tasks.stack.gotemplate.printing import print_argument
from codexctl_tasks.stack.gotemplate.texts import normalized

__all__ = [
    "display",
    "html",
    "js",
    "sprint",
    "sprintf",
    "sprintln",
    "type_name",
    "urlquery",
]


def display(value: Any) -> str:
    """Return what a template shows for a value."""
    return print_argument(value)


def sprint(*values: Any) -> str:
    """Print values side by side, with a blank only between two that are no strings."""
    printed = ""
    after_text = True
    for value in values:
        is_text = isinstance(value, str)
        blank = "" if is_text or after_text else " "
        printed += blank + print_argument(value)
        after_text = is_text
    return normalized(printed)


def sprintln(*values: Any) -> str:
    """Print values with a blank between them and a line break at the end."""
    return normalized(" ".join(map(print_argument, values)) + "\n")


def html(*values: Any) -> str:
    """Print values and escape what HTML would take for markup."""
    return escaping.escape_html(_text_of(values))


def js(*values: Any) -> str:
    """Print values and escape what would end a string of JavaScript."""
    return escaping.escape_js(_text_of(values))


def urlquery(*values: Any) -> str:
    """Print values and escape them for the query of a URL."""
    return escaping.escape_query(_text_of(values))


def _text_of(values: tuple[Any, ...]) -> str:
    """Print values as the escaping functions see them: nil is not `<nil>` for those."""
    return sprint(*("<no value>" if value is None else value for value in values))
