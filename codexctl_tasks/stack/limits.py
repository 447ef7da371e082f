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
    from collections.abc import Callable, Iterable, Iterator, Sequence

MOST_TURNS = 1_000_000
"""Turns of loops and calls of macros in one rendering."""
LONGEST_TEXT = 10 * 1024 * 1024
"""Characters of one rendering, and of each text on the way to it."""
_TICK, _JOIN = "codexctl_tick", "codexctl_join"
_PADDING_FILTERS = ("center", "indent", "batch", "slice", "tojson")
_PADDING_METHODS = ("center", "ljust", "rjust", "zfill", "expandtabs")
_GROWING = ("format", "join", "replace")
"""Filters and methods that can put a long text into many places."""
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
        for name in ("wordwrap", "urlize", "xmlattr"):  # grow as well, and are of no use in YAML
            del self.filters[name]
        for name in _PADDING_FILTERS:
            if name in self.filters:
                self.filters[name] = _without_large_numbers(self.filters[name])
        for name in _GROWING:
            self.filters[name] = _measured(name, self.filters[name])

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Refuse what would be larger than anything real, before it is made."""
        if operator == "*":
            _check_repetition(left, right)
            _check_repetition(right, left)
        elif operator == "**" and abs(_number(right)) * len(str(left)) > MOST_TURNS:
            raise LimitError("is a number larger than anything real")
        elif operator == "%" and isinstance(left, str):
            _check_growth("format", left, (right,))
        return _short(super().call_binop(context, operator, left, right))

    def call(self, context: Any, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a function or method of the sandbox; look at what padding methods are asked for."""
        owner = getattr(called, "__self__", None)
        if type(owner) is Budget:  # each turn of each loop: the usual way takes nine times as long
            return owner.tick()
        method = getattr(called, "__wrapped__", called)  # the sandbox has a format of its own
        owner = getattr(method, "__self__", None)
        if isinstance(owner, str):
            name = getattr(method, "__name__", "")
            if name in _PADDING_METHODS and any(_number(a) > MOST_TURNS for a in args):
                raise LimitError("pads a text to a width larger than anything real")
            if name in _GROWING or name == "format_map":
                _check_growth(name.removesuffix("_map"), owner, (*args, *kwargs.values()))
        return _short(super().call(context, called, *args, **kwargs))


def count_turns(tree: nodes.Template, *, joins: bool) -> None:
    """
    Make every loop and macro of a template count its turns.

    Args:
        tree: The template; changed.
        joins: Whether it may use ``~``, which shall count the length of what it makes. Looking for
            it takes longer than all the rest.
    """
    for statement in statements(tree):
        if isinstance(statement, nodes.For | nodes.Macro):
            statement.body.insert(0, _tick_at(statement.lineno))
    if joins:
        _BoundedJoins().visit(tree)


def statements(tree: nodes.Node) -> Iterator[nodes.Node]:
    """Yield the statements of a template, those inside of others too, but no expressions."""
    for name in ("body", "elif_", "else_"):
        for statement in getattr(tree, name, None) or ():
            yield statement
            yield from statements(statement)


class _BoundedJoins(NodeTransformer):
    """Turns every ``~`` into a call that looks at the length."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Call:  # noqa: N802 - Jinja2's name
        """Join through a function."""
        self.generic_visit(node)
        name = nodes.Name(_JOIN, "load", lineno=node.lineno)
        return nodes.Call(name, node.nodes, [], None, None, lineno=node.lineno)


def budget_names(budget: Budget) -> dict[str, Callable[..., Any]]:
    """Return what templates refer to after `count_turns`."""
    return {_TICK: budget.tick}


def checked(pieces: Iterable[str], longest: int = LONGEST_TEXT) -> str:
    """Join the pieces of a rendering, unless it gets larger than *longest*."""
    found, length = [], 0
    for piece in pieces:
        length += len(piece)
        if length > longest:
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


def _check_growth(name: str, text: Any, arguments: Sequence[Any]) -> None:
    """Refuse a call that repeats an argument, or the text itself, too often."""
    if name == "join":
        parts = arguments[0] if arguments else ()
        text, arguments = (text, parts) if isinstance(parts, list | tuple) else ("", ())
        growth = len(text) * len(arguments) + sum(map(_length, arguments))
    elif name == "replace":
        old, new = (*map(str, arguments[:2]), "", "")[:2]
        growth = str(text).count(old) * len(new)
    else:
        if _WIDE_FIELD.search(str(text)):
            raise LimitError("pads a text to a width larger than anything real")
        fields = str(text).count("%") + str(text).count("{")
        growth = fields * sum(map(_length, arguments))
    if growth > LONGEST_TEXT:
        raise LimitError(f"makes more than {LONGEST_TEXT // 1024 // 1024} MiB of text")


def _length(value: Any) -> int:
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, list | tuple):
        return sum(len(each) if isinstance(each, str) else 1 for each in value)
    return len(value) if isinstance(value, str) else 1


def _measured(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that is not run if its result would be too large."""
    has_context = hasattr(function, "jinja_pass_arg")

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        text, *others = args[1:] if has_context else args
        others += kwargs.values()
        if name == "join":
            text, others = (others[0] if others else ""), [text]
        _check_growth(name, text, others)
        return function(*args, **kwargs)

    return guarded


def _without_large_numbers(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if any(_number(a) > MOST_TURNS for a in (*args, *kwargs.values())):
            raise LimitError("pads a text to a width larger than anything real")
        return function(*args, **kwargs)

    return guarded
