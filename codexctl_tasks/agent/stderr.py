"""What a program that failed says on its stderr, in one line; pure."""

from __future__ import annotations

import re

from codexctl_tasks.agent.sanitizing import visible

MEND_CONFIGURATION = "mend codex.configTemplate or codex.configBlocks"
_CONFIGURATION = re.compile(
    r"^Error loading config\.toml:\s*(?:.*?:\d+:\d+: )?(?P<what>.+)"
    r"(?:\n *\|)?(?:\n *\d+ \| *(?P<line>.+))?",
    re.MULTILINE,
)
_DECORATION = re.compile(r"[\s|^~]*|\s*\d+ \|.*")
"""Whole lines: what points at a place, and the place itself."""


def reason_in(stderr: str) -> str:
    """Return the line that says what has happened, the last one as a rule; empty: there is none."""
    lines = [line.strip() for line in visible(stderr).splitlines()]
    told = [line for line in lines if not _DECORATION.fullmatch(line)]
    return told[-1] if told else ""


def configuration_error(stderr: str) -> str:
    """
    Return what Codex does not like in its configuration; empty: it was not that.

    Its line is quoted, not numbered: several pieces of the project's are one file there.
    """
    found = _CONFIGURATION.search(visible(stderr))
    if found is None:
        return ""
    line = f", at {found['line'].strip()}" if found["line"] else ""
    return f"Codex refuses its configuration: {found['what'].strip()}{line}"
