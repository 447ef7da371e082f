"""The tokens of a template, one after the other, and how mistakes in them are reported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codexctl_tasks.errors import ConfigurationError, Location
from codexctl_tasks.stack.gotemplate.lexer import Kind, LexicalError, Token, read_tokens

if TYPE_CHECKING:
    from collections.abc import Callable

_DOCUMENTATION = "see https://pkg.go.dev/text/template"
_LONGEST_SHOWN = 30


class Tokens:
    """A stream with as much lookahead as needed; mistakes become `ConfigurationError`."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self._file = file
        self._rest = read_tokens(text)
        self._ahead: list[Token] = []

    def peek(self, distance: int = 0) -> Token:
        """Return a token without taking it; 0 is the next one."""
        while len(self._ahead) <= distance:
            try:
                self._ahead.append(next(self._rest))
            except LexicalError as error:
                raise self.failure(str(error), error.line) from None
        return self._ahead[distance]

    def take(self) -> Token:
        """Return the next token and go on behind it."""
        token = self.peek()
        self._ahead.pop(0)
        return token

    def expect(self, kind: Kind, context: str) -> Token:
        """Take a token that must be of one kind."""
        if self.peek().kind is not kind:
            raise self.unexpected(self.peek(), context)
        return self.take()

    def at_keyword(self, *words: str, distance: int = 0) -> bool:
        """Say whether a keyword, one of *words*, comes next."""
        token = self.peek(distance)
        return token.kind is Kind.KEYWORD and token.text in words

    def unescape(self, convert: Callable[[str], str], token: Token) -> str:
        """Return what a literal stands for."""
        try:
            return convert(token.text)
        except ValueError as error:
            raise self.failure(str(error), token.line) from None

    def unexpected(self, token: Token, context: str) -> ConfigurationError:
        """Return the error for a token that makes no sense where it stands."""
        if token.kind is Kind.END:
            return self.failure(f"the template ends within {context}", token.line)
        shown = token.text.partition("\n")[0]
        if len(shown) > _LONGEST_SHOWN:
            shown = f"{shown[:_LONGEST_SHOWN]}..."
        return self.failure(f"unexpected `{shown}` in {context}", token.line)

    def failure(self, message: str, line: int, fix: str = _DOCUMENTATION) -> ConfigurationError:
        """Return the error for a mistake in a line."""
        return ConfigurationError(Location(self._file, line), f"template syntax: {message}", fix)
