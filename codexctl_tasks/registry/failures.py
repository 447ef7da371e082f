"""What registries refuse and connections raise, in our own words; which of it passes by itself."""

from __future__ import annotations

import json
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import TransientError
from codexctl_tasks.registry.interface import RegistryError
from codexctl_tasks.world.answers import plain_message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codexctl_tasks.registry.credentials import Login

NO_TLS = "speaks no TLS"
_NO_TLS_REASONS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
"""How OpenSSL calls an answer that is none, depending on its version."""
_PASSING = frozenset({408, 425, 429})
_LONGEST_TEXT = 300
NO_REGISTRY_FIX = "correct the host name"
_FIXES = {
    400: "see what it says",
    401: "log in again (docker login), or correct name and password",
    403: "ask for the right to do this, or log in as somebody else",
    404: "correct the name of the image",
    405: "allow it in the registry's configuration",
    413: "let what is in between pass larger requests",
    507: "make room on its disk",
}


class TransientRegistryError(RegistryError, TransientError):
    """The same request to the registry may work later."""

    was_sent = True
    """False: there is nobody who could have got it."""


def refusal(
    where: str, status: int, headers: Mapping[str, str], data: bytes, *, secret: str = ""
) -> RegistryError:
    """
    Return what a refused request means.

    Args:
        where: The image or the host.
        status: Of HTTP; 400 or more.
        headers: Of the answer.
        data: Its body, or the beginning.
        secret: What was sent to prove who we are; it is not repeated.
    """
    reason = _reason(data)
    if secret:
        reason = reason.replace(secret, "***")
    what = f"the registry answered {status}" + (f": {reason}" if reason else "")
    if status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        fix = _FIXES.get(status, "try again later, or ask who runs it")
        error = TransientRegistryError(where, what, fix, status=status)
        error.retry_after_s = _wish_s(headers.get("Retry-After") or "")
        return error
    if is_page(headers):
        return no_registry(where, status)
    return RegistryError(where, what, _FIXES.get(status, "see what it says"), status=status)


def wrong_login(where: str, login: Login, status: int) -> RegistryError:
    """Return the error for a login that is not accepted; its secret is not in it."""
    name = "its token" if login.identity_token else f"{login.name} and the password"
    what = f"does not accept {name} ({status}), or they do not allow this"
    return RegistryError(where, what, "log in again (docker login)", status=status)


def no_registry(where: str, status: int) -> RegistryError:
    """Return the error for what speaks HTTP and is no registry."""
    what = f"something else answers there ({status}, no registry)"
    return RegistryError(where, what, NO_REGISTRY_FIX, status=status)


def is_page(headers: Mapping[str, str]) -> bool:
    """Tell whether an answer is a page for people: of a proxy, a login, another server."""
    is_html = str(headers.get("Content-Type") or "").lower().startswith("text/html")
    # Some registries call an empty answer that, and have said who they are.
    return is_html and not any(name.lower().startswith("docker-") for name in headers)


def _reason(data: bytes) -> str:
    """Return what the body says; nothing if it is a page."""
    try:
        said: Any = json.loads(data)
    except ValueError:
        text = data.decode(errors="replace").strip()
        return "" if text.startswith("<") else text[:_LONGEST_TEXT]
    errors = said.get("errors") if isinstance(said, dict) else None
    parts = [_part(each) for each in errors or () if isinstance(each, dict)]
    if not parts and isinstance(said, dict):
        parts = [str(said.get("message") or said.get("details") or said.get("error") or "")]
    return "; ".join(filter(None, parts))[:_LONGEST_TEXT]


def _part(error: Mapping[str, Any]) -> str:
    code, message = str(error.get("code") or ""), str(error.get("message") or "")
    detail = error.get("detail")
    more = f" ({detail})" if isinstance(detail, str) and detail not in message else ""
    return f"{code}: {message}{more}" if code and message else code or message


def _wish_s(text: str) -> float:
    """Return ``Retry-After``, which is a number of seconds or a date, in seconds."""
    if text.strip().isdecimal():
        return float(text)
    with suppress(ValueError, TypeError):
        date = parsedate_to_datetime(text)
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return max((date - datetime.now(UTC)).total_seconds(), 0.0)
    return 0.0


def broken(where: str, error: BaseException, timeout_s: float) -> RegistryError:
    """Return what a connection has raised; all of it passes but what is wrong with TLS."""
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProxyError, SSLError

    what, fix = explained(error, timeout_s)
    if isinstance(error, SSLError | ssl.SSLError):
        return RegistryError(where, what, fix)
    found = TransientRegistryError(where, what, fix)
    found.was_sent = not isinstance(error, NewConnectionError | ConnectTimeoutError | ProxyError)
    return found


def explained(error: BaseException, timeout_s: float) -> tuple[str, str]:
    """Say in our own words what a connection has raised, and what to do about it."""
    from urllib3.exceptions import (
        LocationValueError,
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
    # An address that cannot be read may hold a signature.
    is_address = isinstance(error, LocationValueError)
    why = "its address is none" if is_address else plain_message(error)
    return f"cannot be reached: {why}", "check the network of this machine"


def _explained_tls(cause: object) -> tuple[str, str]:
    if isinstance(cause, ssl.SSLCertVerificationError):
        what = f"its certificate is not accepted: {cause.verify_message}"
        return what, "add its authority to this machine's, or renew the certificate"
    if getattr(cause, "reason", "") in _NO_TLS_REASONS:
        return NO_TLS, "declare it as localRegistry of the environment, or give it TLS"
    return f"TLS failed: {cause}", "check what is in between"
