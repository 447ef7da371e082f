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

    def judge(self, path: str, above: tuple[bool, ...] = ()) -> tuple[bool, tuple[bool, ...]]:
        """
        Return whether a path is left out, and for each rule whether it holds for it.

        A rule that could change nothing is not looked at, which can be seen by what is below:
        so does BuildKit.

        Args:
            path: Relative to the folder, with slashes.
            above: The rules that hold for the folder that it is in; empty: it is at the top.
        """
        is_ignored, holding = False, []
        for rule, holds_above in zip(self.rules, above or (False,) * len(self.rules), strict=True):
            could_change = rule.is_exception == is_ignored
            holds = holds_above or (could_change and rule.pattern.fullmatch(path) is not None)
            if holds:
                is_ignored = not rule.is_exception
            holding.append(holds)
        return is_ignored, tuple(holding)

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
    start = re.split(r"[*?\[\\]", cleaned, maxsplit=1)[0]
    return _Rule(re.compile(_expression(cleaned), re.DOTALL), is_exception, start)


def _expression(pattern: str) -> str:
    """Translate a pattern; what `re` sees of it matches the whole path."""
    if pattern.startswith("**") and not re.search(r"[*?\[\\]", pattern[2:]):
        # Docker takes it for an ending: **log is also that of dialog.
        rest = pattern[2:]
        return f"(?:.*/)?{re.escape(rest[1:])}" if rest[:1] == "/" else f".*{re.escape(rest)}"
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
