"""Call functions with the checks of Go: the number of arguments and the type of each."""

from __future__ import annotations

import inspect
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codexctl_tasks.stack.gotemplate.absence import GoTemplateError, NoValue
from codexctl_tasks.stack.gotemplate.indexing import is_string_list
from codexctl_tasks.stack.gotemplate.texts import normalized
from codexctl_tasks.stack.gotemplate.times import Time
from codexctl_tasks.stack.gotemplate.truth import kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PLAIN = {str: "a string", int: "an int", bool: "a bool", float: "a float", Time: "a time"}


class Constant(float):
    """A number such as 1.0 as an argument: a float, unless the function wants an int."""


@dataclass(frozen=True, slots=True)
class Callee:
    """A function with what its annotations say about its parameters."""

    name: str
    function: Callable[..., Any]
    parameters: tuple[Any, ...]
    """Their types; those before the last one are required."""
    others: Any
    """The type of any further arguments; None if there can be none."""

    def __call__(self, arguments: Sequence[Any]) -> Any:
        """Check the arguments and call the function."""
        self._check_number(len(arguments))
        types = (*self.parameters, *[self.others] * (len(arguments) - len(self.parameters)))
        given = [
            self._convert(number, wanted, argument)
            for number, (wanted, argument) in enumerate(zip(types, arguments, strict=True), start=1)
        ]
        try:
            result = self.function(*given)
        except GoTemplateError as error:
            raise GoTemplateError(f"{self.name}: {error}{_missing(arguments)}") from None
        except Exception as error:
            raise GoTemplateError(f"{self.name}: {error}") from error
        return normalized(result) if type(result) is str and not result.isascii() else result

    def _check_number(self, number: int) -> None:
        least = len(self.parameters)
        if number < least or (self.others is None and number > least):
            wanted = f"{least} argument{'' if least == 1 else 's'}"
            at_least = "" if self.others is None else "at least "
            raise GoTemplateError(f"{self.name} takes {at_least}{wanted}, got {number}")

    def _convert(self, number: int, wanted: Any, argument: Any) -> Any:
        """Return the argument as the function gets it."""
        if wanted is Any:
            if isinstance(argument, NoValue):
                return None
            return float(argument) if type(argument) is Constant else argument
        if type(argument) is wanted:
            return argument
        if wanted is int and type(argument) is Constant:
            return int(argument)
        if wanted == list[str]:
            if isinstance(argument, NoValue):  # Go has a list that is nil, and it is empty
                return []
            if is_string_list(argument):
                return list(argument)
        expected = "a list of strings" if wanted == list[str] else _PLAIN[wanted]
        reason = str(argument) if isinstance(argument, NoValue) and argument.key else ""
        got = reason or f"it is {kind(argument)}"
        raise GoTemplateError(f"{self.name}: argument {number} must be {expected}, but {got}")


def _missing(arguments: Sequence[Any]) -> str:
    """Return the end of a message that tells which argument was missing, if one was."""
    for argument in arguments:
        if isinstance(argument, NoValue) and argument.key:
            return f" ({argument})"
    return ""


def callee(name: str, function: Callable[..., Any]) -> Callee:
    """Read the annotations of a function."""
    hints = typing.get_type_hints(function)
    parameters, others = [], None
    for parameter in inspect.signature(function).parameters.values():
        wanted = hints.get(parameter.name, Any)
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            others = wanted
        else:
            parameters.append(wanted)
    return Callee(name, function, tuple(parameters), others)
