"""The way back from a line of a rendered text to the line of the file that wrote it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import nodes

from codexctl_tasks.errors import Location
from codexctl_tasks.stack.files import display
from codexctl_tasks.stack.limits import statements

if TYPE_CHECKING:
    from collections.abc import Callable


_MARK = re.compile("\ue000([^\ue001]*)\ue002([0-9]+)\ue001")
"""Private-use characters around file and line; only in renderings that nobody sees."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A rendered template and the way back to what was written."""

    text: str
    place: Callable[[int], Location]
    """Tells which line of which file a line of *text* came from; both count from 1."""


def mark_lines(tree: nodes.Template, file: str) -> None:
    """Write file and line before every piece of plain text, and after each of its line breaks."""
    for statement in statements(tree):
        if isinstance(statement, nodes.Output):
            for node in statement.nodes:
                if isinstance(node, nodes.TemplateData):
                    lines = enumerate(node.data.split("\n"), start=node.lineno)
                    node.data = "\n".join(_mark(file, line) + text for line, text in lines)


def _mark(file: str, line: int) -> str:
    return f"\ue000{file}\ue002{line}\ue001"


def unmarked(marked: str) -> str:
    """Return a rendering as it would be without marks."""
    return _MARK.sub("", marked)


def marked_lines(marked: str, file: str) -> Callable[[int], Location]:
    """
    Read the marks: a line came from the first mark in it, else from the last one before it.

    Args:
        marked: The rendering of a template changed by `mark_lines`.
        file: The name of that template; marks of others are those of included files.
    """
    places: list[Location] = []
    last = Location(file, 1)
    for line in marked.split("\n"):
        marks = [Location(_name(m[1], file), int(m[2])) for m in _MARK.finditer(line)]
        places.append(marks[0] if marks else last)
        last = marks[-1] if marks else last
    return lambda line: places[min(line, len(places)) - 1]


def lines_of_file(file: str) -> Callable[[int], Location]:
    """Return the way back to *file* itself, where every line stayed where it was."""
    return lambda line: Location(file, line)


def _name(marked_file: str, file: str) -> str:
    return file if marked_file == file else display(Path(marked_file))
