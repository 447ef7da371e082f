"""
Whose a namespace is (pure): the labels of one that was made for a slot.

A name proves nothing: anybody may have made a namespace that is called as a slot's would be. Only
one with these labels is ever deleted.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

SLOT_LABEL = "codexctl/slot"
"""Number of the slot."""
REPO_LABEL = "codexctl/repo"
"""`repo_label` of the repository; not there if nobody said which."""
STACK_LABEL = "codexctl/stack"
"""The same as on every object of a stack."""
RECORDS_LABEL = "codexctl/records"
"""`records_label` of the records that have, or had, one of this slot; absent: none is known."""
_LONGEST_LABEL = 63
_DIGEST = 10
_LABEL = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ownership:
    """For whom a namespace is there."""

    slot: int
    """From 1."""
    repo: str
    """Value of `REPO_LABEL`; empty: unknown."""
    stack: str
    """Value of `STACK_LABEL`."""

    @classmethod
    def of(cls, *, slot: int, repository: str, stack: str) -> Self:
        """Return whose the namespace of a slot is; *repository* is ``owner/name`` or empty."""
        return cls(slot=slot, repo=repo_label(repository), stack=stack)

    @property
    def labels(self) -> dict[str, str]:
        """What the namespace carries."""
        found = {SLOT_LABEL: str(self.slot), REPO_LABEL: self.repo, STACK_LABEL: self.stack}
        return {name: value for name, value in found.items() if value}

    def contradicts(self, other: Ownership) -> bool:
        """Tell whether both cannot be true; an unknown repository may be any."""
        is_other_repo = self.repo and other.repo and self.repo != other.repo
        return self.slot != other.slot or bool(is_other_repo)

    def __str__(self) -> str:
        return f"slot {self.slot}" + (f" of {self.repo}" if self.repo else "")


def ownership_of(namespace: Mapping[str, Any]) -> Ownership | None:
    """Return whose a namespace is by its labels; None: they name no slot."""
    labels = namespace["metadata"].get("labels") or {}
    slot = str(labels.get(SLOT_LABEL) or "")
    if not (slot.isascii() and slot.isdecimal() and int(slot)):
        return None
    return Ownership(
        slot=int(slot),
        repo=str(labels.get(REPO_LABEL) or ""),
        stack=str(labels.get(STACK_LABEL) or ""),
    )


def repo_label(repository: str) -> str:
    """
    Return ``owner/name`` as the value of a label, the same however its letters are written.

    An owner has no dot in its name, so the first one divides the two.
    """
    return _value(repository.strip().lower().replace("/", ".", 1))


def records_label(namespace: str, prefix: str) -> str:
    """Return where records are, their namespace and the beginning of their names, as a label."""
    return _value(f"{namespace}.{prefix}".rstrip("._-"))


def _value(text: str) -> str:
    """Return a text as the value of a label; what cannot be one ends in a piece of its hash."""
    if not text or (len(text) <= _LONGEST_LABEL and _LABEL.fullmatch(text)):
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
    plain = re.sub(r"[^a-z0-9._-]+", "-", text)[: _LONGEST_LABEL - _DIGEST - 1].strip("._-")
    return f"{plain}-{digest}" if plain else digest
