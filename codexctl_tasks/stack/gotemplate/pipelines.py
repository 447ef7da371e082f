"""Parse what stands inside an action: pipelines of commands with operands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from codexctl_tasks.stack.gotemplate.absence import nearest
from codexctl_tasks.stack.gotemplate.lexer import Kind, Token
from codexctl_tasks.stack.gotemplate.literals import parse_number, unquote
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
from codexctl_tasks.stack.gotemplate.tokens import shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from codexctl_tasks.stack.gotemplate.tokens import Tokens

_HIGHEST = 40
"""Calls in calls; Python's own compiler gives up at some 90."""
_MOST_LOOP_VARIABLES = 2


@dataclass(slots=True)
class Names:
    """What is known while one template is parsed."""

    functions: Collection[str]
    variables: list[str] = field(default_factory=lambda: ["$"])
    """In the order of declaration; blocks drop theirs at their end."""
    loops: int = 0
    """How many loops are open here."""


class PipelineParser:
    """Parses pipelines of one template."""

    def __init__(self, tokens: Tokens, names: Names) -> None:
        self._tokens = tokens
        self._names = names
        self._depth = 0
        self._terms: dict[Kind, Callable[[Token], Operand]] = {
            Kind.BOOL: lambda token: Bool(token.text == "true"),
            Kind.CHARACTER: self._number,
            Kind.DOT: lambda _: Dot(),
            Kind.FIELD: lambda token: Field((token.text[1:],)),
            Kind.IDENTIFIER: self._function,
            Kind.LEFT: self._parenthesized,
            Kind.NIL: lambda _: Nil(),
            Kind.NUMBER: self._number,
            Kind.STRING: lambda token: String(tokens.unescape(unquote, token)),
            Kind.VARIABLE: self._variable,
        }

    def pipeline(self, context: str, end: Kind = Kind.CLOSE) -> Pipeline:
        """Parse a pipeline and the token *end* behind it; *context* is its name in messages."""
        first = self._tokens.peek()
        variables, assigns = self._declarations(context)
        commands: list[Command] = []
        while (token := self._tokens.peek()).kind is not end:
            if token.kind not in self._terms:
                raise self._tokens.unexpected(token, context)
            if commands and token.kind is not Kind.LEFT:
                self._refuse_literal(token, len(commands) + 1)
            commands.append(self._command())
        if not commands:
            raise self._tokens.failure(f"a value is missing in {context}", token.line)
        self._tokens.take()
        source = shorten(self._tokens.text[first.start : token.start].strip())
        pipeline = Pipeline(first.line, tuple(commands), variables, assigns, source)
        if pipeline.height() > _HIGHEST:
            raise self._tokens.failure(
                f"more than {_HIGHEST} calls inside each other in {context}",
                first.line,
                "give the result of some to a variable first",
            )
        return pipeline

    def _declarations(self, context: str) -> tuple[tuple[str, ...], bool]:
        """Parse ``$a :=``, ``$a =`` or, for loops, ``$a, $b :=``."""
        tokens, found = self._tokens, list[str]()
        while tokens.peek().kind is Kind.VARIABLE:
            following = tokens.peek(1)
            if following.kind in (Kind.ASSIGN, Kind.DECLARE):
                found.append(self._declare())
                return tuple(found), following.kind is Kind.ASSIGN
            if not (following.kind is Kind.OTHER and following.text == ","):
                break
            found.append(self._declare())
            if context != "range" or len(found) >= _MOST_LOOP_VARIABLES:
                raise tokens.failure(f"too many variables in {context}", following.line)
            if tokens.peek().kind not in (Kind.VARIABLE, Kind.CLOSE, Kind.RIGHT):
                raise tokens.unexpected(tokens.peek(), "the variables of range")
        return tuple(found), False

    def _declare(self) -> str:
        """Take a variable and the sign behind it."""
        name = self._tokens.take().text
        self._tokens.take()
        self._names.variables.append(name)
        return name

    def _refuse_literal(self, token: Token, stage: int) -> None:
        """Only the first command of a pipeline can be a plain value."""
        if token.kind not in (Kind.IDENTIFIER, Kind.FIELD, Kind.VARIABLE):
            raise self._tokens.failure(
                f"`{shorten(token.text)}` in stage {stage} of a pipeline is no function", token.line
            )

    def _command(self) -> Command:
        """Parse operands with blanks between them, and the `|` behind them."""
        tokens = self._tokens
        start = tokens.peek().start
        operands = [self._operand()]
        source = shorten(tokens.text[start : tokens.peek().start].strip())
        while (token := tokens.peek()).kind in self._terms and token.spaced:
            operands.append(self._operand())
        if token.kind is Kind.PIPE:
            tokens.take()
        elif token.kind not in (Kind.CLOSE, Kind.RIGHT):
            raise tokens.unexpected(token, "a command")
        return Command(operands[0], tuple(operands[1:]), source)

    def _operand(self) -> Operand:
        """Parse a term with the fields that follow it without a blank."""
        token = self._tokens.peek()
        term = self._term()
        names: list[str] = []
        while (following := self._tokens.peek()).kind is Kind.FIELD and not following.spaced:
            names.append(self._tokens.take().text[1:])
        if not names:
            return term
        if isinstance(term, Field):
            return Field((*term.names, *names))
        if isinstance(term, Variable):
            return Variable(term.name, tuple(names))
        if isinstance(term, Function | Pipeline):
            return Chain(term, tuple(names))
        raise self._tokens.failure(f"`{shorten(token.text)}` has no fields", token.line)

    def _term(self) -> Operand:
        token = self._tokens.take()
        return self._terms[token.kind](token)

    def _parenthesized(self, token: Token) -> Pipeline:
        self._depth += 1
        if self._depth > _HIGHEST:
            raise self._tokens.failure(
                f"more than {_HIGHEST} parentheses inside each other",
                token.line,
                "give the inner ones to a variable first",
            )
        pipeline = self.pipeline("parentheses", Kind.RIGHT)
        self._depth -= 1
        return pipeline

    def _variable(self, token: Token) -> Variable:
        if token.text not in self._names.variables:
            hint = nearest(token.text, dict.fromkeys(self._names.variables))
            raise self._tokens.failure(
                f"undefined variable {token.text!r}{hint}", token.line, "declare it with :="
            )
        return Variable(token.text)

    def _function(self, token: Token) -> Function:
        if token.text not in self._names.functions:
            hint = nearest(token.text, dict.fromkeys(self._names.functions))
            raise self._tokens.failure(
                f"unknown function {token.text!r}{hint}",
                token.line,
                "fields begin with a dot, strings stand in quotes",
            )
        return Function(token.text)

    def _number(self, token: Token) -> Number:
        try:
            number = parse_number(token.text)
        except ValueError as error:
            raise self._tokens.failure(str(error), token.line) from None
        untyped = number.float_value if number.is_float else number.int_value
        return Number(token.text, number.int_value, untyped)
