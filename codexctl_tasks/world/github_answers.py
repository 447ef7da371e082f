"""What GitHub's answers mean: comments, refusals, and for how long it wants to be left in peace."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import CodexctlError, TransientClusterError

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDARY_LIMIT_S = 60.0
"""To be left in peace after a limit that names no time."""
NO_GITHUB = "see whether GITHUB_API_URL is the API of a GitHub"
MAY_BE_DONE = "look whether it was done before you repeat it"
LONGEST_LIMIT_S = 1e6
"""More is no number that means anything."""
_LIMITED = re.compile(r"rate limit|abuse detection", re.IGNORECASE)
_PASSING = frozenset({408, 500, 502, 503, 504})


class GitHubError(CodexctlError):
    """GitHub refused a request, or cannot be reached."""

    exit_code = 5

    def __init__(self, where: str, what: str, fix: str = "", *, status: int = 0) -> None:
        """Describe a failure; *status*: of HTTP; 0: there was no answer."""
        super().__init__(where, what, fix)
        self.status = status


class UnansweredError(GitHubError):
    """Nobody knows whether what was asked for has been done."""


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment on an issue or a pull request."""

    id: int
    """Later ones have a higher one."""
    body: str
    author: str
    """Login; empty: of somebody who is gone."""
    is_by_bot: bool
    url: str
    """For people."""


def refusal(
    method: str, where: str, status: int, headers: Mapping[str, str], body: bytes
) -> CodexctlError:
    """Classify an answer by its status."""
    message = _message(body)
    what = f"GitHub answered {status}: {message}"
    wait_s = _limit_s(status, headers, message)
    if wait_s is not None:
        again = _date(headers) + timedelta(seconds=wait_s)
        what = f"{what}; possible again at {again:%Y-%m-%d %H:%M:%S} UTC"
        error = TransientClusterError(where, what, "give the step more time", status=status)
        error.retry_after_s = wait_s
        return error
    if status in _PASSING and method == "POST":
        return UnansweredError(where, what, MAY_BE_DONE, status=status)
    if status in _PASSING:
        return TransientClusterError(where, what, "see githubstatus.com", status=status)
    needed = headers.get("X-Accepted-GitHub-Permissions")
    needed = needed or "issues: write, for pull requests pull-requests: write"
    fixes = {
        401: "the token has expired or was revoked: set it anew",
        403: f"the token needs the permission {needed}",
        404: f"it does not exist, or the token may not see it; it needs {needed}",
        410: "it was deleted, or issues are switched off in this repository",
    }
    return GitHubError(where, what, fixes.get(status, ""), status=status)


def _limit_s(status: int, headers: Mapping[str, str], message: str) -> float | None:
    """Return for how long a rate limit wants to be left in peace; None: it is none."""
    if status not in (HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS):
        return None
    asked = headers.get("Retry-After") or ""
    if asked.isdecimal():
        return min(float(asked), LONGEST_LIMIT_S)
    reset = headers.get("X-RateLimit-Reset") or ""
    if headers.get("X-RateLimit-Remaining") == "0" and reset.isdecimal():
        # Ours may be wrong: the server's own clock tells how long that is.
        left_s = int(reset) - _date(headers).timestamp() + 1.0
        return min(max(left_s, 0.0), LONGEST_LIMIT_S)
    is_limit = status == HTTPStatus.TOO_MANY_REQUESTS or _LIMITED.search(message)
    return SECONDARY_LIMIT_S if is_limit else None


def _date(headers: Mapping[str, str]) -> datetime:
    with suppress(ValueError, TypeError):
        date = parsedate_to_datetime(headers.get("Date") or "")
        return date if date.tzinfo else date.replace(tzinfo=UTC)
    return datetime.now(UTC)


def _message(body: bytes) -> str:
    """Return what a refusal says, also the one of a proxy in between."""
    try:
        data = json.loads(body)
        details = [str(e.get("message") or e.get("code") or "") for e in data.get("errors") or ()]
        said = [str(data.get("message") or "no reason given"), *details]
    except (ValueError, AttributeError):
        said = [body[:200].decode(errors="replace") or "no reason given"]
    return ": ".join(text for text in said if text)


def read_comment(data: Any) -> Comment:
    """
    Read a comment as GitHub writes it.

    Raises:
        GitHubError: It is none.
    """
    try:
        author = data.get("user") or {}
        return Comment(
            id=int(data["id"]),
            body=str(data.get("body") or ""),
            author=str(author.get("login") or ""),
            is_by_bot=author.get("type") == "Bot",
            url=str(data.get("html_url") or ""),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        what = f"answered with something that is no comment: {str(data)[:100]}"
        raise GitHubError("GitHub", what, NO_GITHUB) from error
