"""
One request to the API server and its answer: time limits, retries, errors in our own words.

Every call has a time limit. Trouble that passes is repeated by the one policy of `retrying`; a
401 reloads the credentials once, because tokens of CI expire in the middle of a run.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from codexctl_tasks.errors import (
    BrokenStreamError,
    ClusterError,
    ExpiredError,
    Patience,
    TransientClusterError,
)
from codexctl_tasks.world.answers import parse_status, plain_message, refusal
from codexctl_tasks.world.retrying import FIRST_CONTACT, STEADY, retrying

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Collection, Generator, Mapping, Sequence

    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.credentials import Access
    from codexctl_tasks.world.retrying import Repetition

T = TypeVar("T")

USER_AGENT = "codexctl"
CONNECT_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 30.0
"""Longer than the 10 s an admission webhook may take by default."""
JSON = "application/json"
_SAME_ROUND_S = 10.0
"""Longer than any pause between attempts."""
_RELOAD_AGAIN_S = 10.0
"""Credentials that were read so recently are not read anew: there are none better."""


@dataclass(frozen=True, slots=True)
class Upgraded:
    """A connection that speaks another protocol by now; it does not block."""

    protocol: str
    connection: socket.socket
    rest: bytes
    """What has been read from it already."""
    answer: Any
    """Closes the connection, also when it is forgotten."""


class Transport:
    """Sends requests, from any number of threads."""

    def __init__(
        self, load: Callable[[], Access], clock: Clock, announce: Callable[[str], None]
    ) -> None:
        """
        Load the credentials.

        Args:
            load: Returns the credentials as they are now.
            clock: For the pauses between attempts.
            announce: Receives one line before each repeated attempt.
        """
        self._load, self._access = load, load()
        self._clock, self._announce = clock, announce
        self._policy = FIRST_CONTACT
        self._reloading, self._telling = threading.Lock(), threading.Lock()
        self._told_s: dict[tuple[str, int], float] = {}
        self._reloaded_s = -math.inf
        self.address, self.namespace = self._access.address, self._access.namespace
        self.context = self._access.context
        self.deadline_s = math.inf
        self._date = ""
        self._dated: tuple[datetime, float] | None = None

        from urllib3 import Retry, Timeout

        self._time_limit = Timeout(connect=CONNECT_TIMEOUT_S, read=REQUEST_TIMEOUT_S)
        self._never = Retry(total=False, redirect=False)  # what is hidden cannot be told

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        **more: Any,
    ) -> dict[str, Any]:
        """Send a request, repeating it while the trouble is passing, and decode the answer."""
        return self.exchange(method, path, query, body, **more)[0]

    def exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        *,
        not_for: Collection[Patience] = (),
        **more: Any,
    ) -> tuple[dict[str, Any], Any]:
        """
        Do the same as `request`, and return the headers as well.

        *not_for*: trouble for which it is not repeated; *more*: see `_send`.
        """
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()

        def attempt() -> tuple[dict[str, Any], Any]:
            answer = self._send(method, path, query, data, **more)
            return _decoded(answer.data), answer.headers

        return self._retried(lambda: self._attempt(method, path, attempt), not_for)

    def open_stream(
        self, path: str, query: Mapping[str, Any], *, silence_s: float
    ) -> Generator[bytes, None, None]:
        """
        Ask once for an answer that goes on; return its pieces as they arrive.

        Raises:
            TransientClusterError: It could not be opened.
            BrokenStreamError: By the iterator: the connection broke.
            ExpiredError: By the iterator: nothing came for *silence_s*. The server may have had
                nothing to say, or something in between holds it back: only a new list can tell.
        """

        def attempt() -> Any:
            answer = self._send("GET", path, query, goes_on=True)
            if answer.connection is not None and answer.connection.sock is not None:
                answer.connection.sock.settimeout(silence_s)  # it has begun within the usual time
            return answer

        answer = self._retried(lambda: self._attempt("GET", path, attempt), not_for=list(Patience))
        return self._pieces(answer)

    def _pieces(self, answer: Any) -> Generator[bytes, None, None]:
        from urllib3.exceptions import ReadTimeoutError

        try:
            yield from answer.stream(2**16, decode_content=True)
        except ReadTimeoutError as error:
            raise ExpiredError(self.address, "a watch fell silent", "list anew") from error
        except connection_errors() as error:
            what = f"the stream broke: {plain_message(error)}"
            raise BrokenStreamError(self.address, what) from error
        finally:
            answer.close()

    def upgrade(self, path: str, protocols: Sequence[str]) -> Upgraded:
        """Ask for a WebSocket with one of *protocols*; repeated while the trouble is passing."""
        key = base64.b64encode(os.urandom(16)).decode()
        headers = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Protocol": ", ".join(protocols),
        }

        def attempt() -> Upgraded:
            answer = self._send(
                *("GET", path, None), accept="*/*", goes_on=True, more_headers=headers
            )
            accepted = answer.headers.get("Sec-WebSocket-Accept", "")
            protocol = answer.headers.get("Sec-WebSocket-Protocol", "")
            if answer.status != HTTPStatus.SWITCHING_PROTOCOLS or accepted != _acceptance(key):
                answer.close()
                what = f"answered {answer.status} where a WebSocket was asked for"
                raise ClusterError(self.address, what, "let proxies in between pass WebSockets")
            if protocol not in protocols:
                answer.close()
                raise ClusterError(self.address, f"speaks {protocol!r}, not {protocols[0]}")
            return Upgraded(protocol, answer.connection.sock, _read_too_far(answer), answer)

        return self._retried(lambda: self._attempt("GET", path.partition("?")[0], attempt))

    def read_text(self, path: str, query: Mapping[str, Any]) -> str:
        """Ask once for plain text: what is nice to have is not waited for."""

        def attempt() -> str:
            answer = self._send("GET", path, query, accept="text/plain, */*")
            return str(answer.data, errors="replace")

        return self._attempt("GET", path, attempt)

    def server_time(self) -> datetime | None:
        """
        Return what the server's clock shows; ours may be wrong.

        From the newest ``Date`` of an answer, which has no fractions: up to 1 s behind. None as
        long as none came.
        """
        if self._dated is None:
            return None
        date, at_s = self._dated
        return date + timedelta(seconds=self._clock.now() - at_s)

    def _note_date(self, header: str | None) -> None:
        """Remember when a date was first seen: later ones of the same second say less."""
        if header is None or header == self._date:
            return
        with suppress(ValueError):  # a proxy in between wrote it
            date = parsedate_to_datetime(header)
            self._dated = date if date.tzinfo else date.replace(tzinfo=UTC), self._clock.now()
            self._date = header

    def _retried(self, attempt: Callable[[], T], not_for: Collection[Patience] = ()) -> T:
        try:
            answer = retrying(
                *(attempt, self._clock, self._policy, self._tell),
                deadline_s=self.deadline_s,
                not_for=not_for,
            )
        except ClusterError as error:
            if error.status and not isinstance(error, TransientClusterError):
                self._policy = STEADY
            raise
        self._policy = STEADY
        return answer

    def _attempt(self, method: str, path: str, attempt: Callable[[], T]) -> T:
        """Call *attempt*; after a 401 once more with credentials that were read anew."""
        used = self._access
        try:
            try:
                return attempt()
            except ClusterError as error:
                if error.status != HTTPStatus.UNAUTHORIZED or not self._reload(used):
                    raise
            return attempt()
        except connection_errors() as error:
            raise self._explained(error, f"{method} {path}") from error

    def _reload(self, used: Access) -> bool:
        """Read the credentials anew; False if they are as new as can be."""
        with self._reloading:  # sixteen requests may have been refused at the same time
            if self._access is not used:
                return True
            if self._clock.now() - self._reloaded_s < _RELOAD_AGAIN_S:
                return False
            self._reloaded_s = self._clock.now()
            self._announce(f"{self.address}: the credentials are not accepted; reading anew")
            fresh = self._load()
            if fresh.address != self.address:  # somebody has chosen another context meanwhile
                what = f"the kubeconfig leads to {fresh.address} by now"
                raise ClusterError(self.address, what, "give --context and run again")
            self._access = fresh
            return True

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        data: bytes | None = None,
        *,
        accept: str = JSON,
        content: str = JSON,
        versioned: bool = False,
        goes_on: bool = False,
        more_headers: Mapping[str, str] | None = None,
    ) -> Any:
        """
        Send a request once.

        Args:
            method: Of HTTP.
            path: Below the address.
            query: Its parameters.
            data: The body.
            accept: The header of that name.
            content: What *data* is.
            versioned: The request is about one version of an object; see `refusal`.
            goes_on: Return the answer unread, as soon as it begins.
            more_headers: Of the request; None: no others.
        """
        access = self._access
        headers = {"Accept": accept, "Content-Type": content, "User-Agent": USER_AGENT}
        headers |= more_headers or {}
        if access.authorization:
            headers["Authorization"] = access.authorization
        answer = access.pool.urlopen(
            method,
            access.prefix + path + (_encoded(*query.items()) if query else ""),
            body=data,
            headers=headers,
            timeout=self._time_limit,
            retries=self._never,
            redirect=False,
            assert_same_host=False,
            preload_content=not goes_on,
        )
        self._note_date(answer.headers.get("Date"))
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            wait, status = answer.headers.get("Retry-After"), parse_status(answer.data)
            asked = path.partition("?")[0]
            raise refusal(method, asked, answer.status, status, wait, versioned=versioned)
        return answer

    def _tell(self, repetition: Repetition) -> None:
        """Announce a pause; of many requests that wait for the same server only the first."""
        same = (repetition.error.what, repetition.attempt)
        with self._telling:
            now_s = self._clock.now()
            if now_s - self._told_s.get(same, -math.inf) < _SAME_ROUND_S:
                return
            self._told_s[same] = now_s
        self._announce(str(repetition))

    def _explained(self, error: Exception, request: str) -> ClusterError:
        """Say in our own words what a connection has raised."""
        from urllib3.exceptions import SSLError

        cause = error.args[0] if isinstance(error, SSLError) and error.args else error
        if isinstance(cause, ssl.SSLCertVerificationError):
            what = f"its certificate is not accepted: {cause.verify_message}"
            if cause.verify_code in _UNKNOWN_ISSUER:
                what = "its certificate is not signed by the authority in the kubeconfig"
            return ClusterError(self.address, what, "fetch a fresh kubeconfig")
        if isinstance(cause, ssl.SSLError):  # broken off in the middle of a handshake
            what = f"TLS failed: {plain_message(cause)}"
            return TransientClusterError(self.address, what, "try again")
        return TransientClusterError(
            self.address,
            f"cannot be reached: {plain_message(error)}",
            "check that the cluster runs and that this machine may reach it",
            reason=request,
        )


_UNKNOWN_ISSUER = {18, 19, 20, 21}
"""OpenSSL's X509_V_ERR_*: signed by itself, or by nobody who is known."""


