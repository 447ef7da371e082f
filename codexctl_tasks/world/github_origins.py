"""Where a token may be sent: to one origin, and over connections that are to be trusted."""

from __future__ import annotations

import ssl
from contextlib import suppress
from urllib.parse import urljoin, urlsplit

from codexctl_tasks.world.github_answers import GitHubError

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def joined(url: str, location: str) -> str:
    """Return where a redirection leads to."""
    try:
        return urljoin(url, location)
    except ValueError:
        return location


def checked_origin(url: str) -> str:
    """Return the origin of an API; raise `GitHubError` for an address that is not to be used."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    is_whole = parts.hostname and not (parts.username or parts.query or parts.fragment)
    if not is_safe or not is_whole or not (origin := origin_of(url)):
        raise GitHubError("GITHUB_API_URL", "is no address of an API", "write https://HOST/api/v3")
    return origin


def origin_of(url: str) -> str:
    """Return scheme, host and port: where a token may be sent; empty: nobody can read that."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    except ValueError:
        return ""
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def trusted() -> ssl.SSLContext:
    """Return the authorities of the system, and those that everybody knows."""
    context = ssl.create_default_context()
    with suppress(ImportError):
        import certifi

        context.load_verify_locations(certifi.where())
    return context
