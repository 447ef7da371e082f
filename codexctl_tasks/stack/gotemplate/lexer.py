"""
Cut a Go template into text and the tokens of its actions.

Rules: https://pkg.go.dev/text/template#hdr-Text_and_spaces. Everything is cut lazily, so that of
several mistakes the first one is reported.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator


class Kind(Enum):
    """What a token is."""

    TEXT = auto()
    OPEN = auto()
    CLOSE = auto()
    KEYWORD = auto()
    IDENTIFIER = auto()
    VARIABLE = auto()
    FIELD = auto()
    DOT = auto()
    BOOL = auto()
    NIL = auto()
    NUMBER = auto()
    CHARACTER = auto()
    STRING = auto()
    PIPE = auto()
    LEFT = auto()
    RIGHT = auto()
    ASSIGN = auto()
    DECLARE = auto()
    OTHER = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a template."""

    kind: Kind
    text: str
    line: int
    """Of its first character, from 1."""
    start: int = 0
    """Index of its first character in the template."""
    spaced: bool = False
    """Whether blanks stand before it; only inside actions."""


class LexicalError(Exception):
    """A template that cannot even be cut into tokens."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


KEYWORDS: Final = frozenset(
    "block break continue define else end if range template with".split()  # noqa: SIM905
)
_SPACE = " \t\r\n"
_TRIM_BEFORE = re.compile(r"-[ \t\r\n]")
_COMMENT_CLOSE = re.compile(r"([ \t\r\n]-)?\}\}")
_CLOSE = re.compile(r"(?:([ \t\r\n]+-)|[ \t\r\n]*)\}\}")
_BLANKS = re.compile(r"[ \t\r\n]+")
_WORD = re.compile(r"[A-Za-z0-9_]*")
_NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?"
    r"|0[oO][0-7_]*(?:\.[0-7_]*)?"
    r"|0[bB][01_]*(?:\.[01_]*)?"
    r"|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?"
)
_QUOTED: Final = {
    '"': (re.compile(r'"(?:[^"\\\n]|\\[^\n])*"'), Kind.STRING, "this string has no closing quote"),
    "'": (
        re.compile(r"'(?:[^'\\\n]|\\[^\n])*'"),
        Kind.CHARACTER,
        "this character has no closing quote",
    ),
    "`": (re.compile(r"`[^`]*`"), Kind.STRING, "this raw string has no closing back quote"),
}
_SIGNS: Final = {
    "|": Kind.PIPE,
    "=": Kind.ASSIGN,
    ":=": Kind.DECLARE,
    "(": Kind.LEFT,
    ")": Kind.RIGHT,
}
_DIGIT = re.compile(r"[0-9]")
_TERMINATORS = frozenset(_SPACE + ".,|:)(")


def read_tokens(text: str) -> Iterator[Token]:
    """
    Yield the tokens of a template, the last one being END.

    Raises:
        LexicalError: What follows is no token, or an action, comment or string does not end.
    """
    return _Lexer(text).tokens()


class _Lexer:
    """The place in the text up to which it has been cut."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._depth = 0

    def tokens(self) -> Iterator[Token]:
        """Yield all tokens."""
        text = self._text
        while (opening := text.find("{{", self._at)) >= 0:
            trims = _TRIM_BEFORE.match(text, opening + 2) is not None
            end = opening
            while trims and end > self._at and text[end - 1] in _SPACE:
                end -= 1
            if end > self._at:
                yield self._take(Kind.TEXT, end)
            self._skip(opening)
            inside = opening + (4 if trims else 2)
            if text.startswith("/*", inside):
                self._skip_comment(inside)
                continue
            yield self._take(Kind.OPEN, opening + 2)
            self._skip(inside)
            yield from self._action()
        if self._at < len(text):
            yield self._take(Kind.TEXT, len(text))
        yield self._take(Kind.END, len(text))

    def _skip_comment(self, inside: int) -> None:
        end = self._text.find("*/", inside + 2)
        if end < 0:
            raise LexicalError("this comment has no end", self._line)
        closing = _COMMENT_CLOSE.match(self._text, end + 2)
        if not closing:
            raise LexicalError("`}}` or ` -}}` must follow the end of a comment", self._line)
        self._close(closing)

    def _close(self, closing: re.Match[str]) -> None:
        """Move behind the end of an action, and behind blanks if it trims them."""
        end = closing.end()
        if closing[1]:
            while end < len(self._text) and self._text[end] in _SPACE:
                end += 1
        self._skip(end)

    def _action(self) -> Iterator[Token]:
        """Yield the tokens up to and including the end of the action."""
        text, opened_line = self._text, self._line
        self._depth = 0
        while not (closing := _CLOSE.match(text, self._at)):
            blanks = _BLANKS.match(text, self._at)
            if blanks:
                self._skip(blanks.end())
            if self._at >= len(text):
                raise LexicalError("this action is not closed by `}}`", opened_line)
            yield self._inner(spaced=blanks is not None)
        if self._depth:
            raise LexicalError("a parenthesis is not closed", self._line)
        token = Token(Kind.CLOSE, "}}", self._line, self._at, closing[1] is not None)
        self._close(closing)
        yield token

    def _inner(self, *, spaced: bool) -> Token:
        """Take one token inside an action."""
        text, at = self._text, self._at
        first = text[at]
        if first in _QUOTED:
            return self._quoted(first, spaced)
        if first == "$" or (first == "." and not _DIGIT.match(text, at + 1)):
            kind = Kind.VARIABLE if first == "$" else Kind.FIELD
            return self._name(kind, at + 1, spaced)
        if first in ".+-" or _DIGIT.match(first):
            return self._number(spaced)
        if _is_alphanumeric(first):
            return self._name(Kind.IDENTIFIER, at, spaced)
        return self._sign(spaced)

    def _sign(self, spaced: bool) -> Token:
        sign = ":=" if self._text.startswith(":=", self._at) else self._text[self._at]
        self._depth += {"(": 1, ")": -1}.get(sign, 0)
        if self._depth < 0:
            raise LexicalError("unexpected `)`", self._line)
        if sign == ":" or not (sign.isascii() and sign.isprintable()):
            raise LexicalError(f"unexpected character {sign!r} in an action", self._line)
        kind = _SIGNS.get(sign, Kind.OTHER)
        return self._take(kind, self._at + len(sign), spaced=spaced)

    def _quoted(self, quote: str, spaced: bool) -> Token:
        pattern, kind, problem = _QUOTED[quote]
        if not (found := pattern.match(self._text, self._at)):
            raise LexicalError(problem, self._line)
        return self._take(kind, found.end(), spaced=spaced)

    def _number(self, spaced: bool) -> Token:
        end = self._number_end(self._at)
        if self._text[end : end + 1] in ("+", "-"):  # complex, such as 1+2i
            end = self._number_end(end)
            if self._text[end - 1] != "i":
                raise self._bad_number(end)
        return self._take(Kind.NUMBER, end, spaced=spaced)

    def _number_end(self, start: int) -> int:
        found = _NUMBER.match(self._text, start)
        end = found.end() if found else start
        if end < len(self._text) and _is_alphanumeric(self._text[end]):
            raise self._bad_number(end + 1)
        return end

    def _bad_number(self, end: int) -> LexicalError:
        return LexicalError(f"{self._text[self._at : end]!r} is no number", self._line)

    def _name(self, kind: Kind, start: int, spaced: bool) -> Token:
        """Take a word; *start* is where its letters begin, behind a dot or dollar sign."""
        text = self._text
        end = start
        while True:
            found = _WORD.match(text, end)
            end = found.end() if found else end
            if end >= len(text) or not _is_alphanumeric(text[end]):
                break
            end += 1
        if end < len(text) and text[end] not in _TERMINATORS and not text.startswith("}}", end):
            word = text[self._at : end]
            raise LexicalError(f"unexpected character {text[end]!r} after {word!r}", self._line)
        if kind is Kind.FIELD and end == start:
            kind = Kind.DOT
        if kind is Kind.IDENTIFIER:
            kind = _kind_of_word(text[start:end])
        return self._take(kind, end, spaced=spaced)

    def _take(self, kind: Kind, end: int, *, spaced: bool = False) -> Token:
        token = Token(kind, self._text[self._at : end], self._line, self._at, spaced)
        self._skip(end)
        return token

    def _skip(self, end: int) -> None:
        self._line += self._text.count("\n", self._at, end)
        self._at = end


def _kind_of_word(word: str) -> Kind:
    if word in KEYWORDS:
        return Kind.KEYWORD
    if word in ("true", "false"):
        return Kind.BOOL
    return Kind.NIL if word == "nil" else Kind.IDENTIFIER


def _is_alphanumeric(character: str) -> bool:
    """Say whether Go counts this as a letter or digit: superscripts, for one, are neither."""
    return character == "_" or character.isalpha() or character.isdecimal()