def connection_errors() -> tuple[type[Exception], ...]:
    """Return what a connection can raise; a cut-off answer is a `ValueError` of the decoder."""
    from urllib3.exceptions import HTTPError

    return HTTPError, OSError, ValueError


def _acceptance(key: str) -> str:
    """Return what a server makes of a WebSocket's key (RFC 6455, 4.2.2)."""
    magic = f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()
    return base64.b64encode(hashlib.sha1(magic, usedforsecurity=False).digest()).decode()


def _read_too_far(answer: Any) -> bytes:
    """Return what was read together with the head of an answer that switched protocols."""
    reader = answer._original_response.fp  # noqa: SLF001 - nothing public has the bytes in it
    answer.connection.sock.settimeout(0)
    try:
        return bytes(reader.read1() or b"")
    except (BlockingIOError, ssl.SSLWantReadError):
        return b""


@lru_cache(maxsize=64)
def _encoded(*query: tuple[str, Any]) -> str:
    """Return the same for the thousands of requests of one kind."""
    return f"?{urlencode(query)}"


def _decoded(data: bytes) -> dict[str, Any]:
    answer = json.loads(data)
    if not isinstance(answer, dict) or "kind" not in answer:  # a proxy in between, not the server
        raise ValueError(f"an answer without a meaning: {data[:100]!r}")
    return answer
