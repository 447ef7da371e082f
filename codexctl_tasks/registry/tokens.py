"""Tokens of a registry: fetched from whoever it names, and used as long as they are good."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from codexctl_tasks.registry.connections import (
    ANSWER_TIMEOUT_S,
    CONNECT_TIMEOUT_S,
    USER_AGENT,
    origin_of,
    read,
)
from codexctl_tasks.registry.failures import broken, refusal, wrong_login
from codexctl_tasks.registry.interface import RegistryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from codexctl_tasks.registry.challenges import Challenge, Scope
    from codexctl_tasks.registry.connections import Connections
    from codexctl_tasks.registry.credentials import Login
    from codexctl_tasks.world.clock import Clock

USUAL_LIFE_S = 60.0
"""Of a token that does not say how long it is good for."""
_MARGIN_S = 10.0
"""Before its end a token is not used any more; at most half of its life."""


@dataclass(frozen=True, slots=True)
class Token:
    """Proves who we are, for a while."""

    text: str = field(repr=False)
    life_s: float = USUAL_LIFE_S


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
                if is_fresh and all(any(a.allows(each) for a in allowed) for each in scopes):
                    return token
        return None


def fetch_token(
    connections: Connections,
    host: str,
    challenge: Challenge,
    scopes: Iterable[Scope],
    login: Login | None,
) -> Token:
    """
    Fetch a token.

    Args:
        connections: By which to ask.
        host: Of the registry, for errors.
        challenge: What it wants; the realm is a whole address.
        scopes: What the token is to allow.
        login: Who we are; None: nobody.

    Raises:
        RegistryError: There is none for us.
    """
    answer = _ask(connections, challenge, sorted(map(str, scopes)), login)
    data = read(host, answer)
    if answer.status != HTTPStatus.OK:
        if login and answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise wrong_login(host, login, answer.status)
        secret = login.secret if login else ""
        raise refusal(host, answer.status, answer.headers, data, secret=secret)
    try:
        return _read_token(data)
    except (ValueError, KeyError, TypeError, AttributeError):  # it may hold a token
        what = f"{origin_of(challenge.realm)[1]}, which gives out its tokens, answered without one"
        raise RegistryError(host, what, "ask who runs it") from None


def _ask(
    connections: Connections, challenge: Challenge, scopes: list[str], login: Login | None
) -> Any:
    from urllib3.exceptions import HTTPError

    url, named = challenge.realm, [("service", challenge.service)] if challenge.service else []
    headers = {"User-Agent": USER_AGENT, "Accept": "application/json"}
    method, body = "GET", b""
    if login and login.identity_token:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        form = [
            *(("grant_type", "refresh_token"), ("refresh_token", login.identity_token)),
            *(("client_id", USER_AGENT), ("scope", " ".join(scopes)), *named),
        ]
        method, body = "POST", urlencode(form).encode()
    else:
        if login:
            headers["Authorization"] = login.basic
        query = urlencode([*named, *(("scope", scope) for scope in scopes)])
        url += f"{'&' if '?' in url else '?'}{query}"
    limits = CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S
    try:
        return connections.send(method, url, limits, headers=headers, body=body or None)
    except (HTTPError, OSError, ValueError) as error:
        raise broken(origin_of(url)[1], error, ANSWER_TIMEOUT_S) from error


def _read_token(data: bytes) -> Token:
    found = json.loads(data)
    text = found.get("token") or found["access_token"]
    return Token(str(text), float(found.get("expires_in") or USUAL_LIFE_S))
