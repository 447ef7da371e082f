"""The variables of one execution of a template: a stack, because Go finds them by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codexctl_tasks.stack.gotemplate.absence import NO_VALUE, GoTemplateError
from codexctl_tasks.stack.gotemplate.truth import is_true

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Scope:
    """
    Variables by name, the last one of a name counting.

    The stack is needed because the tree of the template does not tell whether a variable exists:
    in ``and .A ($x := 1)`` that depends on ``.A``.
    """

    __slots__ = ("kept", "stack")

    def __init__(self, data: Any) -> None:
        self.stack: list[tuple[str, Any]] = [("$", data)]
        self.kept: Any = None
        """The operand at which `and` or `or` has just stopped."""


def open_scope(data: Any) -> Scope:
    """Begin the execution of a template."""
    return Scope(data)


def read_variable(scope: Scope, name: str) -> Any:
    """Return the value of a variable."""
    for known, value in reversed(scope.stack):
        if known == name:
            return value
    raise GoTemplateError(f"{name} is undefined here: what declares it has not been reached")


def declare(scope: Scope, value: Any, *names: str) -> Any:
    """Make variables, give them a value, and return it."""
    value = NO_VALUE if value is None else value
    scope.stack.extend((name, value) for name in names)
    return value


def assign(scope: Scope, value: Any, *names: str) -> Any:
    """Give variables that exist a value, and return it."""
    value = NO_VALUE if value is None else value
    for name in names:
        _assign(scope, name, value)
    return value


def _assign(scope: Scope, name: str, value: Any) -> None:
    for index in range(len(scope.stack) - 1, -1, -1):
        if scope.stack[index][0] == name:
            scope.stack[index] = (name, value)
            return
    raise GoTemplateError(f"{name} is assigned but was never declared: write `{name} :=`")


def mark(scope: Scope) -> int:
    """Return a mark to which the variables can be reset."""
    return len(scope.stack)


def forget(scope: Scope, to: int) -> None:
    """Forget the variables that were declared after a mark."""
    del scope.stack[to:]


def loop(
    scope: Scope,
    items: Sequence[tuple[Any, Any]] | range,
    assigns: bool,
    *names: str,
) -> Iterator[Any]:
    """
    Yield the elements of a loop, after giving them and their keys to the variables.

    Args:
        scope: Where the variables are.
        items: Keys and values, or the numbers to count.
        assigns: Whether the variables existed before the loop.
        names: The variables: none, the one for the value, or those for key and value.
    """
    base = len(scope.stack)
    pairs = ((None, number) for number in items) if isinstance(items, range) else items
    for key, value in pairs:
        found = (value,) if len(names) == 1 else (key, value)
        for offset, (name, part) in enumerate(zip(names, found, strict=False)):
            if assigns:
                _assign(scope, name, part)
            else:
                scope.stack[base - len(names) + offset] = (name, part)
        yield value
        forget(scope, base)


def stops(scope: Scope, at: bool, operand: Any) -> bool:
    """Say whether `and` (*at* being false) or `or` (true) stops at an operand, and keep it."""
    scope.kept = operand
    return is_true(operand) is at


def kept(scope: Scope) -> Any:
    """Return the operand at which `and` or `or` has just stopped."""
    return scope.kept
