"""What a registry wants to see before it answers: Basic or Bearer, and for what (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_CHALLENGE = re.compile(
    r'(?P<scheme>[A-Za-z][\w-]*)\s+(?P<rest>(?:\w+\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s,"]*)\s*,?\s*)+)'
)
_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))')


@dataclass(frozen=True, slots=True)
class Challenge:
    """How to log in."""

    scheme: str
    """``basic`` or ``bearer``."""
    realm: str = ""
    """Of Bearer: the address that gives tokens."""
    service: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is to be done in a repository."""

    repository: str
    writes: bool = False
    deletes: bool = False

    def allows(self, wanted: Scope) -> bool:
        """Tell whether whoever may do this may do *wanted*."""
        return (
            self.repository == wanted.repository
            and self.writes >= wanted.writes
            and self.deletes >= wanted.deletes
        )

    def __str__(self) -> str:
        more = f"{',push' * self.writes}{',delete' * self.deletes}"
        return f"repository:{self.repository}:pull{more}"


def parse_challenge(header: str) -> Challenge | None:
    """Return the best challenge of ``WWW-Authenticate``; None if we can meet none of them."""
    found: dict[str, Challenge] = {}
    for each in _CHALLENGE.finditer(header):
        values = {
            key.lower(): re.sub(r"\\(.)", r"\1", quoted or plain)
            for key, quoted, plain in _PARAMETER.findall(each["rest"])
        }
        scheme = each["scheme"].lower()
        challenge = Challenge(scheme, values.get("realm", ""), values.get("service", ""))
        found.setdefault(scheme, challenge)
    if header.strip().lower() == "basic":
        found["basic"] = Challenge("basic")
    bearer = found.get("bearer")
    return bearer if bearer and bearer.realm else found.get("basic")
