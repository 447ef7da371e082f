"""
Questions in GraphQL: what REST cannot tell, or only in many requests.

Refusals come with status 200 there. They are told apart as those of REST are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from codexctl_tasks.world.github_answers import (
    LONGEST_MESSAGE,
    SECONDARY_LIMIT_S,
    GitHubError,
    Reason,
    asked_pause_s,
    limited,
    no_github,
    passing,
)
from codexctl_tasks.world.github_connection import ISSUES, MOST_PAGES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from codexctl_tasks.world.github_connection import Answer, Connection

_REASONS = {
    "NOT_FOUND": Reason.NOT_FOUND,
    "FORBIDDEN": Reason.FORBIDDEN,
    "INSUFFICIENT_SCOPES": Reason.FORBIDDEN,
}
_STATUS = {Reason.NOT_FOUND: 404, Reason.FORBIDDEN: 403}
_LIMITS = ("RATE_LIMITED", "RATE_LIMIT")
_PASSING = re.compile(r"something went wrong|timed? ?out", re.IGNORECASE)
"""GitHub gives these no type."""
_PASSING_TYPES = ("INTERNAL", "SERVICE_UNAVAILABLE")


def query(
    connection: Connection, text: str, variables: Mapping[str, Any], needs: str = ISSUES
) -> dict[str, Any]:
    """
    Return the ``data`` of an answer; one with any error is a refusal, whatever else it holds.

    Args:
        connection: Where to ask.
        text: The query. A mutation is not sent again when nobody knows whether it was done.
        variables: Their values; nothing is ever put into the text.
        needs: Permission of the token.

    Raises:
        GitHubError: With the reason and the status that REST would have.
    """
    is_query = not re.match(r"\s*mutation\b", text)
    answer = connection.ask(
        *("POST", connection.graphql_url, {"query": text, "variables": dict(variables)}),
        repeats=is_query,
        needs=needs,
        check=lambda given: _refuse_errors(given, repeats=is_query, needs=needs),
    )
    data = answer.data.get("data")
    if not isinstance(data, dict):
        raise no_github("answered a query without data")
    return data


def nodes(
    connection: Connection,
    text: str,
    variables: Mapping[str, Any],
    path: tuple[str, ...],
    needs: str = ISSUES,
) -> Iterator[dict[str, Any]]:
    """
    Yield the objects of a list, from as many pages as there are.

    Args:
        connection: Where to ask.
        text: Has ``$cursor: String``, and asks for ``nodes`` and ``pageInfo {hasNextPage
            endCursor}`` at *path*.
        variables: The others.
        path: Fields that lead to the list.
        needs: Permission of the token.
    """
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        data = query(connection, text, {**variables, "cursor": cursor}, needs)
        found, following = _page(data, path)
        yield from found
        if following is None:
            return
        if following == cursor:
            break
        cursor = following
    raise no_github(f"answered {'.'.join(path)} with pages that do not end")


def _page(data: Any, path: tuple[str, ...]) -> tuple[list[dict[str, Any]], str | None]:
    """Return the objects of a page and what leads to the next one; None: it is the last."""
    for name in path:
        data = data.get(name) if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(data.get("nodes"), list):
        raise no_github(f"answered {'.'.join(path)} with no list")
    info = data.get("pageInfo")
    if not isinstance(info, dict) or not isinstance(info.get("hasNextPage"), bool):
        raise no_github(f"answered {'.'.join(path)} without its pages")
    following = info.get("endCursor") if info["hasNextPage"] else None
    if info["hasNextPage"] and not isinstance(following, str):
        raise no_github(f"answered {'.'.join(path)} without its next page")
    # What the token may not see is null among the others.
    return [each for each in data["nodes"] if isinstance(each, dict)], following


def _refuse_errors(answer: Answer, *, repeats: bool, needs: str) -> None:
    """Raise what an answer says, of several errors the first."""
    if not isinstance(answer.data, dict):
        raise no_github("answered a query with something else")
    errors = answer.data.get("errors")
    if not errors:
        return
    first = errors[0] if isinstance(errors, list) else errors
    error = first if isinstance(first, dict) else {"message": first}
    kind, message = str(error.get("type") or ""), str(error.get("message") or "no reason given")
    what = f"GitHub answered: {message[:LONGEST_MESSAGE]}"
    if kind in _LIMITS or "rate limit" in message.lower():
        wait_s = asked_pause_s(answer.headers)
        wait_s = SECONDARY_LIMIT_S if wait_s is None else wait_s
        raise limited(answer.where, what, answer.headers, wait_s, 429)
    if kind in _PASSING_TYPES or (not kind and _PASSING.match(message)):
        raise passing(answer.where, what, 503, repeats=repeats)
    reason = _REASONS.get(kind, Reason.REFUSED)
    status = _STATUS.get(reason, 422)
    fix = "" if reason is Reason.REFUSED else f"if it exists, the token needs {needs}"
    raise GitHubError(answer.where, what, fix, status=status, reason=reason)
