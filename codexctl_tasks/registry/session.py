"""
One registry: who we are for it, where its requests go, and what is done when it refuses.

A request here is sent once. What to repeat is decided by whoever sends it, as a body can only be
sent again by whoever makes it.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from codexctl_tasks.registry.challenges import Challenge, Scope, parse_challenge
from codexctl_tasks.registry.connections import (
    ANSWER_TIMEOUT_S,
    CONNECT_TIMEOUT_S,
    USER_AGENT,
    drop,
    origin_of,
    read,
)
from codexctl_tasks.registry.failures import (
    TransientRegistryError,
    broken,
    is_page,
    no_registry,
    refusal,
    wrong_login,
)
from codexctl_tasks.registry.interface import RegistryError
from codexctl_tasks.registry.presence import greet
from codexctl_tasks.registry.tokens import Token, Tokens, fetch_token

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from codexctl_tasks.registry.connections import Connections
    from codexctl_tasks.registry.credentials import Login, Logins
    from codexctl_tasks.world.clock import Clock

STORED_TIMEOUT_S = 300.0
"""For the answer to an upload: some registries copy it to where it stays first."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5


@dataclass(frozen=True, slots=True)
class Ask:
    """A request."""

    method: str
    url: str
    """A path, or whole: what the registry itself sent us to."""
    scopes: frozenset[Scope]
    """What the token must allow."""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] | None = None
    """Pieces are sent as they come; ``Content-Length`` says how much that will be."""
    fine: Collection[int] = (200,)
    """Statuses that are no refusal."""
    timeout_s: float = ANSWER_TIMEOUT_S


class Session:
    """A registry that has answered, used by many threads."""

    def __init__(
        self,
        host: str,
        connections: Connections,
        logins: Logins,
        clock: Clock,
        *,
        allows_http: bool,
    ) -> None:
        """
        Greet the registry.

        Raises:
            RegistryError: It is not there.
        """
        self.host = host
        self._connections, self._logins = connections, logins
        presence = greet(host, connections, allows_http=allows_http, timeout_s=CONNECT_TIMEOUT_S)
        self.address = presence.address
        self._challenge = parse_challenge(presence.challenge)
        self._tokens = Tokens(clock, self._fetch_token)
        self._lock = threading.Lock()

    def send(self, ask: Ask) -> Any:
        """
        Send a request once, and once more with a new token if ours has expired.

        Returns:
            The answer, its body unread: `read` or `drop` it.

        Raises:
            RegistryError: It was refused; a `TransientRegistryError` may work later.
        """
        url = self.resolve(self.address, ask.url)
        used = self._authorization(ask.scopes)
        answer, is_own = self._followed(ask, url, used)
        if answer.status == HTTPStatus.UNAUTHORIZED and is_own:
            renewed = self._renewed(answer, ask.scopes, used)
            if renewed:
                drop(answer)
                if not _can_repeat(ask.body):  # whoever makes it begins anew, with the new token
                    raise TransientRegistryError(self.host, "the token has expired", "try again")
                answer, is_own = self._followed(ask, url, renewed)
        if answer.status in ask.fine:
            if is_page(answer.headers) and answer.status != HTTPStatus.NO_CONTENT:
                drop(answer)
                raise no_registry(self.host, answer.status)
            return answer
        raise self._refused(ask, answer, is_own=is_own)

    def resolve(self, base: str, location: str) -> str:
        """
        Return the whole address of a ``Location``.

        A registry behind a proxy that ends TLS often says ``http`` of itself.
        """
        url = urljoin(base, location)
        scheme, host, _ = origin_of(url)
        own_scheme, own_host, _ = origin_of(self.address)
        if (scheme, own_scheme, host) == ("http", "https", own_host):
            url = f"{self.address}/{url.partition('://')[2].partition('/')[2]}"
        return url

    def _followed(self, ask: Ask, url: str, authorization: str) -> tuple[Any, bool]:
        """
        Send a request; what is read may be somewhere else, where our name is not told.

        Returns:
            The answer, and whether it is the registry's own: nobody else may ask who we are.
        """
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._send_once(ask, url, authorization)
            is_read = answer.status in _REDIRECTS and ask.method in ("GET", "HEAD")
            if not is_read or answer.status in ask.fine:
                return answer, origin_of(url) == origin_of(self.address)
            location = str(answer.headers.get("Location") or "")
            drop(answer)
            url = self.resolve(url, location)
        raise RegistryError(self.host, "sends us on and on", "ask who runs it")

    def _send_once(self, ask: Ask, url: str, authorization: str) -> Any:
        from urllib3.exceptions import HTTPError

        headers = {"User-Agent": USER_AGENT, **ask.headers}
        if origin_of(url) == origin_of(self.address):
            if authorization:
                headers["Authorization"] = authorization
        else:
            self._connections.check(self.host, url, self.address)
        limits = CONNECT_TIMEOUT_S, ask.timeout_s
        try:
            return self._connections.send(ask.method, url, limits, headers=headers, body=ask.body)
        except (HTTPError, OSError, ValueError) as error:
            raise broken(self.host, error, ask.timeout_s) from error

    def _authorization(self, scopes: frozenset[Scope], *, instead_of: str = "") -> str:
        """Return the value of the header; empty: none is wanted, or we are nobody."""
        challenge = self._challenge
        if challenge is None:
            return ""
        if challenge.scheme == "basic":
            login = self._login(scopes)
            return login.basic if login else ""
        token = self._tokens.find(scopes, instead_of=instead_of.removeprefix("Bearer "))
        return f"Bearer {token}"

    def _renewed(self, answer: Any, scopes: frozenset[Scope], used: str) -> str:
        """Return what to try after *used* was refused; empty: there is nothing better."""
        found = parse_challenge(str(answer.headers.get("WWW-Authenticate") or ""))
        if found is None:
            return ""
        with self._lock:
            self._challenge = found
        fresh = self._authorization(scopes, instead_of=used)
        return fresh if fresh != used else ""

    def _login(self, scopes: frozenset[Scope]) -> Login | None:
        """Return who we are; the repository that is written to decides."""
        first = max(scopes, key=lambda scope: scope.writes, default=Scope(""))
        return self._logins.find(self.host, first.repository)

    def _fetch_token(self, scopes: frozenset[Scope]) -> Token:
        challenge = self._challenge or Challenge("bearer")
        url = urljoin(self.address, challenge.realm)
        if origin_of(url) != origin_of(self.address):
            self._connections.check(self.host, url, self.address)
        login = self._login(scopes)
        whole = replace(challenge, realm=url)
        return fetch_token(self._connections, self.host, whole, scopes, login)

    def _refused(self, ask: Ask, answer: Any, *, is_own: bool) -> RegistryError:
        login = self._login(ask.scopes) if self._challenge else None
        repository = next(iter(sorted(ask.scopes, key=lambda scope: not scope.writes)), None)
        where = f"{self.host}/{repository.repository}" if repository else self.host
        status, data = answer.status, b""
        with suppress(RegistryError):  # the status alone says enough
            data = read(where, answer)
        if status == HTTPStatus.UNAUTHORIZED and is_own and self._challenge:
            if login is None:
                what = "is not there, or not for everybody: nobody is logged in here (401)"
                return RegistryError(where, what, f"docker login {self.host}", status=status)
            return wrong_login(where, login, status)
        secret = login.secret if login else ""
        return refusal(where, status, answer.headers, data, secret=secret)


def _can_repeat(body: bytes | Iterable[bytes] | None) -> bool:
    return body is None or isinstance(body, bytes)
