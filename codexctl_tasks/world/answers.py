"""What the API server's answers mean: kinds, refusals, and which of these pass by themselves."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import (
    Cause,
    ClusterError,
    Conflict,
    ExpiredError,
    Patience,
    TransientClusterError,
)
from codexctl_tasks.world.cluster import Resource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_TRANSIENT_STATUS = {408, 429, 500, 502, 503, 504}
_NOT_TRANSIENT_TEXT = re.compile(
    r"denied the request|failed to create typed (?:patch|live) object"
    r"|failed to convert new object|unable to convert unstructured object"
)
"""Answered with 500 although it is the manifest's fault."""
_WEBHOOK_IS_DOWN = re.compile(r"failed calling webhook|conversion webhook for")
_CONTENTION = re.compile(r"object has been modified|fulfilled on resourcequotas(?!.*recondition)")
_OWNER = re.compile(r'conflict with "([^"]*)"(?: with subresource "([^"]*)")?')
_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')


def parse_discovery(answer: Mapping[str, Any]) -> Iterator[Resource]:
    """Yield every kind of an aggregated discovery document."""
    for group in answer["items"]:
        name = group["metadata"].get("name", "")
        for version in group["versions"]:
            api_version = f"{name}/{version['version']}" if name else version["version"]
            for entry in version.get("resources") or ():
                kind = (entry.get("responseKind") or {}).get("kind", "")
                namespaced = entry["scope"] == "Namespaced"
                aliases = (entry.get("singularResource") or "", *(entry.get("shortNames") or ()))
                yield Resource(api_version, kind, entry["resource"], namespaced, aliases)


def parse_status(data: bytes) -> Mapping[str, Any]:
    """Return the ``Status`` in a refusal, or one made of whatever a proxy in between wrote."""
    try:
        status = json.loads(data)
    except ValueError:
        return {"message": data[:300].decode(errors="replace")}
    return status if isinstance(status, dict) else {"message": str(status)[:300]}


def refusal(
    method: str,
    path: str,
    code: int,
    status: Mapping[str, Any],
    retry_after: str | None = None,
    *,
    versioned: bool = False,
) -> ClusterError:
    """
    Classify an answer by its status.

    Args:
        method: Of the request.
        path: Of the request.
        code: HTTP status; 300 or more.
        status: Kubernetes' ``Status`` object.
        retry_after: The header of that name, None if it was not sent.
        versioned: The request is about one version of an object: when that is outdated, sending
            the same once more would fail for ever.
    """
    message = str(status.get("message") or "no reason given").strip()
    reason = str(status.get("reason") or "")
    where, what = f"{method} {path}", f"the API server answered {code}: {message}"
    details = status.get("details")
    details = details if isinstance(details, dict) else {}
    if code == HTTPStatus.GONE:
        return ExpiredError(where, what, "list anew", status=code, reason=reason)
    if patience := _patience(code, message, versioned=versioned):
        error = TransientClusterError(where, what, "try again later", status=code, reason=reason)
        error.patience = patience
        asked = str(details.get("retryAfterSeconds") or retry_after or "")
        error.retry_after_s = float(asked) if asked.isdecimal() else 0.0
        return error
    fixes = {
        401: "log in again: the credentials were not accepted",
        403: "ask for this permission, or use other credentials",
        404: "check the name and that the kind is installed",
    }
    causes = [cause for cause in details.get("causes") or () if isinstance(cause, dict)]
    blamed = (Cause(str(c.get("field") or ""), str(c.get("message") or "")) for c in causes)
    return ClusterError(
        where,
        what,
        fixes.get(code, ""),
        status=code,
        reason=reason,
        causes=tuple(blamed),
        conflicts=tuple(_conflicts(causes)),
    )


def warnings_in(headers: Sequence[str]) -> tuple[str, ...]:
    """Return the texts of ``Warning`` headers (RFC 7234, code 299, as the API server writes)."""
    # Python reads headers as Latin-1; the API server writes UTF-8.
    read = (header.encode("latin-1", "replace").decode(errors="replace") for header in headers)
    texts = (text for header in read for text in _WARNING.findall(header))
    return tuple(re.sub(r"\\(.)", r"\1", text) for text in texts)


def _conflicts(causes: Sequence[Mapping[str, Any]]) -> Iterator[Conflict]:
    for cause in causes:
        if cause.get("reason") == "FieldManagerConflict":
            found = _OWNER.match(str(cause.get("message") or ""))
            manager, subresource = found.groups(default="") if found else ("unknown", "")
            yield Conflict(str(cause.get("field") or ""), manager, subresource)


def _patience(code: int, message: str, *, versioned: bool) -> Patience | None:
    """Tell which trouble an answer speaks of; None for one that does not pass."""
    if _NOT_TRANSIENT_TEXT.search(message):
        return None
    if code == HTTPStatus.INTERNAL_SERVER_ERROR and _WEBHOOK_IS_DOWN.search(message):
        return Patience.WEBHOOK
    if code in _TRANSIENT_STATUS:
        return Patience.SERVER
    if code == HTTPStatus.CONFLICT and not versioned and _CONTENTION.search(message):
        return Patience.CONTENTION
    return None


def plain_message(error: BaseException) -> str:
    """Say what a connection has raised, without the object addresses and tuples of urllib3."""
    match error.args:
        case (str(what), BaseException() as cause):
            more = "" if repr(cause) in what else f": {plain_message(cause)}"
            return what.rstrip(".") + more
    text = str(error)
    return re.sub(r"^.*?object at 0x[0-9a-f]+>:?\s*|^\w+Pool\([^)]*\):\s*", "", text) or repr(error)
