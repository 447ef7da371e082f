"""
One registry: who we are for it, where its requests go, and what is done when it refuses.

A request here is sent once. What to repeat is decided by whoever sends it, as a body can only be
sent again by whoever makes it.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin

from codexctl_tasks.registry.challenges import (
    USUAL_LIFE_S,
    Challenge,
    Scope,
    Token,
    Tokens,
    parse_challenge,
)
from codexctl_tasks.registry.connections import drop, origin_of, read
from codexctl_tasks.registry.failures import (
    TransientRegistryError,
    broken,
    is_page,
    no_registry,
    refusal,
)
from codexctl_tasks.registry.interface import RegistryError
from codexctl_tasks.registry.presence import greet

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from codexctl_tasks.registry.connections import Connections
    from codexctl_tasks.registry.credentials import Login, Logins
    from codexctl_tasks.world.clock import Clock

USER_AGENT = "codexctl"
CONNECT_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 60.0
"""For an answer to begin, and between two pieces of it."""
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
        self.address, self._allows_http = presence.address, allows_http
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
        answer = self._followed(ask, url, used)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            renewed = self._renewed(answer, ask.scopes, used)
            if renewed:
                drop(answer)
                if not _can_repeat(ask.body):  # whoever makes it begins anew, with the new token
                    raise TransientRegistryError(self.host, "the token has expired", "try again")
                answer = self._followed(ask, url, renewed)
        if answer.status in ask.fine:
            if is_page(answer.headers) and answer.status != HTTPStatus.NO_CONTENT:
                drop(answer)
                raise no_registry(self.host, answer.status)
            return answer
        raise self._refused(ask, answer)

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

    def _followed(self, ask: Ask, url: str, authorization: str) -> Any:
        """Send a request; what is read may be somewhere else, where our name is not told."""
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._send_once(ask, url, authorization)
            if answer.status not in _REDIRECTS or ask.method not in ("GET", "HEAD"):
                return answer
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
        login = self._login(scopes)
        url = urljoin(self.address, challenge.realm)
        if origin_of(url) != origin_of(self.address):
            self._connections.check(self.host, url, self.address)
        answer = self._ask_for_token(url, challenge, scopes, login)
        try:
            data = read(answer)
            if answer.status != HTTPStatus.OK:
                raise self._no_token(answer, data, login)
            return _read_token(data)
        except (ValueError, KeyError, TypeError) as error:
            what = f"{origin_of(url)[1]}, which gives out its tokens, answered without one"
            raise RegistryError(self.host, what, "ask who runs it") from error

    def _ask_for_token(
        self, url: str, challenge: Challenge, scopes: Iterable[Scope], login: Login | None
    ) -> Any:
        from urllib3.exceptions import HTTPError

        named = [("service", challenge.service)] if challenge.service else []
        names = sorted(map(str, scopes))
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json"}
        limits = CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S
        try:
            if login and login.identity_token:
                headers["Content-Type"] = "application/x-www-form-urlencoded"
                form = [
                    *(("grant_type", "refresh_token"), ("refresh_token", login.identity_token)),
                    *(("client_id", USER_AGENT), ("scope", " ".join(names)), *named),
                ]
                body = urlencode(form).encode()
                return self._connections.send("POST", url, limits, headers=headers, body=body)
            if login:
                headers["Authorization"] = login.basic
            query = urlencode([*named, *(("scope", name) for name in names)])
            url += f"{'&' if '?' in url else '?'}{query}"
            return self._connections.send("GET", url, limits, headers=headers)
        except (HTTPError, OSError, ValueError) as error:
            raise broken(origin_of(url)[1], error, ANSWER_TIMEOUT_S) from error

    def _no_token(self, answer: Any, data: bytes, login: Login | None) -> RegistryError:
        if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) and login:
            return _wrong_login(self.host, login, answer.status)
        secret = login.secret if login else ""
        return refusal(self.host, answer.status, answer.headers, data, secret=secret)

    def _refused(self, ask: Ask, answer: Any) -> RegistryError:
        login = self._login(ask.scopes) if self._challenge else None
        repository = next(iter(sorted(ask.scopes, key=lambda scope: not scope.writes)), None)
        where = f"{self.host}/{repository.repository}" if repository else self.host
        data = read(answer)
        if answer.status == HTTPStatus.UNAUTHORIZED and self._challenge and not _is_denied(data):
            if login is None:
                what = "is not there, or not for everybody: nobody is logged in here (401)"
                return RegistryError(where, what, f"docker login {self.host}", status=401)
            return _wrong_login(where, login, answer.status)
        secret = login.secret if login else ""
        return refusal(where, answer.status, answer.headers, data, secret=secret)


def _can_repeat(body: bytes | Iterable[bytes] | None) -> bool:
    return body is None or isinstance(body, bytes)


def _is_denied(data: bytes) -> bool:
    """Tell whether a 401 is about rights: the token was good, and did not allow it."""
    return b'"DENIED"' in data


def _wrong_login(where: str, login: Login, status: int) -> RegistryError:
    name = "its token" if login.identity_token else f"{login.name} and the password"
    what = f"does not accept {name} ({status}), or they do not allow this"
    return RegistryError(where, what, "log in again (docker login)", status=status)


def _read_token(data: bytes) -> Token:
    found = json.loads(data)
    text = found.get("token") or found["access_token"]
    return Token(str(text), float(found.get("expires_in") or USUAL_LIFE_S))
