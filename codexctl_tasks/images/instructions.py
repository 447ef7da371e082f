"""
A Dockerfile as instructions (pure): lines joined, comments and heredocs left out, words expanded.

The rules are those of BuildKit's parser, as far as one has to know them to see on what a build
depends; what is wrong otherwise, the builder says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import dropwhile, takewhile
from typing import TYPE_CHECKING

from codexctl_tasks.errors import ConfigurationError, Location

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*")
_WORD = re.compile(r"""(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*'|["'\\])+""")
_FLAG = re.compile(r"--([a-z-]+)(?:=(.*))?", re.DOTALL)
_HEREDOC = re.compile(r"\d*<<(-?)([^<]+)")
_WITH_HEREDOCS = frozenset({"RUN", "COPY", "ADD"})
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?:(:?[-+?])|\})|(\w+))")
_COMMENT = re.compile(r"\s*#")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a Dockerfile."""

    keyword: str
    """In capitals: ``FROM``."""
    rest: str
    """What follows, in one line, without the texts of heredocs."""
    location: Location

    @property
    def flags(self) -> list[tuple[str, str]]:
        """Its flags with their values: ``--from=x`` is ``("from", "x")``."""
        found = (_FLAG.fullmatch(word) for word in takewhile(_FLAG.fullmatch, words(self.rest)))
        return [(each[1], each[2] or "") for each in found if each]

    @property
    def words(self) -> list[str]:
        """Its words after the flags, as they are written."""
        return list(dropwhile(_FLAG.fullmatch, words(self.rest)))

    def error(self, what: str, fix: str = "") -> ConfigurationError:
        """Return a mistake in it."""
        return ConfigurationError(self.location, what, fix)


@dataclass(frozen=True, slots=True)
class Source:
    """The text of a Dockerfile, taken apart."""

    instructions: tuple[Instruction, ...]
    syntax: str = ""
    """The image that reads it, of ``# syntax=``; empty: the builder itself."""


def read_dockerfile(text: str, file: str) -> Source:
    """
    Take a Dockerfile apart.

    Args:
        text: Of the file; a byte-order mark does not matter.
        file: What messages call it.

    Raises:
        ConfigurationError: A heredoc has no end, with the line.
    """
    lines = text.removeprefix("\ufeff").splitlines()
    directives = dict(_directives(lines))
    escape = "`" if directives.get("escape") == "`" else "\\"
    instructions = tuple(_instructions(lines, file, escape))
    return Source(instructions, directives.get("syntax", "").partition(" ")[0])


def words(text: str) -> list[str]:
    """Return words as a shell splits them, with their quotes."""
    return [found[0] for found in _WORD.finditer(text)]


def expand(text: str, values: Mapping[str, str]) -> str:
    """
    Return a word without quotes and escapes, its variables replaced; what has no value is empty.

    Raises:
        ValueError: A variable is written in a way that is not known, or is missing (``:?``).
    """
    expanded, _ = _expand(text, values, 0, "")
    return expanded


def _directives(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the directives at the top: anything else, also an empty line, ends them."""
    for number, line in enumerate(lines):
        if not number and line.startswith("#!"):
            continue
        if not (found := _DIRECTIVE.fullmatch(line.strip())):
            return
        yield found[1].lower(), found[2]


def _instructions(lines: list[str], file: str, escape: str) -> Iterator[Instruction]:
    goes_on = re.compile(rf"(?<!{re.escape(escape)}){re.escape(escape)}[ \t]*\Z")
    numbered = iter(enumerate(lines, 1))
    for number, line in numbered:
        if not line.strip() or _COMMENT.match(line):
            continue
        whole, current = "", line
        while found := goes_on.search(current):
            whole += current[: found.start()]
            current = next((more for _, more in numbered if not _is_skipped(more)), "")
        keyword, _, rest = (whole + current).strip().partition(" ")
        keyword, _, more = keyword.partition("\t")
        instruction = Instruction(keyword.upper(), f"{more} {rest}".strip(), Location(file, number))
        _skip_heredocs(instruction, numbered)
        yield instruction


def _is_skipped(line: str) -> bool:
    """Tell whether a line inside of an instruction is none of it."""
    return not line.strip() or _COMMENT.match(line) is not None


def _skip_heredocs(instruction: Instruction, numbered: Iterator[tuple[int, str]]) -> None:
    if instruction.keyword not in _WITH_HEREDOCS:
        return
    for word in words(instruction.rest):
        if not (found := _HEREDOC.fullmatch(word)):
            continue
        end = re.sub(r"[\"'\\]", "", found[2])
        bodies = (line.lstrip("\t") if found[1] else line for _, line in numbered)
        if not any(line == end for line in bodies):
            raise instruction.error(f"the heredoc {end} has no end", f"add a line {end}")


def _expand(text: str, values: Mapping[str, str], at: int, end: str) -> tuple[str, int]:
    """Expand from a position up to the character *end*; return the text and where that was."""
    made, quote = "", ""
    while at < len(text):
        character = text[at]
        if character == end and not quote:
            return made, at
        if character == "\\" and quote != "'" and at + 1 < len(text):
            made, at = made + text[at + 1], at + 2
        elif character in "\"'" and quote in ("", character):
            quote, at = character if not quote else "", at + 1
        elif character == "$" and quote != "'":
            value, at = _variable(text, values, at)
            made += value
        else:
            made, at = made + character, at + 1
    if end:
        raise ValueError(f"{text} has no closing brace")
    return made, at


def _variable(text: str, values: Mapping[str, str], at: int) -> tuple[str, int]:
    """Return the value of the variable at a position, and where it ends."""
    found = _VARIABLE.match(text, at)
    if found is None:
        raise ValueError(f"{text} has a variable that is not understood")
    name, operator = found[1] or found[3], found[2]
    value = values.get(name)
    if not operator:
        return value or "", found.end()
    other, end = _expand(text, values, found.end(), "}")
    is_there = bool(value) if operator.startswith(":") else value is not None
    if operator[-1] == "+":
        return other if is_there else "", end + 1
    if operator[-1] == "?" and not is_there:
        raise ValueError(f"{name} has no value: {other}" if other else f"{name} has no value")
    return (value or "") if is_there else other, end + 1
