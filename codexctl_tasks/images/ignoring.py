"""
What of a folder a build does not see: ``.dockerignore``, by the rules of Docker.

The last rule that matches wins. A rule also matches what is below a folder that it matches, and
an exception (``!``) takes something back even from a folder that is left out.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codexctl_tasks.errors import ConfigurationError, Location
from codexctl_tasks.stack.files import display, read_text

if TYPE_CHECKING:
    from pathlib import Path

IGNORE_FILE = ".dockerignore"
_CLASS_ESCAPES = str.maketrans({mark: f"\\{mark}" for mark in "\\^-[]&~|"})

Holding = tuple[tuple[bool, bool], ...]
"""For each rule whether it holds for a path: for builders that always look, and for BuildKit."""


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: re.Pattern[str]
    is_exception: bool
    start: str
    """What every path that it matches begins with, up to the first wildcard."""


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules of one folder."""

    rules: tuple[_Rule, ...] = ()

    def judge(self, path: str, above: Holding = ()) -> tuple[bool, Holding]:
        """
        Return whether a path is left out, and which rules hold for it.

        BuildKit does not look at a rule that would change nothing, and what is below inherits
        that; others always look. What one of them would see is not left out: an image that is
        taken for unchanged must be so for every builder.

        Args:
            path: Relative to the folder, with slashes.
            above: The rules that hold for the folder that it is in; empty: it is at the top.
        """
        is_ignored, is_ignored_lazily, holding = False, False, []
        inherited = above or ((False, False),) * len(self.rules)
        for rule, (inherits, inherits_lazily) in zip(self.rules, inherited, strict=True):
            is_exception = rule.is_exception
            matches = not inherits_lazily and rule.pattern.fullmatch(path) is not None
            holds = inherits or matches
            holds_lazily = inherits_lazily or (matches and is_exception == is_ignored_lazily)
            if holds:
                is_ignored = not is_exception
            if holds_lazily:
                is_ignored_lazily = not is_exception
            holding.append((holds, holds_lazily))
        return is_ignored and is_ignored_lazily, tuple(holding)

    def may_keep_below(self, folder: str) -> bool:
        """Tell whether an exception could take back something below a folder that is left out."""
        return any(
            rule.start.startswith(f"{folder}/") or f"{folder}/".startswith(rule.start)
            for rule in self.rules
            if rule.is_exception
        )


def ignore_file_of(context: Path, dockerfile: Path | None = None) -> Path | None:
    """Return the file whose rules hold for a context; None: there is none."""
    named = dockerfile.with_name(f"{dockerfile.name}{IGNORE_FILE}") if dockerfile else None
    return next((file for file in (named, context / IGNORE_FILE) if file and file.is_file()), None)


def read_rules(file: Path | None) -> IgnoreRules:
    """
    Read an ignore file; None: nothing is left out.

    Raises:
        ConfigurationError: It cannot be read or has a mistake, with the line.
    """
    if file is None:
        return IgnoreRules()
    name = display(file)
    return parse_rules(read_text(file, name), name)


def parse_rules(text: str, file: str) -> IgnoreRules:
    """
    Return the rules of the text of an ignore file.

    Raises:
        ConfigurationError: A pattern is broken; *file* and its line.
    """
    rules = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if line.startswith("#") or not (pattern := line.strip()):
            continue
        try:
            rules.append(_rule(pattern))
        except ValueError as error:
            fix = "write it as in the documentation of .dockerignore"
            raise ConfigurationError(Location(file, number), str(error), fix) from None
    return IgnoreRules(tuple(rules))


def _rule(line: str) -> _Rule:
    is_exception = line.startswith("!")
    plain = line.removeprefix("!").strip()
    if not plain:
        raise ValueError("! is followed by nothing")
    cleaned = posixpath.normpath(plain).lstrip("/")
    expression = _expression(cleaned, is_exception=is_exception)
    start = re.split(r"[*?\[\\]", cleaned, maxsplit=1)[0]
    return _Rule(re.compile(expression, re.DOTALL), is_exception, start)


def _expression(pattern: str, *, is_exception: bool) -> str:
    """Translate a pattern; what `re` sees of it matches the whole path."""
    if is_exception and re.fullmatch(r"\*\*[^/*?\[\\][^*?\[\\]*", pattern):
        return f".*{re.escape(pattern[2:])}"  # BuildKit takes **log for an ending, others do not
    made, at = "", 0
    while at < len(pattern):
        if pattern.startswith("**", at):
            at += 3 if pattern.startswith("/", at + 2) else 2
            made += "(?:.*/)?" if at < len(pattern) else ".*"
        elif pattern[at] == "[":
            expression, at = _class(pattern, at + 1)
            made += expression
        elif pattern[at] == "\\":
            character, at = _escaped(pattern, at)
            made += re.escape(character)
        else:
            made += {"*": "[^/]*", "?": "[^/]"}.get(pattern[at]) or re.escape(pattern[at])
            at += 1
    return made


def _class(pattern: str, at: int) -> tuple[str, int]:
    """Translate what follows a ``[``; return it and where it ends."""
    negation = "^" if pattern.startswith("^", at) else ""
    at += len(negation)
    made = ""
    while not pattern.startswith("]", at) or not made:
        if pattern[at : at + 1] in ("", "]", "-"):
            raise ValueError(f"{pattern} has a [ that is not closed, or nothing in it")
        low, at = _escaped(pattern, at)
        high = low
        if pattern.startswith("-", at):
            if pattern[at + 1 : at + 2] in ("", "]", "-"):
                raise ValueError(f"{pattern} has a range without an end")
            high, at = _escaped(pattern, at + 1)
        if high < low:
            raise ValueError(f"{pattern} has the range {low}-{high}, which is empty")
        made += f"{low.translate(_CLASS_ESCAPES)}-{high.translate(_CLASS_ESCAPES)}"
    return f"[{negation}{made}]", at + 1


def _escaped(pattern: str, at: int) -> tuple[str, int]:
    """Return the character at a position, after a backslash if there is one, and the next one."""
    if pattern[at] != "\\":
        return pattern[at], at + 1
    if at + 1 == len(pattern):
        raise ValueError(f"{pattern} ends with a backslash")
    return pattern[at + 1], at + 2
