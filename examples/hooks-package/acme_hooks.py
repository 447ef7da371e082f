"""Hooks of one team."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

from codexctl_tasks.hooks import HookContext, HookError, Parameters, Text, hook


class Announcement(Parameters):
    """``with`` of ``acme.announce``."""

    text: Text
    """What to say."""
    url_variable: Text = "CHAT_WEBHOOK"
    """Name of the variable that holds the address; the address itself is a secret."""


@hook(
    "acme.announce",
    Announcement,
    example="""
        - use: acme.announce
          with: { text: "staging is being deployed" }
    """,
    replaces="""
        curl -fsS -H 'Content-Type: application/json' -d '{"text": "..."}' "$CHAT_WEBHOOK"
    """,
)
def announce(given: Announcement, context: HookContext) -> None:
    """
    Say something in the team's chat.

    Without an address nothing is said, with a warning: whoever deploys from a laptop needs none.
    """
    url = context.variables.get(given.url_variable, "")
    if not url:
        context.warn(f"{given.url_variable} is not set: nothing is announced")
        return
    context.hide([url])
    if not url.startswith(("https://", "http://")):
        raise HookError(given.url_variable, "is no web address", "begin it with https://")
    where = f"{context.project}, {context.env}"
    body = json.dumps({"text": f"{given.text} ({where})"}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=context.left_s) as answer:  # noqa: S310
            context.tell(f"announced, HTTP {answer.status}")
    except urllib.error.HTTPError as error:
        error.close()
        raise HookError(given.url_variable, f"answers HTTP {error.code}", "look there") from None
    except OSError as error:
        raise HookError(given.url_variable, f"cannot be reached: {error}", "is it up?") from None
