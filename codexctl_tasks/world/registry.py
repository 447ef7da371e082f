"""Whether a registry of images is there: the first request of its HTTP API."""

from __future__ import annotations

import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from codexctl_tasks.errors import CodexctlError
from codexctl_tasks.world.answers import plain_message

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

TIMEOUT_S = 5.0
"""To connect, and as long again for an answer; a healthy one needs tenths of a second."""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_IS_THERE = (HTTPStatus.OK, HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS)
_NO_TLS = "speaks no TLS"
_NO_TLS_REASONS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
"""How OpenSSL calls an answer that is none, depending on its version."""
_API_HOSTS = {"docker.io": "registry-1.docker.io"}
"""Registries whose API has another name than their images."""


class RegistryError(CodexctlError):
    """A registry cannot be used from this machine."""

    exit_code = 5


def is_loopback(host: str) -> bool:
    """Tell whether a host, with or without port, is this machine itself."""
    return urlsplit(f"//{host}").hostname in LOOPBACK


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
    schemes = ("http", "https") if allows_http or is_loopback(host) else ("https",)
    errors: list[RegistryError] = []
    for scheme in schemes:
        address = f"{scheme}://{_API_HOSTS.get(host, host)}"
        try:
            _ask(address, host, variables, timeout_s)
        except RegistryError as error:
            errors.append(error)
        else:
            return address
    # Whoever speaks no TLS has said by plain HTTP what is wrong.
    raise next((error for error in reversed(errors) if error.what != _NO_TLS), errors[-1])


def _ask(address: str, host: str, variables: Mapping[str, str], timeout_s: float) -> None:
    from urllib3 import Retry, Timeout
    from urllib3.exceptions import HTTPError, MaxRetryError

    once = Retry(total=3, redirect=3, connect=0, read=0, other=0, respect_retry_after_header=False)
    limit = Timeout(connect=timeout_s, read=timeout_s)
    try:
        with _connections(address, variables) as pool:
            answer = pool.request(
                *("GET", f"{address}/v2/"), timeout=limit, retries=once, preload_content=False
            )
            kind = str(answer.headers.get("Content-Type", ""))
            answer.close()
    except (HTTPError, OSError, ValueError) as error:
        cause = error.reason if isinstance(error, MaxRetryError) and error.reason else error
        raise RegistryError(host, *explained(cause, timeout_s)) from error
    if answer.status not in _IS_THERE or kind.startswith("text/html"):
        raise RegistryError(host, *_refused(answer.status))


def _connections(address: str, variables: Mapping[str, str]) -> Any:
    """Return connections to an address, through the proxy that the environment names for it."""
    from urllib3 import PoolManager, ProxyManager, make_headers

    url = urlsplit(address)
    named = {key.lower(): value for key, value in variables.items() if value}
    proxy = named.get(f"{url.scheme}_proxy", "")
    if not proxy or url.hostname in LOOPBACK or _is_direct(url, named.get("no_proxy", "")):
        return PoolManager()
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    user = urlsplit(proxy)
    secret = f"{user.username}:{user.password or ''}" if user.username else None
    return ProxyManager(proxy, proxy_headers=make_headers(proxy_basic_auth=secret))


def _is_direct(url: SplitResult, no_proxy: str) -> bool:
    """Tell whether an address is one of those that NO_PROXY lists, or below one of them."""
    names = {url.netloc.lower(), url.hostname or ""}
    entries = [entry.strip().lower().lstrip(".") for entry in no_proxy.split(",")]
    return any(
        entry in ("*", name) or name.endswith(f".{entry}")
        for entry in filter(None, entries)
        for name in names
    )


def _refused(status: int) -> tuple[str, str]:
    """Return what is wrong with an answer, and what to do about it."""
    if status == HTTPStatus.FORBIDDEN:
        return "refuses this machine (403)", "check who may reach it, and the proxy in between"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return f"is out of order (it answers {status})", "try again, or ask who runs it"
    return f"something else answers there ({status}, no registry)", "correct the host name"


def explained(error: BaseException, timeout_s: float) -> tuple[str, str]:
    """Say in our own words what a connection has raised, and what to do about it."""
    from urllib3.exceptions import (
        NameResolutionError,
        NewConnectionError,
        ProxyError,
        SSLError,
    )
    from urllib3.exceptions import TimeoutError as TimedOut

    match error:
        case ProxyError():
            return "the proxy does not let it through", "check HTTPS_PROXY and NO_PROXY"
        case NameResolutionError():
            return "its name is unknown here", "check the spelling, and this machine's DNS"
        case NewConnectionError() if isinstance(error.__cause__, ConnectionRefusedError):
            return "nothing listens there (refused)", "start it, or correct host and port"
        case TimedOut():
            return f"no answer within {timeout_s:g} s", "check firewall, VPN and proxy"
        case SSLError():
            return _explained_tls(error.args[0] if error.args else error)
    return f"cannot be reached: {plain_message(error)}", "check the network of this machine"


def _explained_tls(cause: object) -> tuple[str, str]:
    if isinstance(cause, ssl.SSLCertVerificationError):
        what = f"its certificate is not accepted: {cause.verify_message}"
        return what, "add its authority to this machine's, or renew the certificate"
    if getattr(cause, "reason", "") in _NO_TLS_REASONS:
        return _NO_TLS, "declare it as localRegistry of the environment, or give it TLS"
    return f"TLS failed: {cause}", "check what is in between"
