"""
What is not there, in the ways that Go tells apart.

``None`` is the nil inside an `any`: an error if a field is taken from it. A pipeline turns it
into `NoValue`, which prints as ``<no value>`` and whose fields are missing as well.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class GoTemplateError(Exception):
    """A template failed while it was rendered; the traceback tells the line."""


@dataclass(frozen=True, slots=True, eq=False)
class NoValue:
    """Nothing, and why."""

    key: str = ""
    """What was looked for; empty if nothing was."""
    source: str = ""
    """Where it was looked for, as the template calls it."""
    known: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """Explain it to the author of the template."""
        if not self.key:
            return "it is nil"
        return f"{self.source} has no entry {self.key!r}{nearest(self.key, self.known)}"


@dataclass(frozen=True, slots=True, eq=False)
class NilPointer:
    """A field of a struct that is nil: it stays nil in pipelines, and prints as ``<nil>``."""


NO_VALUE: Final = NoValue()
NIL_POINTER: Final = NilPointer()


def nearest(name: str, known: Mapping[str, Any]) -> str:
    """Return the end of a sentence that proposes the most similar known name, or nothing."""
    similar = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {similar[0]!r}?" if similar else ""
