"""Whether a registry is there: the first request of its HTTP API, which also says who may ask."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from codexctl_tasks.registry.connections import API_HOSTS, Connections, drop, read, schemes_of
from codexctl_tasks.registry.failures import (
    NO_TLS,
    TransientRegistryError,
    broken,
    is_page,
    no_registry,
    refusal,
)
from codexctl_tasks.registry.interface import RegistryError

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT_S = 5.0
"""To connect, and as long again for an answer; a healthy one needs tenths of a second."""
_IS_THERE = (HTTPStatus.OK, HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 3


@dataclass(frozen=True, slots=True)
class Presence:
    """A registry that has answered."""

    address: str
    """Scheme and host of its API."""
    challenge: str
    """What it wants to see first, as ``WWW-Authenticate`` says; empty: nothing."""


def find_registry(
    host: str,
    variables: Mapping[str, str],
    *,
    allows_http: bool = False,
    timeout_s: float = TIMEOUT_S,
) -> str:
    """
    Ask a registry whether it is there; whether it lets anybody in is another matter.

    Args:
        host: With the port, if it is not the usual one.
        variables: The environment, for the proxies that it names.
        allows_http: Whether plain HTTP will do; on this machine it always does.
        timeout_s: To connect, and as long again for an answer.

    Returns:
        The address at which it answered.

    Raises:
        RegistryError: It did not answer, or something else did.
    """
    connections = Connections(variables)
    try:
        return greet(host, connections, allows_http=allows_http, timeout_s=timeout_s).address
    finally:
        connections.close()


def greet(
    host: str, connections: Connections, *, allows_http: bool, timeout_s: float = TIMEOUT_S
) -> Presence:
    """Do the same as `find_registry` over *connections*, which are then open for more."""
    errors: list[RegistryError] = []
    for scheme in schemes_of(host, allows_http=allows_http):
        try:
            return _ask(f"{scheme}://{API_HOSTS.get(host, host)}", host, connections, timeout_s)
        except RegistryError as error:
            errors.append(error)
    # Whoever speaks no TLS has said by plain HTTP what is wrong.
    raise next((error for error in reversed(errors) if error.what != NO_TLS), errors[-1])


def _ask(address: str, host: str, connections: Connections, timeout_s: float) -> Presence:
    from urllib3.exceptions import HTTPError

    try:
        answer = _followed(f"{address}/v2/", host, connections, timeout_s)
    except (HTTPError, OSError, ValueError) as error:
        raise broken(host, error, timeout_s) from error
    status, headers, data = answer.status, answer.headers, read(host, answer)
    if status not in _IS_THERE or is_page(headers):
        raise _refused(host, status, headers, data)
    return Presence(address, str(headers.get("WWW-Authenticate") or ""))


def _followed(url: str, host: str, connections: Connections, timeout_s: float) -> Any:
    origin = url
    for _ in range(_MOST_REDIRECTS):
        answer = connections.send("GET", url, (timeout_s, timeout_s))
        if answer.status not in _REDIRECTS:
            return answer
        url = urljoin(url, answer.headers.get("Location") or "")
        drop(answer)
        connections.check(host, url, origin)
    return connections.send("GET", url, (timeout_s, timeout_s))


def _refused(host: str, status: int, headers: Mapping[str, str], data: bytes) -> RegistryError:
    """Return what is wrong with an answer, and what to do about it."""
    if status == HTTPStatus.FORBIDDEN:
        what, fix = "refuses this machine (403)", "check who may reach it, and the proxy in between"
        return RegistryError(host, what, fix, status=status)
    found = refusal(host, status, headers, data)
    if isinstance(found, TransientRegistryError):
        what, fix = f"is out of order (it answers {status})", "try again, or ask who runs it"
        error = TransientRegistryError(host, what, fix, status=status)
        error.retry_after_s = found.retry_after_s
        return error
    return no_registry(host, status)
