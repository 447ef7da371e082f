"""
GitHub's REST API, as much of it as codexctl needs: typed and thin.

Rate limits are waited for as long as the time allows; what broke on the way is repeated if that is
safe. The token goes to one host only.
"""

from __future__ import annotations

import json
import math
import re
import ssl
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from codexctl_tasks.errors import CodexctlError, TransientClusterError
from codexctl_tasks.world.answers import plain_message
from codexctl_tasks.world.github_answers import (
    MAY_BE_DONE,
    NO_GITHUB,
    Comment,
    GitHubError,
    UnansweredError,
    read_comment,
    refusal,
)
from codexctl_tasks.world.retrying import RetryPolicy, retrying
from codexctl_tasks.world.transport import (
    CONNECT_TIMEOUT_S,
    REQUEST_TIMEOUT_S,
    USER_AGENT,
    connection_errors,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from codexctl_tasks.world.clock import Clock

API_URL = "https://api.github.com"
SHORTEST_TIMEOUT_S = 1.0
PAGE = 100
"""Objects per page of a list; more are not given."""
POLICY = RetryPolicy(attempts=8, budget_s=math.inf)
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?')
_REDIRECTS = frozenset({301, 302, 307, 308})
MOST_REDIRECTS = 5
MOST_PAGES = 200
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    data: Any
    """As JSON; a mapping for one object."""


class GitHub:
    """The API of one server, with the rights of one token."""

    def __init__(
        self,
        *,
        token: str,
        clock: Clock,
        announce: Callable[[str], None],
        url: str = API_URL,
        proxy: str = "",
        deadline_s: float = math.inf,
    ) -> None:
        """
        Prepare; nothing is sent yet.

        Args:
            token: Of a person, of an app or of a workflow.
            clock: For the pauses.
            announce: Receives one line before each pause.
            url: Of the API; ``https://HOST/api/v3`` on a server of one's own.
            proxy: Address of an HTTP proxy; empty: none.
            deadline_s: No pause ends after this moment of the clock.

        Raises:
            GitHubError: Address or token cannot be used.
        """
        self._clock, self._announce, self._deadline_s = clock, announce, deadline_s
        self._url = url.strip().rstrip("/")
        self._origin = _checked_origin(self._url)
        if not re.fullmatch(r"[\x21-\x7e]+", token.strip()):
            raise GitHubError("GitHub token", "holds characters that no token has", "set it anew")
        self._token = token.strip()

        from urllib3 import PoolManager, ProxyManager, Retry

        self._never = Retry(total=False, redirect=False)  # what is hidden cannot be told
        trust = _trust() if self._url.startswith("https:") else None
        self._pool: PoolManager = (
            ProxyManager(proxy, ssl_context=trust) if proxy else PoolManager(ssl_context=trust)
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def login(self) -> str:
        """Return who the token belongs to; empty: to an app or a workflow, which have no name."""
        try:
            return str(self._ask("GET", "/user").data.get("login") or "")
        except GitHubError as error:
            if error.status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
                return ""
            raise

    def comments(self, repository: str, number: int) -> list[Comment]:
        """Return the comments of an issue or a pull request, the oldest first."""
        address = f"/repos/{repository}/issues/{number}/comments?per_page={PAGE}"
        return [read_comment(each) for page in self._pages(address) for each in page]

    def create_comment(self, repository: str, number: int, body: str) -> Comment:
        """
        Write a comment.

        Raises:
            UnansweredError: It may have been written, or not: it is not sent again.
        """
        address = f"/repos/{repository}/issues/{number}/comments"
        return read_comment(self._ask("POST", address, {"body": body}).data)

    def update_comment(self, repository: str, comment: int, body: str) -> Comment:
        """Replace the text of a comment."""
        address = f"/repos/{repository}/issues/comments/{comment}"
        return read_comment(self._ask("PATCH", address, {"body": body}).data)

    def delete_comment(self, repository: str, comment: int) -> None:
        """Delete a comment; one that is gone is fine."""
        try:
            self._ask("DELETE", f"/repos/{repository}/issues/comments/{comment}")
        except GitHubError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    def _pages(self, address: str) -> Iterator[list[Any]]:
        for _ in range(MOST_PAGES):
            answer = self._ask("GET", address)
            if not isinstance(answer.data, list):
                raise GitHubError(self._url, "answered a list with something else", NO_GITHUB)
            yield answer.data
            found = _NEXT.search(answer.headers.get("Link") or "")
            if found is None:
                return
            address = found[1]

    def _ask(self, method: str, address: str, body: Any = None) -> _Answer:
        """Send a request, waiting for what passes; *address*: a path, or whole on this host."""
        url = address if "://" in address else f"{self._url}{address}"
        try:
            return retrying(
                lambda: self._followed(method, url, body),
                *(self._clock, POLICY, lambda pause: self._announce(str(pause))),
                deadline_s=self._deadline_s,
            )
        except TransientClusterError as error:
            where, what, fix = error.where, error.what, error.fix
            raise GitHubError(where, what, fix, status=error.status) from error

    def _followed(self, method: str, url: str, body: Any) -> _Answer:
        """Send a request once, and again to where a renamed repository is now."""
        for _ in range(MOST_REDIRECTS):
            if _origin(url) != self._origin:
                what = f"leads to {_origin(url) or url}: the token is not sent to another host"
                raise GitHubError(f"{method} {self._url}", what, "correct GITHUB_API_URL")
            answer = self._send(method, url, body)
            if answer.status not in _REDIRECTS:
                return answer
            url = _joined(url, answer.headers.get("Location") or "")
        raise GitHubError(f"{method} {url}", "is redirected without an end", NO_GITHUB)

    def _send(self, method: str, url: str, body: Any) -> _Answer:
        from urllib3 import Timeout

        left_s = max(self._deadline_s - self._clock.now(), SHORTEST_TIMEOUT_S)
        where = f"{method} {urlsplit(url).path}"
        try:
            answer = self._pool.request(
                *(method, url),
                body=None if body is None else json.dumps(body).encode(),
                headers=self._headers(),
                timeout=Timeout(min(CONNECT_TIMEOUT_S, left_s), min(REQUEST_TIMEOUT_S, left_s)),
                retries=self._never,
                redirect=False,
            )
            if answer.status >= HTTPStatus.BAD_REQUEST:
                raise refusal(method, where, answer.status, answer.headers, answer.data)
            data = json.loads(answer.data) if answer.data else {}
        except connection_errors() as error:
            raise self._broken(method, where, error) from error
        return _Answer(answer.status, answer.headers, data)

    def _headers(self) -> dict[str, str]:
        return {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "X-GitHub-Api-Version": "2022-11-28",
        }

    def _broken(self, method: str, where: str, error: Exception) -> CodexctlError:
        """Say in our own words what a connection has raised."""
        from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProxyError, SSLError

        cause = error.args[0] if isinstance(error, SSLError) and error.args else error
        if isinstance(cause, ssl.SSLCertVerificationError):
            what = f"its certificate is not accepted: {cause.verify_message}"
            return GitHubError(self._url, what, "set SSL_CERT_FILE to the authority's certificate")
        what = f"no usable answer from {self._origin}: {plain_message(error)}"
        was_not_sent = isinstance(error, NewConnectionError | ConnectTimeoutError | ProxyError)
        if method == "POST" and not was_not_sent:
            return UnansweredError(where, what, MAY_BE_DONE)
        return TransientClusterError(where, what, "check that this machine may reach GitHub")


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        return location


def _checked_origin(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    is_whole = parts.hostname and not (parts.username or parts.query or parts.fragment)
    if not is_safe or not is_whole or not (origin := _origin(url)):
        raise GitHubError("GITHUB_API_URL", "is no address of an API", "write https://HOST/api/v3")
    return origin


def _origin(url: str) -> str:
    """Return scheme, host and port: where a token may be sent; empty: nobody can read that."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    except ValueError:
        return ""
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _trust() -> ssl.SSLContext:
    """Return the authorities of the system, and those that everybody knows."""
    context = ssl.create_default_context()
    with suppress(ImportError):
        import certifi

        context.load_verify_locations(certifi.where())
    return context
