"""Which template language a file is written in: Jinja2, or that of Go as in many repositories."""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Dialect(enum.Enum):
    """A template language."""

    GO = "go"
    JINJA = "jinja"


_CHOSEN = re.compile(
    r"\ufeff?(?:#[^\n]*\n)*?#[ ]*codexctl:[ ]*dialect[ ]*=[ ]*(go|jinja)[ ]*\r?$", re.MULTILINE
)
_RAW = re.compile(r"\{%-?\s*raw\s*-?%\}")
_END_OF_RAW = re.compile(r"\{%-?\s*endraw\s*-?%\}")
_GO_ACTION = re.compile(
    r"""\{\{-?\s*(?:
        \(*\s*[.$`]                                                      # .Env  $x  `raw`
      | /\*                                                              # comment
      | (?:if|range|with|define|template|block)\s
      | (?:else|end|break|continue)\s*-?\}\}|else\s+(?:if|with)\s
      | (?:and|or|not|eq|ne|lt|le|gt|ge)\s+(?:[.$"`(0-9]|(?:eq|ne|lt|le|gt|ge)\s)
      | \(*\s*[a-z]\w*\s+(?!(?:if|is|in|and|or|not)\b)["`.$(\w]  # a call: name argument
      | now\.[A-Z]\w*\s+["`]
      | [^{}]*\|\s*(?:printf|default|indent|index)\s+["`.$(\w]
      | [^{}]*\|\s*[a-z]\w*\s+["`.$0-9]
    )""",
    re.VERBOSE,
)
_JINJA_ACTION = re.compile(
    r"""\{\{-?\s*(?:
        (?!(?:now|if|with|range|else|end|break|continue|not|and|or)\b|(?:true|false|nil)\s*-?\}\})
            \(*[A-Za-z_]\w*(?:[(\[.]|\s*(?:[|~+*/%<>=!,-]|\}\})|\s+(?:if|is|in|and|or|not)\b)
      | \(*["0-9][^{}]*?["0-9]\s*(?:[~+*/%<>=]|(?:if|in)\b|\|\s*\w+\s*[(|}])
      | \(*[0-9]+\s+(?:if|in)\b
      | \(*[0-9][0-9.]*\s*[~+*/%<>=]
      | \(+[A-Z]\w*\s*\)
      | \(*not\s+[A-Za-z_]\w*
      | now\s*\(
      | \(*'
    )""",
    re.VERBOSE,
)


def recognise(
    text: str,
    default: Dialect,
    is_valid: Callable[[Dialect], bool],
) -> Dialect | None:
    """
    Return the language of a file, None if it holds no template at all.

    A line ``# codexctl: dialect=go`` among the comments at the top settles it. Otherwise what
    stands between double braces does: ``{{ .Env }}``, ``{{ $x }}``, ``{{ if }}``, ``{{ f "x" }}``
    is Go, ``{{ Env }}``, ``{{ f("x") }}`` is Jinja2.

    Args:
        text: The file.
        default: The language of ``services.yaml``: for a file that could be either, such as one
            whose only sign is ``{%``, which Go's templates leave alone.
        is_valid: Tells whether the file can be parsed in a language; asked only where there are
            signs of both.
    """
    if chosen := _CHOSEN.match(text):
        return Dialect(chosen[1])
    if not any(opening in text for opening in ("{{", "{%", "{#")):
        return None
    outside = _without_raw(text)
    go, jinja = _GO_ACTION.search(outside), _JINJA_ACTION.search(outside)
    if go and jinja:
        for dialect in (Dialect.GO, Dialect.JINJA):
            if is_valid(dialect):
                return dialect
        return Dialect.GO if go.start() < jinja.start() else Dialect.JINJA
    if go or jinja:
        return Dialect.GO if go else Dialect.JINJA
    return default


def _without_raw(text: str) -> str:
    """Return the text without what Jinja2 does not look at; in one pass, however it is written."""
    kept, position = [], 0
    while (begin := _RAW.search(text, position)) and (end := _END_OF_RAW.search(text, begin.end())):
        kept.append(text[position : begin.start()])
        position = end.end()
    return "".join([*kept, text[position:]])
