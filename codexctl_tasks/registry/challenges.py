"""What a registry wants to see before it answers: Basic or Bearer, and the tokens of the latter."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from codexctl_tasks.world.clock import Clock

_CHALLENGE = re.compile(
    r'(?P<scheme>[A-Za-z][\w-]*)\s+(?P<rest>(?:\w+\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s,"]*)\s*,?\s*)+)'
)
_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))')
USUAL_LIFE_S = 60.0
"""Of a token that does not say how long it is good for."""
_MARGIN_S = 10.0
"""Before its end a token is not used any more; at most half of its life."""


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

    def __str__(self) -> str:
        more = f"{',push' * self.writes}{',delete' * self.deletes}"
        return f"repository:{self.repository}:pull{more}"


@dataclass(frozen=True, slots=True)
class Token:
    """Proves who we are, for a while."""

    text: str = field(repr=False)
    life_s: float = USUAL_LIFE_S


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


class Tokens:
    """Tokens of one registry, each fetched once and used until shortly before its end."""

    def __init__(self, clock: Clock, fetch: Callable[[frozenset[Scope]], Token]) -> None:
        """Get new ones from *fetch*."""
        self._clock, self._fetch = clock, fetch
        self._known: dict[frozenset[Scope], tuple[Token, float]] = {}
        self._locks: dict[frozenset[Scope], threading.Lock] = {}
        self._lock = threading.Lock()

    def find(self, scopes: frozenset[Scope], *, instead_of: str = "") -> str:
        """Return a token that allows all of *scopes*; not *instead_of*, which was refused."""
        with self._lock:
            lock = self._locks.setdefault(scopes, threading.Lock())
        with lock:  # of many threads that want the same one asks
            if (known := self._usable(scopes, instead_of)) is None:
                known = self._fetch(scopes)
                margin_s = min(_MARGIN_S, known.life_s / 2)
                ends_s = self._clock.now() + known.life_s - margin_s
                with self._lock:
                    self._known[scopes] = known, ends_s
            return known.text

    def _usable(self, scopes: frozenset[Scope], instead_of: str) -> Token | None:
        now_s = self._clock.now()
        with self._lock:
            for allowed, (token, ends_s) in self._known.items():
                is_fresh = now_s < ends_s and token.text != instead_of
                if is_fresh and all(_is_allowed(scope, allowed) for scope in scopes):
                    return token
        return None


def _is_allowed(wanted: Scope, allowed: frozenset[Scope]) -> bool:
    return any(
        each.repository == wanted.repository
        and each.writes >= wanted.writes
        and each.deletes >= wanted.deletes
        for each in allowed
    )
