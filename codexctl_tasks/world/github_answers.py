"""What GitHub's refusals mean, and for how long it wants to be left in peace."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING

from codexctl_tasks.errors import CodexctlError, TransientError

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDARY_LIMIT_S = 60.0
"""To be left in peace after a limit that names no time."""
NO_GITHUB = "see whether GITHUB_API_URL is the API of a GitHub"
MAY_BE_DONE = "look whether it was done before you repeat it"
LONGEST_LIMIT_S = 1e6
"""More is no number that means anything."""
LONGEST_MESSAGE = 300
"""Characters of what GitHub says that are shown."""
_LIMITED = re.compile(r"rate limit|abuse detection", re.IGNORECASE)
_PASSING = frozenset({408, 500, 502, 503, 504})


class Reason(StrEnum):
    """Why there is no result; what follows from it differs."""

    UNAUTHORIZED = "unauthorized"
    """The token is none, or none any more."""
    FORBIDDEN = "forbidden"
    """The token may not do that, or nobody may."""
    NOT_FOUND = "not found"
    """It does not exist, or the token may not see it: GitHub does not tell which."""
    GONE = "gone"
    """It was deleted, for certain."""
    LIMITED = "limited"
    """Too many requests; the same one will work later."""
    UNAVAILABLE = "unavailable"
    """No usable answer: nobody knows anything."""
    REFUSED = "refused"
    """Anything else, such as a value that GitHub does not take."""


_REASONS = {
    401: Reason.UNAUTHORIZED,
    403: Reason.FORBIDDEN,
    404: Reason.NOT_FOUND,
    410: Reason.GONE,
}


class GitHubError(CodexctlError):
    """GitHub refused a request, or cannot be reached."""

    exit_code = 5

    def __init__(
        self,
        where: str,
        what: str,
        fix: str = "",
        *,
        status: int = 0,
        reason: Reason = Reason.REFUSED,
    ) -> None:
        """
        Describe a failure.

        Args:
            where: See `CodexctlError`.
            what: See `CodexctlError`.
            fix: See `CodexctlError`.
            status: Of HTTP; 0: there was no answer.
            reason: What kind of failure it is.
        """
        super().__init__(where, what, fix)
        self.status, self.reason = status, reason


class TransientGitHubError(GitHubError, TransientError):
    """The same request may work later."""


class UnansweredError(GitHubError):
    """Nobody knows whether what was asked for has been done."""


def no_github(what: str) -> GitHubError:
    """Return the error for an answer that no GitHub gives."""
    return GitHubError("GitHub", what, NO_GITHUB, reason=Reason.UNAVAILABLE)


def refusal(
    where: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    repeats: bool,
    needs: str,
) -> GitHubError:
    """
    Classify an answer by its status.

    Args:
        where: Method and path.
        status: Of HTTP, from 400.
        headers: Of the answer.
        body: Of the answer.
        repeats: The request may be sent again without doing anything twice.
        needs: Permission of the token, if the answer does not name it.
    """
    message = _message(body)
    what = f"GitHub answered {status}: {message}"
    if (wait_s := _limit_s(status, headers, message)) is not None:
        return limited(where, what, headers, wait_s, status)
    if status in _PASSING:
        error = passing(where, what, status, repeats=repeats)
        if isinstance(error, TransientError):
            error.retry_after_s = asked_pause_s(headers) or 0.0
        return error
    fix = _fix(status, headers, message, needs)
    return GitHubError(where, what, fix, status=status, reason=_REASONS.get(status, Reason.REFUSED))


def passing(where: str, what: str, status: int, *, repeats: bool) -> GitHubError:
    """Return the error for trouble of the server's own."""
    if not repeats:
        return UnansweredError(where, what, MAY_BE_DONE, status=status, reason=Reason.UNAVAILABLE)
    fix = "see githubstatus.com"
    return TransientGitHubError(where, what, fix, status=status, reason=Reason.UNAVAILABLE)


def limited(
    where: str, what: str, headers: Mapping[str, str], wait_s: float, status: int
) -> TransientGitHubError:
    """Return the error for a limit that ends in *wait_s* seconds."""
    again = _date(headers) + timedelta(seconds=wait_s)
    what = f"{what}; possible again at {again:%Y-%m-%d %H:%M:%S} UTC"
    fix = "give the step more time"
    error = TransientGitHubError(where, what, fix, status=status, reason=Reason.LIMITED)
    error.retry_after_s = wait_s
    return error


def asked_pause_s(headers: Mapping[str, str]) -> float | None:
    """Return for how long an answer asks to be left in peace; None: it names no time."""
    asked = headers.get("Retry-After") or ""
    if asked.isdecimal():
        return min(float(asked), LONGEST_LIMIT_S)
    reset = headers.get("X-RateLimit-Reset") or ""
    if headers.get("X-RateLimit-Remaining") == "0" and reset.isdecimal():
        # Ours may be wrong: the server's own clock tells how long that is.
        left_s = int(reset) - _date(headers).timestamp() + 1.0
        return min(max(left_s, 0.0), LONGEST_LIMIT_S)
    return None


def _limit_s(status: int, headers: Mapping[str, str], message: str) -> float | None:
    """Return for how long a rate limit wants to be left in peace; None: it is none."""
    if status not in (HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS):
        return None
    asked_s = asked_pause_s(headers)
    is_limit = status == HTTPStatus.TOO_MANY_REQUESTS or _LIMITED.search(message)
    return SECONDARY_LIMIT_S if asked_s is None and is_limit else asked_s


def _fix(status: int, headers: Mapping[str, str], message: str, needs: str) -> str:
    needs = headers.get("X-Accepted-GitHub-Permissions") or needs
    if status == HTTPStatus.FORBIDDEN and "locked" in message.lower():
        return "unlock the conversation"
    if status == HTTPStatus.FORBIDDEN and "required" in (headers.get("X-GitHub-SSO") or ""):
        return "authorise the token for the single sign-on of the organisation"
    fixes = {
        401: "the token has expired or was revoked: set it anew",
        403: f"the token needs the permission {needs}",
        404: f"it does not exist, or the token may not see it; it needs {needs}",
        410: "it was deleted, or issues are switched off in this repository",
    }
    return fixes.get(status, "")


def _date(headers: Mapping[str, str]) -> datetime:
    with suppress(ValueError, TypeError):
        date = parsedate_to_datetime(headers.get("Date") or "")
        return date if date.tzinfo else date.replace(tzinfo=UTC)
    return datetime.now(UTC)


def _message(body: bytes) -> str:
    """Return what a refusal says, also the one of a proxy in between."""
    try:
        data = json.loads(body)
        details = [_detail(each) for each in data.get("errors") or ()]
        said = [str(data.get("message") or "no reason given"), *details]
    except (ValueError, AttributeError, TypeError, RecursionError):
        said = [body[:200].decode(errors="replace") or "no reason given"]
    return ": ".join(text for text in said if text)[:LONGEST_MESSAGE]


def _detail(error: object) -> str:
    """Return what one of several errors says; older endpoints give texts instead of objects."""
    if not isinstance(error, dict):
        return str(error)
    return str(error.get("message") or error.get("code") or "")
