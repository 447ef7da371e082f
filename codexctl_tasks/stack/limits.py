"""
Jinja2 with an end: loops, texts and numbers that a template can make are bounded.

The sandbox of Jinja2 keeps templates from the program's internals, not from its time and memory:
three nested ``range(99999)`` or ``"x" * 10 ** 10`` would run for years, or fill the machine.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MOST_TURNS = 1_000_000
"""Turns of loops and calls of macros in one rendering."""
LONGEST_TEXT = 10 * 1024 * 1024
"""Characters of one rendering, and of each text on the way to it."""
_TICK, _JOIN = "codexctl_tick", "codexctl_join"
_PADDING_FILTERS = ("center", "indent", "batch", "slice", "wordwrap", "lipsum")
_PADDING_METHODS = ("center", "ljust", "rjust", "zfill", "expandtabs")
_WIDE_FIELD = re.compile(r"[0-9]{6}|\*")


class LimitError(Exception):
    """A template wanted more than any real one needs."""


class Budget:
    """What one rendering may still use."""

    def __init__(self) -> None:
        self._turns = 0

    def tick(self) -> str:
        """Count a turn of a loop or a call of a macro."""
        self._turns += 1
        if self._turns > MOST_TURNS:
            raise LimitError(f"loops or calls itself more than {MOST_TURNS:,} times")
        return ""


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox in which no single operation makes a text without measure."""

    intercepted_binops = frozenset({"*", "**", "+", "%"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.globals[_JOIN] = _joined
        del self.globals["lipsum"]
        for name in _PADDING_FILTERS:
            if name in self.filters:
                self.filters[name] = _without_large_numbers(self.filters[name])

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Refuse what would be larger than anything real, before it is made."""
        if operator == "*":
            _check_repetition(left, right)
            _check_repetition(right, left)
        elif operator == "**" and abs(_number(right)) * len(str(left)) > MOST_TURNS:
            raise LimitError("is a number larger than anything real")
        elif operator == "%" and isinstance(left, str) and _WIDE_FIELD.search(left):
            raise LimitError("pads a text to a width larger than anything real")
        return _short(super().call_binop(context, operator, left, right))

    def call(self, context: Any, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a function or method of the sandbox; look at what padding methods are asked for."""
        if isinstance(getattr(called, "__self__", None), str):
            name = getattr(called, "__name__", "")
            if name in _PADDING_METHODS and any(_number(a) > MOST_TURNS for a in args):
                raise LimitError("pads a text to a width larger than anything real")
            if name.startswith("format") and _WIDE_FIELD.search(called.__self__):
                raise LimitError("pads a text to a width larger than anything real")
        return _short(super().call(context, called, *args, **kwargs))


class CountTurns(NodeTransformer):
    """Makes every loop and macro of a template count its turns, and every ``~`` its length."""

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802 - Jinja2's name
        """Count at the beginning of each turn."""
        self.generic_visit(node)
        node.body.insert(0, _tick_at(node.lineno))
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Macro:  # noqa: N802 - Jinja2's name
        """Count at the beginning of each call."""
        self.generic_visit(node)
        node.body.insert(0, _tick_at(node.lineno))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Call:  # noqa: N802 - Jinja2's name
        """Join through a function that looks at the length."""
        self.generic_visit(node)
        name = nodes.Name(_JOIN, "load", lineno=node.lineno)
        return nodes.Call(name, node.nodes, [], None, None, lineno=node.lineno)


def budget_names(budget: Budget) -> dict[str, Callable[..., Any]]:
    """Return what templates changed by `CountTurns` refer to."""
    return {_TICK: budget.tick}


def checked(pieces: Iterable[str]) -> str:
    """Join the pieces of a rendering, unless it gets larger than `LONGEST_TEXT`."""
    found, length = [], 0
    for piece in pieces:
        length += len(piece)
        if length > LONGEST_TEXT:
            raise LimitError(f"makes more than {LONGEST_TEXT // 1024 // 1024} MiB of text")
        found.append(piece)
    return "".join(found)


def _tick_at(line: int) -> nodes.ExprStmt:
    name = nodes.Name(_TICK, "load", lineno=line)
    return nodes.ExprStmt(nodes.Call(name, [], [], None, None, lineno=line), lineno=line)


def _joined(*values: Any) -> str:
    return checked(str(value) for value in values)


def _short(value: Any) -> Any:
    if isinstance(value, (str, list, tuple)) and len(value) > LONGEST_TEXT:
        raise LimitError(f"makes more than {LONGEST_TEXT // 1024 // 1024} MiB of text")
    return value


def _check_repetition(value: Any, times: Any) -> None:
    if isinstance(value, (str, list, tuple)) and len(value) * _number(times) > LONGEST_TEXT:
        raise LimitError(f"makes more than {LONGEST_TEXT // 1024 // 1024} MiB of text")


def _number(value: Any) -> float:
    return value if isinstance(value, (int, float)) else 0


def _without_large_numbers(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if any(_number(a) > MOST_TURNS for a in (*args, *kwargs.values())):
            raise LimitError("pads a text to a width larger than anything real")
        return function(*args, **kwargs)

    return guarded
