"""What is wrong with a text that is no YAML, in words that say how to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml
from yaml.reader import ReaderError

from codexctl_tasks.errors import ConfigurationError, Location

if TYPE_CHECKING:
    from collections.abc import Callable

_AT_ITS_BEGINNING = ("while scanning a simple key", "while scanning a quoted scalar")
"""The mistake is where such a thing begins; the parser notices it later."""
_QUOTE_IT = "put it in quotes"
_CONTINUATION = "correct its indentation, or the quotes there and on the line above"
_BLANKS = "use blanks"
_WORDS = {
    "found a tab character": ("is indented with a tab", _BLANKS),
    "found unexpected end of stream": ("a quote is opened here and never closed", "close it"),
    "found unexpected document indicator": ("a quote is opened here and never closed", "close it"),
    "found unknown escape character": (
        "a backslash stands before a character that needs none",
        "use single quotes, or write the backslash twice",
    ),
    "did not find expected ',' or": (
        "the bracket of line {begin} lacks a comma or its end",
        "add it, or put the text in quotes",
    ),
    "did not find expected node content": (
        "a value is missing, or a bracket or comma is too many",
        "correct it, or put the text in quotes",
    ),
    "could not find expected ':'": (
        "this is no KEY: VALUE",
        "write the colon and a blank behind it",
    ),
    "mapping values are not allowed": (
        "no key can stand here",
        "put a text that holds ': ' in quotes, or correct the indentation",
    ),
    "block sequence entries are not allowed": (
        "no list can begin here",
        "begin it on the next line, or put the text in quotes",
    ),
    "did not find expected key": (
        "this does not continue the keys that begin on line {begin}",
        _CONTINUATION,
    ),
    "did not find expected '-' indicator": (
        "this does not continue the list that begins on line {begin}",
        _CONTINUATION,
    ),
    "did not find expected <document start>": (
        "this does not continue what stands above",
        _CONTINUATION,
    ),
    "did not find expected alphabetic or numeric": (
        "a value begins with a character that means something else in YAML",
        _QUOTE_IT,
    ),
    "did not find expected comment or line break": (
        "a text stands behind '|' or '>'",
        "begin it on the next line, indented",
    ),
    "found undefined alias": (
        "the alias {word} has no anchor above it",
        "define it, or put the text in quotes",
    ),
    "could not determine a constructor": ("its tag means nothing here", "remove the tag"),
    "found undefined tag handle": ("its tag means nothing here", "remove the tag"),
    "second occurrence": (
        "an anchor of this name exists already",
        "give one of them another name",
    ),
    "expected a mapping or list of mappings for merging": (
        "'<<' merges what is no mapping",
        "name the alias of a mapping",
    ),
}
_OTHERWISE = "check indentation, colons and quotes there and on the line above"


class Mistake(yaml.MarkedYAMLError):
    """YAML that PyYAML would take, although no manifest can be like that."""

    def __init__(self, what: str, fix: str, node: yaml.Node) -> None:
        super().__init__(problem=what, problem_mark=node.start_mark, note=fix)


def explained(
    error: Exception, text: str, file: str, place_of: Callable[[int], Location], *, raw: bool
) -> ConfigurationError:
    """
    Return the error to show.

    Args:
        error: What the parser says.
        text: What it has read.
        file: Its name.
        place_of: Tells where a line of *text*, from 1, was written.
        raw: The text is a template that has not been rendered yet.
    """
    if isinstance(error, ReaderError):
        line = text.encode()[: error.position].count(b"\n") + 1
        what = f"holds the control character U+{error.character:04X}"
        return ConfigurationError(place_of(line), what, "remove it")
    if not isinstance(error, yaml.MarkedYAMLError):
        return ConfigurationError(Location(file), "is nested too deeply", "make it flatter")
    mark = error.problem_mark or error.context_mark
    if error.context in _AT_ITS_BEGINNING or (mark and mark.index >= len(text.rstrip())):
        mark = error.context_mark or mark
    if mark is None:
        return ConfigurationError(Location(file), f"is not valid YAML: {error}", _OTHERWISE)
    begin = place_of(line_of(text, error.context_mark)).line if error.context_mark else 0
    before, rest = _halves(text, mark)
    if raw and ("{{" in before + rest or "{%" in before + rest):
        what, _ = _words(error, before, rest, begin)
        what = f"is not valid YAML before it is rendered: {what}"
        fix = "put templates in quotes, or behind a #"
    else:
        what, fix = _words(error, before, rest, begin)
        what = f"is not valid YAML: {what}"
    return ConfigurationError(place_of(line_of(text, mark)), what, fix)


def line_of(text: str, mark: yaml.Mark) -> int:
    """
    Return the line of a mark, from 1, as editors count.

    PyYAML's own count takes characters for line breaks that are none outside of YAML 1.1.
    """
    return text.count("\n", 0, mark.index) + 1


def _halves(text: str, mark: yaml.Mark) -> tuple[str, str]:
    """Return what stands before and behind a mark on its line."""
    begin, end = text.rfind("\n", 0, mark.index) + 1, text.find("\n", mark.index)
    return text[begin : mark.index], text[mark.index : end if end >= 0 else len(text)]


def _words(
    error: yaml.MarkedYAMLError, before: str, rest: str, begin: int | None
) -> tuple[str, str]:
    problem = error.problem or error.context or "it makes no sense"
    if isinstance(error, Mistake):
        return problem, error.note or _OTHERWISE
    if problem.startswith("found character that cannot start"):
        if rest.startswith("\t"):
            return ("holds a tab" if before.strip() else "is indented with a tab"), _BLANKS
        return f"a value begins with {rest[:1]!r}", _QUOTE_IT
    for beginning, (what, fix) in _WORDS.items():
        if problem.startswith(beginning):
            word = rest.split(maxsplit=1)[0].rstrip(",]}") if rest.strip() else ""
            return what.format(begin=begin, word=word), fix
    return problem, _OTHERWISE
