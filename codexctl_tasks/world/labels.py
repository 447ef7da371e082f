"""Label selectors, as ``kubectl --selector`` takes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORD = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?"
_KEY = rf"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?/)?{_WORD}"
_EQUALS = re.compile(rf"({_KEY})\s*(==?|!=)\s*((?:{_WORD})?)")
_IN_SET = re.compile(rf"({_KEY})\s+(in|notin)\s*\(([^()]*)\)")
_EXISTS = re.compile(rf"(!?)\s*({_KEY})")
_COMMA = re.compile(r",(?![^(]*\))")


@dataclass(frozen=True, slots=True)
class Requirement:
    """What one label must be like."""

    key: str
    values: frozenset[str] | None
    """One of these; None: whatever it is."""
    is_wanted: bool
    """False: the label must not be so; one that is not there is not so."""

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Tell whether labels are so."""
        is_so = self.key in labels and (self.values is None or labels[self.key] in self.values)
        return is_so is self.is_wanted


def read_selector(text: str) -> tuple[Requirement, ...]:
    """
    Read a selector: ``app=web,tier in (api, worker),!canary``; all must hold. Empty: none.

    Raises:
        ValueError: A part of it means nothing; the text is that part.
    """
    return tuple(_read(part.strip()) for part in _COMMA.split(text)) if text.strip() else ()


def _read(text: str) -> Requirement:
    if found := _EQUALS.fullmatch(text):
        return Requirement(found[1], frozenset({found[3]}), found[2] != "!=")
    if found := _IN_SET.fullmatch(text):
        values = [value.strip() for value in found[3].split(",")]
        if all(re.fullmatch(f"(?:{_WORD})?", value) for value in values):
            return Requirement(found[1], frozenset(values), found[2] == "in")
    elif found := _EXISTS.fullmatch(text):
        return Requirement(found[2], None, not found[1])
    raise ValueError(text)
