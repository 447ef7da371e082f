"""What the API server's answers mean: kinds, refusals, and which of these pass by themselves."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import ClusterError, ExpiredError, TransientClusterError
from codexctl_tasks.world.cluster import Resource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TRANSIENT_STATUS = {408, 429, 500, 502, 503, 504}
_NOT_TRANSIENT_TEXT = re.compile(r"denied the request|field not declared in schema")


def parse_discovery(answer: Mapping[str, Any]) -> Iterator[Resource]:
    """Yield every kind of an aggregated discovery document."""
    for group in answer["items"]:
        name = group["metadata"].get("name", "")
        for version in group["versions"]:
            api_version = f"{name}/{version['version']}" if name else version["version"]
            for entry in version.get("resources") or ():
                kind = (entry.get("responseKind") or {}).get("kind", "")
                namespaced = entry["scope"] == "Namespaced"
                yield Resource(api_version, kind, entry["resource"], namespaced)


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
) -> ClusterError:
    """
    Classify an answer by its status.

    Args:
        method: Of the request.
        path: Of the request.
        code: HTTP status; 300 or more.
        status: Kubernetes' ``Status`` object.
        retry_after: The header of that name, None if it was not sent.
    """
    message = str(status.get("message") or "no reason given").strip()
    reason = str(status.get("reason") or "")
    where, what = f"{method} {path}", f"the API server answered {code}: {message}"
    if code == HTTPStatus.GONE:
        return ExpiredError(where, what, "list anew", status=code, reason=reason)
    if code in _TRANSIENT_STATUS and not _NOT_TRANSIENT_TEXT.search(message):
        error = TransientClusterError(where, what, "try again later", status=code, reason=reason)
        asked = str((status.get("details") or {}).get("retryAfterSeconds") or retry_after or "")
        error.retry_after_s = float(asked) if asked.isdecimal() else 0.0
        return error
    fixes = {
        401: "log in again: the credentials were not accepted",
        403: "ask for this permission, or use other credentials",
        404: "check the name and that the kind is installed",
    }
    causes = (status.get("details") or {}).get("causes") or ()
    fields = tuple(str(cause.get("field") or "") for cause in causes)
    return ClusterError(where, what, fixes.get(code, ""), status=code, reason=reason, fields=fields)


def plain_message(error: object) -> str:
    """Strip the object addresses that urllib3 puts before its messages."""
    text = str(error)
    return re.sub(r"^.*?object at 0x[0-9a-f]+>:?\s*|^\w+Pool\([^)]*\):\s*", "", text) or repr(error)
