"""What an answer of a port means to somebody who expects a host behind it (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codexctl_tasks.hooks.certificates import UnreadableError, read_der
from codexctl_tasks.world.probing import State

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from codexctl_tasks.world.probing import Endpoint, Sighting

_LONGEST = 160
"""Characters of what is said about a port."""
_STATUS = re.compile(r"HTTP/[0-9](?:\.[0-9])? ([1-5][0-9]{2})(?![0-9])")
_BREAK = re.compile(r"\r?\n\r?\n")
_NOT_TLS = ("wrong version number", "http request", "record layer failure", "packet length too")
"""What OpenSSL calls an answer that is none of TLS, depending on its version."""
_TLS_WANTED = ("http request was sent to https port", "http request to an https server")
"""nginx and Go to a plain request on a port for TLS."""
_NOT_ROUTED = (
    "default backend - 404",  # ingress-nginx, HAProxy's own controller
    "<hr><center>nginx</center>",  # ingress-nginx since it brings its own default backend
    "404 page not found",  # Traefik
    "the requested url was not found.\n</body></html>",  # haproxy-ingress
    "no route matched with those values",  # Kong
    "404 route not found",  # APISIX
    "response 404 (backend notfound)",  # Google's load balancers
)
"""Pages of ingress controllers for hosts that they do not know, in lower case."""
_MISDIRECTED = 421
_NOT_FOUND = 404
_SERVER_ERROR = 500
_NOT_READY = (502, 503, 504)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found at one port of one address."""

    endpoint: Endpoint
    state: State
    is_fine: bool
    text: str

    @property
    def sends_on(self) -> bool:
        """Whether clients learn at once that they must try another address."""
        return self.state in (State.UNREACHABLE, State.REFUSED)

    def __str__(self) -> str:
        return f"{self.endpoint}: {self.text}"


def judge(
    endpoint: Endpoint, seen: Sighting, host: str, timeout_s: float, now: datetime
) -> Finding:
    """
    Say what was seen at an endpoint.

    Args:
        endpoint: Where.
        seen: What.
        host: Whose answer is expected.
        timeout_s: How long was waited.
        now: For the certificate.
    """
    is_fine, text = _answer(seen, host) if seen.answer else (False, _no_answer(seen, timeout_s))
    if seen.distrust:
        is_fine, text = False, f"{_distrust(seen, host, now)}; {text}"
    return Finding(endpoint, seen.state, is_fine, _one_line(text))


def _no_answer(seen: Sighting, timeout_s: float) -> str:
    is_other = seen.state is State.NO_TLS and seen.detail.startswith(_NOT_TLS)
    if is_other:
        return "answers, but speaks no TLS: plain HTTP?"
    texts = {
        State.REFUSED: "nothing listens: connection refused",
        State.UNCONNECTED: f"no connection within {timeout_s:g} s: filtered, or nobody is there",
        State.UNREACHABLE: f"cannot be reached from here: {seen.detail}",
        State.NO_TLS: f"listens, but the TLS handshake fails: {seen.detail}",
        State.SILENT: f"listens, but says nothing within {timeout_s:g} s",
    }
    closes = f"listens, but closes the connection without an answer {seen.detail}".rstrip()
    return texts.get(seen.state, closes)


def _answer(seen: Sighting, host: str) -> tuple[bool, str]:
    """Judge what was said; whether it is fine, and what it is."""
    text = seen.answer.decode("latin-1")
    found = _STATUS.match(text)
    if seen.answer.startswith(b"\x15\x03"):  # an alert of TLS
        return False, "answers with TLS instead of plain HTTP"
    if not found:
        return False, "answers something that is not HTTP"
    parts = _BREAK.split(text, maxsplit=1)
    if len(parts) == 1:
        return False, f"answers {found[1]}, but its headers do not end"
    return _meaning(int(found[1]), _headers(parts[0]), parts[1].lower(), host)


def _meaning(status: int, headers: Mapping[str, str], body: str, host: str) -> tuple[bool, str]:
    if any(text in body for text in _TLS_WANTED):
        return False, "speaks TLS, not plain HTTP"
    if status == _MISDIRECTED or (status == _NOT_FOUND and _is_default(headers, body)):
        return False, f"answers, but nothing is routed for {host} ({status})"
    if status in _NOT_READY:
        return False, f"answers {status}: the backend is not ready"
    if status >= _SERVER_ERROR:
        return False, f"answers {status}"
    target = headers.get("location", "") if status // 100 == 3 else ""  # noqa: PLR2004
    return True, f"answers {status}" + (f", to {target}" if target else "")


def _is_default(headers: Mapping[str, str], body: str) -> bool:
    """Tell whether a 404 is that of an ingress controller, not of what is behind it."""
    if any(text in body.replace("\r", "") for text in _NOT_ROUTED):
        return True
    # Envoy (Contour, Istio, Cilium) says nothing of its own; what came from a backend has a time.
    is_envoy = headers.get("server", "").lower() in ("envoy", "istio-envoy")
    return is_envoy and not body and "x-envoy-upstream-service-time" not in headers


def _headers(head: str) -> Mapping[str, str]:
    pairs = (line.partition(":") for line in head.splitlines()[1:])
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _distrust(seen: Sighting, host: str, now: datetime) -> str:
    """Say what is wrong with a certificate that no client accepts."""
    try:
        found = read_der(seen.certificate)
    except UnreadableError:
        return f"certificate not accepted: {seen.distrust}"
    if found.is_default:
        return f'shows "{found.subject}", as there is no certificate for {host}'
    if doubt := found.doubt([host], now):
        return f"certificate {doubt}"
    if found.is_self_signed:
        return "certificate self-signed"
    return f'certificate not accepted: {seen.distrust} (from "{found.issuer}")'


def _one_line(text: str) -> str:
    """Return what strangers had a part in as one short line that can do no harm."""
    safe = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return safe if len(safe) <= _LONGEST else safe[: _LONGEST - 3] + "..."
