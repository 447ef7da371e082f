"""What a translated template finds at run time: its data, the functions, the rules of Go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from codexctl_tasks.stack.gotemplate import comparison, fields, indexing, printed, scope, truth
from codexctl_tasks.stack.gotemplate.absence import (
    NO_VALUE,
    GoTemplateError,
    NoValue,
)
from codexctl_tasks.stack.gotemplate.calls import Constant, callee
from codexctl_tasks.stack.gotemplate.translation import DATA

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jinja2 import Environment


def install(
    environment: Environment,
    data: Any,
    functions: Mapping[str, Callable[..., Any]],
    *,
    strict: bool = False,
) -> None:
    """
    Give an environment what translated templates refer to.

    All but the data are attributes of the environment: Jinja2 looks up names anew in each template,
    in code that takes longer to compile than to run.

    Args:
        environment: Changed.
        data: What the template calls ``.`` and ``$``, made of the types in `values`.
        functions: By the names with which the template was parsed; the annotations of their
            parameters (`str`, `int`, `bool`, `float`, `list[str]`, `Any`) are enforced.
        strict: Whether a missing value is an error where Go would print ``<no value>``.
    """
    runtime = _Runtime(functions, strict=strict)
    environment.globals[DATA] = NO_VALUE if data is None else data
    environment.extend(
        go_assign=scope.assign,
        go_call=runtime.call,
        go_constant=Constant,
        go_declare=scope.declare,
        go_fail=fail,
        go_field=fields.field,
        go_forget=scope.forget,
        go_include=include,
        go_items=truth.items,
        go_kept=scope.kept,
        go_last=last,
        go_loop=scope.loop,
        go_mark=scope.mark,
        go_method=call_method,
        go_nil=NO_VALUE,
        go_pipe=runtime.pipe,
        go_pipe_method=pipe_into_method,
        go_scope=scope.open_scope,
        go_stops=scope.stops,
        go_text=runtime.text,
        go_text_of=runtime.text_of,
        go_true=truth.is_true,
        go_value=fields.value,
        go_variable=scope.read_variable,
    )


class _Runtime:
    """The functions that depend on how the template is rendered."""

    def __init__(self, functions: Mapping[str, Callable[..., Any]], *, strict: bool) -> None:
        self._strict = strict
        self._callees = {name: callee(name, found) for name, found in functions.items()}

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function."""
        found = self._callees.get(name) or _BUILTINS[name]
        if self._strict and name in _SHOWING_NO_VALUE:
            _refuse_missing(name, arguments)
        return fields.value(found(arguments))

    def pipe(self, name: str, piped: Any, *arguments: Any) -> Any:
        """Call a function with what was piped into it, as the last argument."""
        return self.call(name, *arguments, fields.value(piped))

    def text_of(self, dot: Any, *names: str) -> str:
        """Return what is printed for a field of the dot."""
        return self.text(fields.field(dot, "", *names), "." + ".".join(names))

    def text(self, value: Any, source: str) -> str:
        """Return what is printed for a pipeline; *source* is how the template writes it."""
        if value is None or isinstance(value, NoValue):
            if not self._strict:
                return "<no value>"
            reason = value if isinstance(value, NoValue) else NO_VALUE
            raise GoTemplateError(f"`{source}` has no value: {reason}")
        if type(value) is not str:
            value = _display(value, source)
        if not value.isascii():
            _refuse_bytes(value, source)
        return str(value)


def _display(value: Any, source: str) -> str:
    try:
        return printed.display(value)
    except (GoTemplateError, TypeError, ValueError) as error:
        raise GoTemplateError(f"`{source}` cannot be printed: {error}") from error


def _refuse_bytes(text: str, source: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise GoTemplateError(f"`{source}` is not valid UTF-8") from None


def _refuse_missing(name: str, arguments: tuple[Any, ...]) -> None:
    for argument in arguments:
        if argument is None or isinstance(argument, NoValue):
            reason = argument if isinstance(argument, NoValue) else NO_VALUE
            raise GoTemplateError(f"{name}: an argument has no value: {reason}")


def fail(message: str) -> NoReturn:
    """Fail where the template has a mistake that Go notices only when it gets there."""
    raise GoTemplateError(message)


def last(*values: Any) -> Any:
    """Return the last of several values, all of which had to be computed."""
    return values[-1]


def include(macro: Callable[[Any], str], data: Any = NO_VALUE) -> str:
    """Render another template."""
    try:
        return macro(fields.value(data))
    except RecursionError:
        raise GoTemplateError("templates include each other too deeply, or without end") from None


def call_method(value: Any, path: str, names: tuple[str, ...], *arguments: Any) -> Any:
    """Call a method with arguments."""
    return fields.method(value, path, names, arguments)


def pipe_into_method(
    piped: Any, value: Any, path: str, names: tuple[str, ...], *arguments: Any
) -> Any:
    """Call a method with what was piped into it, as the last argument."""
    return fields.method(value, path, names, (*arguments, fields.value(piped)))


def call(function: Any, *arguments: Any) -> NoReturn:  # noqa: ARG001 - nothing is callable
    """Fail: no value of a template is a function."""
    raise GoTemplateError(f"{truth.kind(function)} is no function")


def negate(value: Any) -> bool:
    """Say whether a value is not true."""
    return not truth.is_true(value)


_SHOWING_NO_VALUE = frozenset({"html", "js", "urlquery"})
"""Functions that turn nil into ``<no value>``, which nobody wants."""
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "call": call,
    "eq": comparison.eq,
    "ge": comparison.ge,
    "gt": comparison.gt,
    "html": printed.html,
    "index": indexing.index,
    "js": printed.js,
    "le": comparison.le,
    "len": indexing.length,
    "lt": comparison.lt,
    "ne": comparison.ne,
    "not": negate,
    "print": printed.sprint,
    "printf": printed.sprintf,
    "println": printed.sprintln,
    "slice": indexing.slice_,
    "urlquery": printed.urlquery,
}
_BUILTINS = {name: callee(name, function) for name, function in _FUNCTIONS.items()}
