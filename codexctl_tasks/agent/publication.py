"""What became of an agent's work, as jobs hand it on to each other: outputs of a step; pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codexctl_tasks.agent.result import Status

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE = "publication.json"
_LARGEST_BYTES = 2**20
_LONGEST = 2000
_LONGEST_REASON, _LONGEST_LIST, _LONGEST_LINE = 700, 1400, 300
"""Characters of outputs, which are less than 4,000 all together: paths can be very long."""
_URL = re.compile(r"https?://[\w.:\[\]-]+/[\w./#?=&%+~-]*", re.ASCII)
_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    """What was published, or why it was not."""

    status: Status
    reason: str = ""
    """One line for people."""
    pr: int = 0
    """Pull request; 0: none."""
    url: str = ""
    """Of the pull request or comment; empty: none."""
    branch: str = ""
    commit: str = ""
    """Where the branch is now; empty: nothing was pushed, now or before."""
    blocked: tuple[str, ...] = ()
    """Why it may not be published, a line each."""
    review: tuple[str, ...] = ()
    """Files that somebody has to look at."""

    @property
    def outputs(self) -> dict[str, str]:
        """What later jobs read; what is long is cut, with a note."""
        return {
            "status": self.status.value,
            "reason": _cut(self.reason, _LONGEST_REASON),
            "pr-number": str(self.pr or ""),
            "url": self.url,
            "branch": self.branch,
            "commit": self.commit,
            "blocked": _listed(self.blocked),
            "review": _listed(self.review),
        }

    @property
    def data(self) -> dict[str, Any]:
        """What programs read; docs/output.md describes it."""
        return {
            "exitCode": self.status.exit_code,
            "status": self.status.value,
            "reason": self.reason,
            "pr": self.pr,
            "url": self.url,
            "branch": self.branch,
            "commit": self.commit,
            "blocked": list(self.blocked),
            "review": list(self.review),
        }


def _cut(text: str, most: int) -> str:
    """Return a text without its middle if it is too long."""
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"


def _listed(lines: tuple[str, ...]) -> str:
    """Return lines, as many as there is room for, and how many more there are."""
    text = ""
    for at, line in enumerate(lines):
        longer = f"{text}\n{_cut(line, _LONGEST_LINE)}".strip()
        if len(longer) > _LONGEST_LIST:
            return f"{text}\n(and {len(lines) - at:,} more)"
        text = longer
    return text


def read_publication(outputs: Mapping[str, Any]) -> Publication | None:
    """Return what outputs of another job tell; None: they tell nothing, or make no sense."""
    told = {name: value for name, value in outputs.items() if isinstance(value, str)}
    try:
        status = Status(told.get("status", ""))
    except ValueError:
        return None
    number = told.get("pr-number", "")
    url, commit = told.get("url", ""), told.get("commit", "")
    return Publication(
        status=status,
        reason=" ".join(told.get("reason", "").split())[:_LONGEST],
        pr=int(number) if re.fullmatch(r"[0-9]{1,12}", number) else 0,
        url=url if _URL.fullmatch(url) else "",
        branch=told.get("branch", "")[:_LONGEST],
        commit=commit if _SHA.fullmatch(commit) else "",
        blocked=tuple(told.get("blocked", "").splitlines()),
        review=tuple(told.get("review", "").splitlines()),
    )


def load_publication(folder: Path) -> Publication | None:
    """Return what a step on the same machine has left; None: nothing of use."""
    try:
        with (folder / FILE).open("rb") as file:
            found = json.loads(file.read(_LARGEST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return read_publication(found) if isinstance(found, dict) else None
