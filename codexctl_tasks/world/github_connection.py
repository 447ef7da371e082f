"""
How requests get to GitHub's API and answers back.

Rate limits are waited for as long as the time allows; what broke on the way is repeated if that is
safe. The token goes to one host only.
"""

from __future__ import annotations

import json
import math
import re
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from codexctl_tasks.world.answers import plain_message
from codexctl_tasks.world.github_answers import (
    MAY_BE_DONE,
    NO_GITHUB,
    GitHubError,
    Reason,
    TransientGitHubError,
    UnansweredError,
    no_github,
    refusal,
)
from codexctl_tasks.world.github_origins import checked_origin, joined, origin_of, trusted
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
POLICY = RetryPolicy(attempts=8, budget_s=math.inf)
ISSUES = "issues: write, for pull requests pull-requests: write"
"""Permission that comments need."""
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?')
_REDIRECTS = frozenset({301, 302, 307, 308})
MOST_REDIRECTS = 5
MOST_PAGES = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no refusal."""

    where: str
    """Method and path of the request."""
    headers: Mapping[str, str]
    data: Any
    """As JSON; a mapping for one object."""
    status: int = 200


def _accept(_: Answer) -> None:
    """Find nothing wrong with an answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Request:
    method: str
    url: str
    body: Any
    repeats: bool
    needs: str
    check: Callable[[Answer], None]


class Connection:
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
        self._origin = checked_origin(self._url)
        if not re.fullmatch(r"[\x21-\x7e]+", token.strip()):
            raise GitHubError("GitHub token", "holds characters that no token has", "set it anew")
        self._token = token.strip()

        from urllib3 import PoolManager, ProxyManager, Retry, make_headers

        self._never = Retry(total=False, redirect=False)  # what is hidden cannot be told
        trust = trusted() if self._url.startswith("https:") else None
        self._pool: PoolManager = PoolManager(ssl_context=trust)
        if proxy:
            headers = make_headers(proxy_basic_auth=_account_of(proxy))
            self._pool = ProxyManager(proxy, ssl_context=trust, proxy_headers=headers)

    @property
    def graphql_url(self) -> str:
        """Where queries go: beside the REST API, which has ``/api/v3`` on a server of one's own."""
        base = self._url.removesuffix("/v3") if self._url.endswith("/api/v3") else self._url
        return f"{base}/graphql"

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def pages(self, address: str, needs: str = ISSUES) -> Iterator[list[Any]]:
        """Yield the pages of a list; *needs* as in `ask`."""
        for _ in range(MOST_PAGES):
            answer = self.ask("GET", address, needs=needs)
            if not isinstance(answer.data, list):
                raise no_github("answered a list with something else")
            yield answer.data
            found = _NEXT.search(answer.headers.get("Link") or "")
            if found is None:
                return
            address = found[1]
        raise no_github(f"answered {urlsplit(address).path} with more than {MOST_PAGES} pages")

    def ask(
        self,
        method: str,
        address: str,
        body: Any = None,
        *,
        repeats: bool | None = None,
        needs: str = ISSUES,
        check: Callable[[Answer], None] = _accept,
    ) -> Answer:
        """
        Send a request, waiting for what passes.

        Args:
            method: Of HTTP.
            address: A path, or whole on this host.
            body: As JSON; None: none.
            repeats: It may be sent again if nobody knows whether it arrived. None: all but POST.
            needs: Permission of the token, for errors that do not name it.
            check: Raises for an answer that is a refusal in disguise; what it raises may be
                transient.

        Raises:
            UnansweredError: It may have been done, or not: it is not sent again.
            GitHubError: Any other failure.
        """
        request = _Request(
            method=method,
            url=address if "://" in address else f"{self._url}{address}",
            body=body,
            repeats=method != "POST" if repeats is None else repeats,
            needs=needs,
            check=check,
        )
        return retrying(
            lambda: self._followed(request),
            *(self._clock, POLICY, lambda pause: self._announce(str(pause))),
            deadline_s=self._deadline_s,
        )

    def _followed(self, request: _Request) -> Answer:
        """Send a request once, and again to where a renamed repository is now."""
        url = request.url
        for _ in range(MOST_REDIRECTS):
            if origin_of(url) != self._origin:
                what = f"leads to {origin_of(url) or url}: the token is not sent to another host"
                fix = "correct GITHUB_API_URL"
                raise GitHubError(f"{request.method} {self._url}", what, fix)
            answer = self._send(request, url)
            if answer.status not in _REDIRECTS:
                request.check(answer)
                return answer
            url = joined(url, answer.headers.get("Location") or "")
        raise GitHubError(f"{request.method} {url}", "is redirected without an end", NO_GITHUB)

    def _send(self, request: _Request, url: str) -> Answer:
        from urllib3 import Timeout

        left_s = max(self._deadline_s - self._clock.now(), SHORTEST_TIMEOUT_S)
        where = f"{request.method} {urlsplit(url).path}"
        try:
            answer = self._pool.request(
                *(request.method, url),
                body=None if request.body is None else json.dumps(request.body).encode(),
                headers=self._headers(),
                timeout=Timeout(min(CONNECT_TIMEOUT_S, left_s), min(REQUEST_TIMEOUT_S, left_s)),
                retries=self._never,
                redirect=False,
            )
            if answer.status >= HTTPStatus.BAD_REQUEST:
                raise refusal(
                    *(where, answer.status, answer.headers, answer.data),
                    repeats=request.repeats,
                    needs=request.needs,
                )
            data = _decoded(answer.data) if answer.data else {}
        except connection_errors() as error:
            raise self._broken(request, where, error) from error
        return Answer(where, answer.headers, data, answer.status)

    def _headers(self) -> dict[str, str]:
        return {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "X-GitHub-Api-Version": "2022-11-28",
        }

    def _broken(self, request: _Request, where: str, error: Exception) -> GitHubError:
        """Say in our own words what a connection has raised."""
        from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProxyError, SSLError

        cause = error.args[0] if isinstance(error, SSLError) and error.args else error
        if isinstance(cause, ssl.SSLCertVerificationError):
            what = f"its certificate is not accepted: {cause.verify_message}"
            fix = "set SSL_CERT_FILE to the authority's certificate"
            return GitHubError(self._url, what, fix, reason=Reason.UNAVAILABLE)
        what = f"no usable answer from {self._origin}: {plain_message(error)}"
        was_not_sent = isinstance(error, NewConnectionError | ConnectTimeoutError | ProxyError)
        if not request.repeats and not was_not_sent:
            return UnansweredError(where, what, MAY_BE_DONE, reason=Reason.UNAVAILABLE)
        fix = "check that this machine may reach GitHub"
        return TransientGitHubError(where, what, fix, reason=Reason.UNAVAILABLE)


def _account_of(proxy: str) -> str | None:
    """Return name and password for a proxy; None: it asks for none."""
    parts = urlsplit(proxy)
    if not parts.username:
        return None
    return f"{unquote(parts.username)}:{unquote(parts.password or '')}"


def _decoded(data: bytes) -> Any:
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("lists in lists without an end") from None
