"""
What of a checkout's ``.git`` is work, and what git can do without or makes anew.

Objects are named by what they contain: those of the slot never disturb, those that are missing are
added. Its index, configuration and remote branches are replaced when ours have changed. Its own
branches are work like any file. Everything else (logs, hooks, locks) is never touched.
"""

from __future__ import annotations

import re
from enum import Enum

_IN_GIT = rb"(?:.*/)?\.git/(?:modules/(?:.+/)?)?"
_OBJECTS = re.compile(_IN_GIT + rb"objects/(?:[0-9a-f]{2}|pack|info)/", re.DOTALL)
_REPLACED = re.compile(
    _IN_GIT + rb"(?:index|config|packed-refs|shallow|refs/(?:remotes|tags)/.+)\Z", re.DOTALL
)
_OWN = re.compile(_IN_GIT + rb"(?:HEAD|refs/.+|info/sparse-checkout)\Z", re.DOTALL)
_ANY = re.compile(rb"(?:.*/)?\.git/", re.DOTALL)


class Nature(Enum):
    """How a path takes part."""

    SOURCE = "source"
    """Kept as it is on our side; a change on the other side is somebody's work."""
    HISTORY = "history"
    """As a source, but that it is missing is nobody's work."""
    REPLACED = "replaced"
    """Ours wins when it has changed since the last sync; otherwise theirs stays."""
    ADDED = "added"
    """Sent when it is missing, never removed."""
    FOREIGN = "foreign"
    """Never touched."""


def nature_of(path: bytes) -> Nature:
    """Return how a path takes part; of several that hold the first."""
    if b".git/" not in path or not _ANY.match(path):
        return Nature.SOURCE
    if _OBJECTS.match(path):
        return Nature.ADDED
    if _REPLACED.match(path):
        return Nature.REPLACED
    return Nature.HISTORY if _OWN.match(path) else Nature.FOREIGN


def is_carried(path: bytes) -> bool:
    """Tell whether a file inside of a ``.git`` is sent at all."""
    if path.endswith((b".lock", b"/info/alternates")) or b"/tmp_" in path:
        return False
    return nature_of(path) is not Nature.FOREIGN
