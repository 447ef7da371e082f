"""What is wrong with the syntax of a Jinja2 template, in words that say how to mend it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from codexctl_tasks.errors import did_you_mean

if TYPE_CHECKING:
    from jinja2 import Environment, TemplateSyntaxError

DOCUMENTATION = "see https://jinja.palletsprojects.com/templates/"

_TAGS = (
    *("if", "elif", "else", "for", "set", "include", "import", "from", "macro", "call", "filter"),
    *("block", "extends", "raw", "with", "autoescape", "break", "continue"),
)
_INNERMOST = re.compile(r"block that needs to be closed is '(\w+)'")
_UNKNOWN = re.compile(r"(?:Encountered unknown (tag)|No (filter|test) named) '([^']*)'")
_CHARACTER = re.compile(r"unexpected char ['\"](.+)['\"] at [0-9]+")
_TOKEN = re.compile(r"expected token 'end of (print statement|statement block)', got '(.+)'")
_INSTEAD = {
    "&": "write 'and'",
    "!": "write 'not'",
    "?": "write 'a if condition else b'",
    "=": "write '==' to compare",
    '"': "close the quote",
    "'": "close the quote",
}


def explained(error: TemplateSyntaxError, environment: Environment) -> tuple[int, str, str]:
    """Return the line of a mistake, what it is, and what to do about it."""
    text, message = error.source or "", error.message or ""
    innermost = _INNERMOST.search(message)
    if line := unclosed(text, error.lineno):
        return line, "an expression or statement is opened here and never closed", "close it"
    if innermost and message.startswith("Unexpected end"):
        name = innermost[1]
        line = _opening(text, name) or error.lineno
        return line, f"`{name}` has no end", f"add {{% end{name} %}}"
    return error.lineno, *_words(message, innermost[1] if innermost else "", environment)


def unclosed(text: str, line: int) -> int:
    """Return the line above *line* in which braces are opened that nothing closes; 0 if none."""
    end = len("\n".join(text.split("\n")[:line]))
    start = max(text.rfind("{{", 0, end), text.rfind("{%", 0, end))
    if start < 0:
        return 0
    closing = text.find("}}" if text.startswith("{{", start) else "%}", start)
    following = [at for braces in ("{{", "{%") if (at := text.find(braces, start + 2)) >= 0]
    if 0 <= closing < min(following, default=len(text)):
        return 0
    opened = text.count("\n", 0, start) + 1
    return opened if opened < line else 0


def _words(message: str, innermost: str, environment: Environment) -> tuple[str, str]:
    if unknown := _UNKNOWN.match(message):
        kind, name = unknown[1] or unknown[2], unknown[3]
        if kind == "tag" and (name.startswith("end") or name in ("else", "elif")):
            fix = f"end `{innermost}` first" if innermost else "remove it"
            return f"`{name}` stands where it belongs to no block", fix
        known = {"tag": _TAGS, "filter": environment.filters, "test": environment.tests}[kind]
        return f"there is no {kind} {name!r}", did_you_mean(name, known, DOCUMENTATION)
    if found := _CHARACTER.match(message) or _TOKEN.match(message):
        token = found[found.lastindex or 1].strip("'\"") or found[found.lastindex or 1][:1]
        return f"{token!r} cannot stand here", _INSTEAD.get(token[:1], DOCUMENTATION)
    if "'end of print statement'" in message or "'end of statement block'" in message:
        return "something is missing at the end", DOCUMENTATION
    return message, DOCUMENTATION


def _opening(text: str, name: str) -> int:
    """Return the line of the innermost block of this name that has no end."""
    open_at: list[int] = []
    for found in re.finditer(rf"\{{%[-+]?\s*(end)?{name}\b(.*?)%\}}", text, re.DOTALL):
        if found[1]:
            del open_at[-1:]
        elif name != "set" or "=" not in found[2]:
            open_at.append(text.count("\n", 0, found.start()) + 1)
    return open_at[-1] if open_at else 0
