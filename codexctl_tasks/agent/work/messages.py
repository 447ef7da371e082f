"""What messages of commits must not say, because GitHub does what they say (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codexctl_tasks.agent.phrases import closed_by, skips_of
from codexctl_tasks.agent.work.names import shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from codexctl_tasks.agent.work.trees import Commit

_LONGEST = 100


def why_refused(written: Sequence[Commit], own: Collection[int]) -> list[str]:
    """
    Return why commits may not be published, a line each; empty: they may.

    Args:
        written: The commits.
        own: Numbers of Issues that the work may close.
    """
    allowed = {f"#{number}" for number in own}
    return [
        f"commit {each.sha[:12]}: {why}: ask the agent for another message"
        for each in written
        for why in dict.fromkeys(_reasons(each, allowed))
    ]


def _reasons(commit: Commit, allowed: Collection[str]) -> Iterator[str]:
    if commit.encoding.lower() not in ("", "utf-8", "utf8"):
        yield f"its message is {_brief(commit.encoding)} instead of UTF-8"
    for order in skips_of(commit.message):
        yield f"its message says {_brief(order)}, so that no checks would run"
    for number in closed_by(commit.message):
        if number not in allowed:
            yield f"its message closes {_brief(number)} when it is merged"


def _brief(text: str) -> str:
    return shown(text.encode()[:_LONGEST])
