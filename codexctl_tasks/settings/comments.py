"""Requests about comments on GitHub: flags into objects."""

from __future__ import annotations

from typing import Any

from codexctl_tasks.errors import UsageError
from codexctl_tasks.requests.slots import CommentRequest
from codexctl_tasks.settings.environment import value
from codexctl_tasks.settings.slots import STATES, slot_fields
from codexctl_tasks.settings.values import choice, timeout_s

LANGUAGES = ("en", "ru")
COMMENT_STATES = (*STATES, "released")
DEFAULT_TTL_S = 168 * 3600.0
"""As long as `gc` leaves a slot alone that nobody uses."""


def comment_request(
    *, lang: str = "", state: str = "", ttl: str = "", **given: Any
) -> CommentRequest:
    """Combine flags and ``CODEXCTL_*``; *given* are those of `slot_fields`."""
    fields = slot_fields(**given)
    if fields["issue"] and fields["pr"]:
        fix = "the comment is on one of them"
        raise UsageError("--issue", "cannot be combined with --pr", fix)
    language, shown = value("lang", lang).lower(), value("state", state)
    return CommentRequest(
        **fields,
        language=choice("lang", language, LANGUAGES) if language else "",
        state=choice("state", shown, COMMENT_STATES) if shown else "",
        ttl_s=timeout_s("ttl", ttl, DEFAULT_TTL_S),
    )
