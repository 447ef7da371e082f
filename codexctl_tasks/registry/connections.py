"""Connections to registries and to where they send us: proxies, limits, and where not to go."""

from __future__ import annotations

import ipaddress
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from codexctl_tasks.registry.failures import broken
from codexctl_tasks.registry.interface import RegistryError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

CONNECTIONS_PER_HOST = 32
"""At most. Who holds one while it waits for another must be fewer, or all wait for ever."""
USER_AGENT = "codexctl"
CONNECT_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 60.0
"""For an answer to begin, and between two pieces of it."""
_HOSTS = 64
SHORT = 2**16
"""Bytes that are read to keep a connection; a new one costs less than more."""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
API_HOSTS = {"docker.io": "registry-1.docker.io"}
"""Registries whose API has another name than their images."""
_PORTS = {"https": 443, "http": 80}


def is_loopback(host: str) -> bool:
    """Tell whether a host, with or without port, is this machine itself."""
    return urlsplit(f"//{host}").hostname in LOOPBACK


def schemes_of(host: str, *, allows_http: bool) -> tuple[str, ...]:
    """Return the schemes by which a registry may be asked, the likeliest first."""
    return ("http", "https") if allows_http or is_loopback(host) else ("https",)


def origin_of(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port; an empty host: nobody can read that."""
    with suppress(ValueError):
        parts = urlsplit(url)
        scheme = parts.scheme.lower()
        return scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(scheme, 0)
    return "", "", 0


class Connections:
    """Open connections, kept for the next request; of many threads."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        """Take the proxies from *variables*, the environment."""
        self._variables = variables
        self._managers: dict[str, Any] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close those that nobody uses."""
        for manager in self._managers.values():
            manager.clear()

    def send(self, method: str, url: str, timeout_s: tuple[float, float], **more: Any) -> Any:
        """
        Send a request once and return the answer, its body still unread.

        Args:
            method: Of HTTP.
            url: Whole.
            timeout_s: To connect, and for the answer or its next piece.
            more: Headers and body, as urllib3 takes them.
        """
        from urllib3 import Retry, Timeout

        connect_s, read_s = timeout_s
        return self._manager(proxy_for(url, self._variables)).urlopen(
            *(method, url),
            timeout=Timeout(connect=connect_s, read=read_s),
            retries=Retry(total=False, redirect=False),  # what is hidden cannot be told
            redirect=False,
            preload_content=False,
            decode_content=False,
            **more,
        )

    def check(self, where: str, url: str, origin: str) -> None:
        """
        Refuse an address on another host that a registry has no business to send us to.

        Args:
            where: The registry, for the error.
            url: Where it sends us.
            origin: Its own address; one that is itself in a private network may lead into it.

        Raises:
            RegistryError: It leads to plain HTTP, or from outside into a private network.
        """
        scheme, host, _ = origin_of(url)
        secure = origin_of(origin)[0] == "https"
        if not host or scheme not in _PORTS or (secure and scheme != "https"):
            what = f"sends us to {host or 'nowhere'} without TLS" if host else "sends us nowhere"
            raise RegistryError(where, what, "ask who runs it")
        if _depth(host) > self._depth_from(origin) or self._leads_inside(url, origin):
            what = f"sends us to {host}, which is in a private network"
            raise RegistryError(where, what, "ask who runs it")

    def _depth_from(self, origin: str) -> int:
        """Return how deep inside a registry is; behind a proxy only its name can tell."""
        host = origin_of(origin)[1]
        if proxy_for(origin, self._variables):
            return _depth(host)
        return max(map(_depth, _addresses(host)), default=0)

    def _leads_inside(self, url: str, origin: str) -> bool:
        """Tell whether a name stands for an address deeper inside than the registry's own."""
        if proxy_for(url, self._variables):
            return False  # the proxy's own rules count, and it alone knows the address
        most = self._depth_from(origin)
        return any(_depth(each) > most for each in _addresses(origin_of(url)[1]))

    def _manager(self, proxy: str) -> Any:
        with self._lock:
            if proxy not in self._managers:
                self._managers[proxy] = _new_manager(proxy)
            return self._managers[proxy]


def _new_manager(proxy: str) -> Any:
    from urllib3 import PoolManager, ProxyManager, make_headers

    limits = {"num_pools": _HOSTS, "maxsize": CONNECTIONS_PER_HOST, "block": True}
    if not proxy:
        return PoolManager(**limits)  # type: ignore[arg-type]
    user = urlsplit(proxy)
    account = f"{unquote(user.username)}:{unquote(user.password or '')}" if user.username else None
    headers = make_headers(proxy_basic_auth=account)
    return ProxyManager(proxy, proxy_headers=headers, **limits)  # type: ignore[arg-type]


def proxy_for(url: str, variables: Mapping[str, str]) -> str:
    """Return the address of the proxy that the environment names for an address, or nothing."""
    parts = urlsplit(url)
    named = {key.lower(): value for key, value in variables.items() if value}
    proxy = named.get(f"{parts.scheme}_proxy", "")
    if not proxy or parts.hostname in LOOPBACK or _is_direct(parts, named.get("no_proxy", "")):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_direct(url: SplitResult, no_proxy: str) -> bool:
    """Tell whether an address is one of those that NO_PROXY lists, or below one of them."""
    names = {url.netloc.lower(), url.hostname or ""}
    entries = [entry.strip().lower().lstrip(".") for entry in no_proxy.split(",")]
    return any(
        entry in ("*", name) or name.endswith(f".{entry}")
        for entry in filter(None, entries)
        for name in names
    )


def read(where: str, answer: Any, most: int = SHORT) -> bytes:
    """
    Return the body of an answer up to a size, in bytes; the connection is free again.

    Raises:
        TransientRegistryError: The connection broke.
    """
    from urllib3.exceptions import HTTPError

    data = b""
    try:
        while len(data) < most and (piece := answer.read(most - len(data))):
            data += piece
    except (HTTPError, OSError) as error:
        raise broken(where, error, ANSWER_TIMEOUT_S) from error
    finally:
        drop(answer)
    return data


def drop(answer: Any) -> None:
    """Free the connection of an answer whose body nobody needs; a long one is cut off."""
    from urllib3.exceptions import HTTPError

    left = answer.length_remaining
    try:
        is_over = (left is None or left <= SHORT) and len(answer.read(SHORT)) < SHORT
    except (HTTPError, OSError):
        is_over = False
    if is_over:
        answer.release_conn()
    else:
        answer.close()


def _addresses(host: str) -> list[str]:
    """Return the addresses behind a name; none if it is unknown, which the request will tell."""
    try:
        return [str(each[4][0]) for each in socket.getaddrinfo(host, None)]
    except OSError:
        return []


def _depth(host: str) -> int:
    """Return 0 for an address of the internet or a name, 1 for a private one, 2 for loopback."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return 2 if host == "localhost" or host.endswith(".localhost") else 0
    if address.is_loopback or address.is_link_local or address.is_unspecified:
        return 2
    return 0 if address.is_global else 1
