"""Translate pipelines into calls of the runtime."""

from __future__ import annotations

from itertools import count
from typing import Any

from jinja2 import Environment, nodes
from jinja2.parser import Parser

from codexctl_tasks.stack.gotemplate.syntax import (
    Bool,
    Chain,
    Command,
    Dot,
    Field,
    Function,
    Nil,
    Number,
    Operand,
    Pipeline,
    String,
    Variable,
)

_SHORTCUTS = ("and", "or")
_ENVIRONMENT = Environment()  # noqa: S701 - nothing is rendered by it


def call(function: str, line: int, *arguments: nodes.Expr) -> nodes.Call:
    """Make a call of a function of the runtime, which is an attribute of the environment."""
    called = nodes.EnvironmentAttribute(function, lineno=line)
    return nodes.Call(called, list(arguments), [], None, None, lineno=line)


def load(name: str, line: int) -> nodes.Name:
    """Make a reference to a name."""
    return nodes.Name(name, "load", lineno=line)


class Locals:
    """
    What a translation keeps between its parts: identifiers of Jinja2 that no template can write.

    Jinja2 takes them as they are, where it tracks names through all scopes of a template.
    """

    def __init__(self) -> None:
        self._parser = Parser(_ENVIRONMENT, "")
        self._known: dict[str, nodes.InternalName] = {}

    def __getitem__(self, name: str) -> nodes.InternalName:
        """Return the identifier that stands for a name."""
        if name not in self._known:
            self._known[name] = self._parser.free_identifier()
        return self._known[name]


class Expressions:
    """Translates pipelines; *dot* is always the name that holds the current value."""

    def __init__(self, scope: str, local: Locals) -> None:
        """*scope* is the name that holds the variables."""
        self._scope = scope
        self._local = local
        self._numbers = count(1)
        self._line = 1

    def pipeline(self, pipeline: Pipeline, dot: str) -> nodes.Expr:
        """Translate a pipeline; its value may still be a nil that should count as no value."""
        outer_line, self._line = self._line, pipeline.line
        value: nodes.Expr | None = None
        for command in pipeline.commands:
            value = self._command(command, dot, value)
        assert value is not None  # noqa: S101 - the parser refuses an empty pipeline
        if pipeline.variables:
            names = map(self._const, pipeline.variables)
            keep = "go_assign" if pipeline.assigns else "go_declare"
            value = self._call(keep, self._load(self._scope), value, *names)
        self._line = outer_line
        return value

    def _command(self, command: Command, dot: str, piped: nodes.Expr | None) -> nodes.Expr:
        operand = command.operand
        if piped is None and not command.arguments:
            return self._alone(operand, dot)
        arguments = [self._argument(each, dot) for each in command.arguments]
        if isinstance(operand, Function):
            return self._function(operand.name, arguments, piped)
        if isinstance(operand, Field | Chain | Variable) and operand.names:
            return self._method(operand, dot, arguments, piped)
        return self._fail(f"`{command.source}` is no function, so it takes no argument")

    def _alone(self, operand: Operand, dot: str) -> nodes.Expr:
        """Translate the operand of a command without arguments."""
        if isinstance(operand, Nil):
            return self._fail("nil is no command")
        if isinstance(operand, Number):
            return self._number(operand)
        if isinstance(operand, Pipeline):
            return self.pipeline(operand, dot)
        return self._argument(operand, dot)

    def _argument(self, operand: Operand, dot: str) -> nodes.Expr:  # noqa: PLR0911 - one per kind
        """Translate what stands as an argument."""
        match operand:
            case Dot():
                return self._load(dot)
            case Nil():
                return nodes.EnvironmentAttribute("go_nil", lineno=self._line)
            case Bool(value) | String(value):
                return self._const(value)
            case Number():
                return self._constant(operand)
            case Function(name):
                return self._function(name, [], None)
            case Pipeline():
                return self._call("go_value", self.pipeline(operand, dot))
            case Variable(name, names) if not names:
                return self._variable(name)
            case Field(names) | Variable(_, names) | Chain(_, names):
                fields = map(self._const, names)
                return self._call("go_field", *self._receiver(operand, dot), *fields)

    def _receiver(self, operand: Field | Variable | Chain, dot: str) -> tuple[nodes.Expr, ...]:
        """Translate what fields are taken from, and tell what messages should call it."""
        if isinstance(operand, Field):
            return self._load(dot), self._const("")
        if isinstance(operand, Variable):
            return self._variable(operand.name), self._const(operand.name)
        inner = operand.operand
        shown = inner.name if isinstance(inner, Function) else f"({inner.source})"
        return self._argument(inner, dot), self._const(shown)

    def _function(
        self, name: str, arguments: list[nodes.Expr], piped: nodes.Expr | None
    ) -> nodes.Expr:
        if name in _SHORTCUTS:
            return self._shortcut(name, arguments, piped)
        if piped is None:
            return self._call("go_call", self._const(name), *arguments)
        # What is piped has been computed before the arguments, but is the last one.
        return self._call("go_pipe", self._const(name), piped, *arguments)

    def _method(
        self,
        operand: Field | Variable | Chain,
        dot: str,
        arguments: list[nodes.Expr],
        piped: nodes.Expr | None,
    ) -> nodes.Expr:
        method = (*self._receiver(operand, dot), self._const(operand.names))
        if piped is None:
            return self._call("go_method", *method, *arguments)
        return self._call("go_pipe_method", piped, *method, *arguments)

    def _shortcut(
        self, name: str, arguments: list[nodes.Expr], piped: nodes.Expr | None
    ) -> nodes.Expr:
        """Translate ``and`` and ``or``, which look at no more operands than they need."""
        hidden = self._const(f"|{next(self._numbers)}")  # no variable can have this name
        scope = self._load(self._scope)
        operands = list(arguments)
        if piped is not None:
            operands.append(self._call("go_variable", scope, hidden))
        if not operands:
            return self._fail(f"{name} needs an argument")
        value = operands.pop()
        for operand in reversed(operands):
            stops = self._call("go_stops", scope, self._const(name == "or"), operand)
            value = nodes.CondExpr(stops, self._call("go_kept", scope), value, lineno=self._line)
        if piped is None:
            return value
        return self._call("go_last", self._call("go_declare", scope, piped, hidden), value)

    def _number(self, number: Number) -> nodes.Expr:
        """Translate a number where its looks tell its type."""
        if number.untyped is None:
            return self._fail(f"{number.text} is too large for an int")
        return self._const(number.untyped)

    def _constant(self, number: Number) -> nodes.Expr:
        """Translate a number as an argument: 1.0 is an int if the function wants one."""
        if number.integer is None or not isinstance(number.untyped, float):
            return self._number(number)
        return self._call("go_constant", self._const(number.untyped))

    def _variable(self, name: str) -> nodes.Expr:
        return self._call("go_variable", self._load(self._scope), self._const(name))

    def _fail(self, problem: str) -> nodes.Expr:
        """Translate what is wrong only if it is reached."""
        return self._call("go_fail", self._const(problem))

    def _call(self, function: str, *arguments: nodes.Expr) -> nodes.Expr:
        return call(function, self._line, *arguments)

    def _load(self, name: str) -> nodes.Expr:
        return self._local[name]

    def _const(self, value: Any) -> nodes.Const:
        return nodes.Const(value, lineno=self._line)
