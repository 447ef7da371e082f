"""The tokens of a template, one after the other, and how mistakes in them are reported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codexctl_tasks.errors import ConfigurationError, Location
from codexctl_tasks.stack.gotemplate.lexer import Kind, LexicalError, Token, read_tokens

if TYPE_CHECKING:
    from collections.abc import Callable

_DOCUMENTATION = "see https://pkg.go.dev/text/template"
_LONGEST_SHOWN = 60


class Tokens:
    """A stream with as much lookahead as needed; mistakes become `ConfigurationError`."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self._file = file
        self._rest = read_tokens(text)
        self._ahead: list[Token] = []
        self._opened = 1
        """The line in which the action begins that was read last."""

    def peek(self, distance: int = 0) -> Token:
        """Return a token without taking it; 0 is the next one."""
        while len(self._ahead) <= distance:
            try:
                token = next(self._rest)
            except LexicalError as error:
                raise self.failure(str(error), error.line) from None
            self._ahead.append(token)
            if token.kind is Kind.OPEN:
                self._opened = token.line
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
        return self.failure(f"unexpected `{shorten(token.text)}` in {context}", token.line)

    def failure(self, message: str, line: int, fix: str = _DOCUMENTATION) -> ConfigurationError:
        """Return the error for a mistake in a line."""
        if line > self._opened:  # perhaps what is wrong is that it is still open
            message += f", in the action opened in line {self._opened}"
        return ConfigurationError(Location(self._file, line), f"template syntax: {message}", fix)


def shorten(text: str) -> str:
    """Return what a message shows of a piece of the template."""
    shown = text.partition("\n")[0]
    is_all = shown == text and len(shown) <= _LONGEST_SHOWN
    return shown if is_all else f"{shown[:_LONGEST_SHOWN].rstrip()}..."
