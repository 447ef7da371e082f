"""
Files of variables: ``envFiles`` (dotenv) and ``--var-file``.

Both are read by the rules that existing files were written for: those of the Go library godotenv,
which the Python ones do not share (they know neither ``KEY: value`` nor ``$A`` without braces, and
look up variables in the process environment).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from codexctl_tasks.errors import ConfigurationError, Location

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_BLANK = r"[ \t\v\f\r\x85\xa0]"
_NOTHING = re.compile(r"(?:\s|\x85)*(?:#[^\n]*(?:\s|\x85)*)*")
_KEY = re.compile(rf"(?:export{_BLANK}+)?((?:[A-Za-z0-9_.]|{_BLANK})*)[=:]{_BLANK}*")
_QUOTED = {
    False: re.compile(r"""(['"]).*?(?<!\\)\1""", re.DOTALL),
    True: re.compile(r"""'[^']*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL),
}
"""As the Go library reads it; as a shell does, if that is strict."""
_BEHIND = {
    False: re.compile(rf"{_BLANK}|\n|\Z"),
    True: re.compile(rf"(?:{_BLANK}+#[^\n'\"]*|{_BLANK}*)(?:[\r\n]|\Z)"),
}
"""What may stand behind that: anything apart; if that is strict only a comment without quotes."""
_COMMENT = re.compile(rf"(.*{_BLANK})#.*", re.DOTALL)
_VARIABLE = re.compile(r"(\\)?\$\(?\{?([A-Z0-9_]+)?\}?")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = re.compile(r"\\([^$])", re.DOTALL)
_BREAKS = {"n": "\n", "r": "\r"}
_VAR_FILE_KEY = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*)\s*[=:]")


class Entry(NamedTuple):
    """One variable of a file."""

    name: str
    value: str
    line: int
    """From 1."""


def read_dotenv(text: str, file: str, *, is_strict: bool = False) -> Iterator[Entry]:
    r"""
    Yield the variables of a dotenv file, in order.

    ``export KEY=value``, ``KEY: value``, a comment after a blank, single quotes literal, ``\n`` and
    ``\"`` in double quotes, values over several lines in either; ``$A`` and ``${A}`` (upper case)
    come from earlier lines of the same file, and are empty if they do not stand there.

    With *is_strict* single quotes end at the next one, and only a comment without quotes may
    follow: what was put between quotes unseen is read as it is, or refused.

    Raises:
        ConfigurationError: A line that is no variable, or holds more than its value; never a value.
    """
    text = text.replace("\r\n", "\n").removeprefix("\ufeff")
    known: dict[str, str] = {}
    position = _skip(text, 0)
    while position < len(text):
        line = text.count("\n", 0, position) + 1
        key = _KEY.match(text, position)
        if key is None or not key[1].strip():
            raise ConfigurationError(
                Location(file, line), "is no KEY=VALUE", "write one variable on each line"
            )
        name = key[1].strip()
        found = _value(text, key.end(), known, is_strict=is_strict)
        if found is None:
            what = f"{name} opens a quote that is never closed"
            raise ConfigurationError(Location(file, line), what, "close it")
        known[name], end = found
        if not _BEHIND[is_strict].match(text, end):
            what = f"{name} has text behind its closing quote"
            fix = "put all of the value between the quotes"
            raise ConfigurationError(Location(file, line), what, fix)
        yield Entry(name, known[name], line)
        position = _skip(text, end)


def _skip(text: str, position: int) -> int:
    """Return where the next variable begins, behind blanks and comments."""
    found = _NOTHING.match(text, position)
    return found.end() if found else position


def _value(
    text: str, start: int, known: Mapping[str, str], *, is_strict: bool
) -> tuple[str, int] | None:
    """Return the value that begins at *start*, and where it ends; None: nowhere."""
    quote = text[start : start + 1]
    if quote not in ("'", '"'):
        end = next((i for i in range(start, len(text)) if text[i] in "\r\n"), len(text))
        value = text[start:end]
        # The last " #" of the line begins the comment.
        found = _COMMENT.fullmatch(value)
        return _expand((found[1] if found else value).strip(), known), end
    quoted = _QUOTED[is_strict].match(text, start)
    if quoted is None:
        return None
    value = quoted[0][1:-1] if is_strict else quoted[0][:-1].strip(quote)
    if quote == '"':
        value = _ESCAPE.sub(lambda m: _BREAKS.get(m[1], m[0]), value)
        value = _expand(_ESCAPED.sub(r"\1", value), known)
    return value, quoted.end()


def _expand(value: str, known: Mapping[str, str]) -> str:
    def replace(found: re.Match[str]) -> str:
        escaped, name = found.groups()
        if escaped:
            return found[0][1:]
        return known.get(name, "") if name else found[0]

    return _VARIABLE.sub(replace, value)


def read_var_file(text: str) -> Iterator[Entry]:
    """
    Yield the variables of a ``--var-file``: ``KEY=VALUE`` or ``KEY: VALUE``, one on each line.

    It looks like YAML but is not: a line is trimmed, and a double quote, then a single quote, is
    removed at each end of the value. Blank lines, lines that begin with ``#``, and lines without a
    separator are skipped.
    """
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if found := _VAR_FILE_KEY.match(line):
            name, value = found[1], line[found.end() :]
        else:  # an unusual name: the first "=" anywhere, else the first ":"
            name, _, value = line.partition("=" if "=" in line else ":")
        if ("=" in line or ":" in line) and name.strip():
            yield Entry(name.strip(), _unquote(_unquote(value.strip(), '"'), "'"), number)


def _unquote(value: str, quote: str) -> str:
    return value.removeprefix(quote).removesuffix(quote)
