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


_MARK = re.compile("\ue000([^\ue001]*)\ue002([0-9]+)\ue002([0-9]+)\ue001")
"""File, line and number of line breaks of the piece of text that follows, between characters for
private use; only in renderings that nobody sees."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A rendered template and the way back to what was written."""

    text: str
    place: Callable[[int], Location]
    """Tells which line of which file a line of *text* came from; both count from 1."""


def mark_lines(tree: nodes.Template, file: str) -> None:
    """Write before every piece of plain text where it stands, and how many lines it breaks."""
    for statement in statements(tree):
        if isinstance(statement, nodes.Output):
            for node in statement.nodes:
                if isinstance(node, nodes.TemplateData):
                    breaks = node.data.count("\n")
                    mark = f"\ue000{file}\ue002{node.lineno}\ue002{breaks}\ue001"
                    node.data = mark + node.data


def unmarked(marked: str) -> str:
    """Return a rendering as it would be without marks."""
    return _MARK.sub("", marked)


def marked_lines(marked: str, file: str) -> Callable[[int], Location]:
    """
    Read the marks: a line came from the first piece of text in it, else from the last one before.

    Args:
        marked: The rendering of a template changed by `mark_lines`.
        file: The name of that template; marks of others are those of included files.
    """
    places: list[Location] = []
    here, last, is_marked = Location(file, 1), Location(file, 1), False
    before, *rest = _MARK.split(marked)
    places += [here] * before.count("\n")
    for name, first, breaks, text in zip(*(rest[i::4] for i in range(4)), strict=True):
        written = _name(name, file)
        last = Location(written, int(first))
        if not is_marked:
            here, is_marked = last, True
        for number in range(1, text.count("\n") + 1):
            places.append(here)
            is_marked = number <= int(breaks)  # the others come from a value behind the text
            if is_marked:
                last = Location(written, int(first) + number)
            here = last
    places.append(here)
    return lambda line: places[min(line, len(places)) - 1]


def lines_of_file(file: str) -> Callable[[int], Location]:
    """Return the way back to *file* itself, where every line stayed where it was."""
    return lambda line: Location(file, line)


def _name(marked_file: str, file: str) -> str:
    return file if marked_file == file else display(Path(marked_file))
