"""
What a tree of files consists of, and how that is written down.

Paths are bytes, relative and with slashes: names of files are no text. A record is
``KIND MODE SIZE MTIME DIGEST PATH`` and ends with a NUL, which no name contains. Of several for one
path the last one counts, so that a change is written by adding to what is there.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PERMISSIONS = 0o777
"""What is kept of a mode: set-user-ID bits are nobody's sources."""
_GONE = b"- 0 0 0 - "
"""Begins the record of a path at which nothing stands any more."""


class Kind(StrEnum):
    """What stands at a path."""

    FILE = "f"
    FOLDER = "d"
    LINK = "l"
    OTHER = "o"
    """Sockets, devices: nothing that can be sent."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands at a path; two are equal when nothing has to be sent."""

    kind: Kind
    mode: int = 0
    """Permissions of a file; 0 for everything else."""
    size: int = 0
    """Bytes of a file; 0 for everything else."""
    digest: str = ""
    """SHA-256 of a file's content or a link's target; empty: not known, or a folder."""
    mtime_s: int = field(default=0, compare=False)
    """Of a file, in whole seconds."""

    def is_same(self, other: Entry | None) -> bool:
        """Tell whether *other* is known to be the same; what is not known is not the same."""
        if self is not other and self != other:
            return False
        return bool(self.digest) or self.kind is Kind.FOLDER


Manifest = dict[bytes, Entry]
"""By path, without the top folder."""


def kind_of(mode: int) -> Kind:
    """Return the kind that a mode of the file system stands for."""
    if stat.S_ISREG(mode):
        return Kind.FILE
    if stat.S_ISDIR(mode):
        return Kind.FOLDER
    return Kind.LINK if stat.S_ISLNK(mode) else Kind.OTHER


def write_manifest(manifest: Mapping[bytes, Entry]) -> bytes:
    """Return the records of a manifest."""
    return b"".join(_record(path, entry) for path, entry in manifest.items())


def changed_paths(old: Mapping[bytes, Entry], new: Mapping[bytes, Entry]) -> list[bytes]:
    """Return the paths of *new* at which *old* has something else, or nothing."""
    return [
        path
        for path, entry in new.items()
        if (known := old.get(path)) is not entry
        and (known != entry or known.mtime_s != entry.mtime_s)
    ]


def write_changes(old: Mapping[bytes, Entry], new: Mapping[bytes, Entry]) -> bytes:
    """Return the records to be added to those of *old*, so that they are those of *new*."""
    changed = (_record(path, new[path]) for path in changed_paths(old, new))
    return b"".join((*changed, *(_GONE + path + b"\0" for path in old if path not in new)))


def _record(path: bytes, entry: Entry) -> bytes:
    numbers = f"{entry.mode:o} {entry.size} {entry.mtime_s}"
    return f"{entry.kind} {numbers} {entry.digest or '-'} ".encode() + path + b"\0"


def read_manifest(data: bytes) -> Manifest:
    """
    Read records.

    Raises:
        ValueError: Somebody has edited them.
    """
    found: Manifest = {}
    for record in data.split(b"\0")[:-1]:
        kind, mode, size, mtime_s, digest, path = record.split(b" ", 5)
        if record.startswith(_GONE):
            found.pop(path, None)
            continue
        known = "" if digest == b"-" else digest.decode()
        entry = Entry(Kind(kind.decode()), int(mode, 8), int(size), known, int(mtime_s))
        found[path] = entry
    return found


def parents_of(path: bytes) -> list[bytes]:
    """Return the folders that lead to a path, the outermost first."""
    parts = path.split(b"/")
    return [b"/".join(parts[:count]) for count in range(1, len(parts))]
