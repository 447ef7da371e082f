"""
What ``services.yaml`` says before it is rendered.

Templates refer to the project, its versions and domains, and to variables from files that
``services.yaml`` names: so these keys are read from the raw text, which has to be YAML for that.
They keep their source text where they hold templates.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from codexctl_tasks.stack.documents import read_outline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codexctl_tasks.errors import Location
    from codexctl_tasks.stack.documents import Outline

_STATEMENTS = re.compile(
    r"\{%.*?(?:%\}|\Z)|\{#.*?(?:#\}|\Z)|^[ \t]*\{\{[^\n]*\}\}[ \t]*$", re.DOTALL | re.MULTILINE
)
"""What Jinja2 allows to stand between the lines of a YAML file; without an end: all the rest, not a
search from each beginning anew."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """The keys that are needed before rendering."""

    project: str
    env_files: tuple[tuple[str, Location], ...]
    versions: Mapping[str, str]
    base_domain: Mapping[str, str]
    patterns: Mapping[str, str]
    """Namespace templates by environment."""
    environments: tuple[str, ...]
    """Names of all environments, of those with only a pattern as well."""
    _outline: Outline = field(repr=False)

    def location(self, *path: str) -> Location:
        """Return where a key stands, or the file if it does not."""
        return self._outline.location(path)


def read_header(text: str, file: str, *, statements: bool) -> Header:
    """
    Read the raw file.

    Args:
        text: ``services.yaml`` as it is.
        file: Its name in messages.
        statements: Whether it may hold statements of Jinja2, which are no YAML; they are skipped.

    Raises:
        ConfigurationError: It is no YAML, or no mapping.
    """
    if statements:
        text = _STATEMENTS.sub(_blank, text)
    outline = read_outline(text, file)
    return Header(
        project=outline.texts(()).get("project", "").strip(),
        env_files=tuple(
            (name, outline.location(("envFiles", index)))
            for index, name in enumerate(outline.items(("envFiles",)))
        ),
        versions=outline.texts(("versions",)),
        base_domain=outline.texts(("baseDomain",)),
        patterns=outline.texts(("namespace", "patterns")),
        environments=tuple(
            dict.fromkeys(outline.keys(("environments",)) + outline.keys(("namespace", "patterns")))
        ),
        _outline=outline,
    )


def _blank(statement: re.Match[str]) -> str:
    """Return blanks instead of a statement; one without an end is left to the rendering."""
    text = statement[0]
    return re.sub(r"[^\r\n]", " ", text) if text.rstrip().endswith("}") else text
