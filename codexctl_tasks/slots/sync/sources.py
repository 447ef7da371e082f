"""
Our side: the files of a folder that are sent, and their contents.

Of a checkout those that git knows or would add, and its ``.git`` without what belongs to this
machine; of any other folder all. Links are never followed, neither by a name nor on the way to it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.slots.sync.listing import digest_of
from codexctl_tasks.slots.sync.manifest import PERMISSIONS, Entry, Kind, kind_of, parents_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from codexctl_tasks.slots.sync.memory import Memory

STATE = b".codexctl"
"""Folder at the top that is never sent: on the volume ours has this name."""
_PIECE = 256 * 1024


@dataclass(slots=True)
class Sources:
    """The files of a folder."""

    root: bytes
    entries: dict[bytes, Entry] = field(default_factory=dict)
    """Of files that would have to be read without a digest, until `hash`."""
    contents: dict[bytes, bytes] = field(default_factory=dict)
    """Of files that are sent with another content than they have."""
    warnings: list[str] = field(default_factory=list)
    memory: Memory | None = None
    """Digests of earlier times; None: all that has to be hashed is read."""
    _folders: dict[bytes, int] = field(default_factory=dict)
    """Modes; of what stands in the way instead of a folder there is none."""

    def add(self, path: bytes) -> None:
        """Take a file, a link, or a folder, and the folders it is in; what is gone is left out."""
        if path.partition(b"/")[0] == STATE:
            return
        if path in self.entries or not self._add_parents(path):
            return
        try:
            found = os.lstat(os.path.join(self.root, path))
        except FileNotFoundError:
            return
        kind = kind_of(found.st_mode)
        if kind is Kind.FOLDER:
            self._add_folder(path)
        elif kind is Kind.LINK:
            self.entries[path] = Entry(kind, digest=digest_of(self.target(path)))
        elif kind is Kind.FILE:
            mode = stat.S_IMODE(found.st_mode) & PERMISSIONS
            known = self.memory.digest(path, found) if self.memory else ""
            self.entries[path] = Entry(kind, mode, found.st_size, known, int(found.st_mtime))
        else:
            self.warnings.append(f"{shown(path)}: not sent: it is neither file, folder nor link")

    def add_content(self, path: bytes, content: bytes) -> None:
        """Take a file that is sent with this content."""
        self.add(path)
        mode = self.entries[path].mode
        entry = replace(self.entries[path], size=len(content), digest=digest_of(content))
        self.entries[path] = replace(entry, mode=mode)
        self.contents[path] = content

    def folder_mode(self, path: bytes) -> int:
        """Return the permissions of a folder that was added."""
        return self._folders[path]

    def target(self, path: bytes) -> bytes:
        """Return where a link leads."""
        return os.readlink(os.path.join(self.root, path))

    def read(self, path: bytes, size: int) -> Iterator[bytes]:
        """
        Yield the content of a file.

        Raises:
            ConfigurationError: It cannot be read, or has another size by now.
        """
        if path in self.contents:
            yield self.contents[path]
            return
        left = size
        try:
            file = os.open(os.path.join(self.root, path), os.O_RDONLY | os.O_NOFOLLOW)
            try:
                while left and (piece := os.read(file, min(_PIECE, left))):
                    left -= len(piece)
                    yield piece
                is_other = left > 0 or os.fstat(file).st_size != size
            finally:
                os.close(file)
        except OSError as error:
            what = f"cannot be read: {error.strerror}"
            raise ConfigurationError(shown(path), what, "mend that and run again") from error
        if is_other:
            raise ConfigurationError(shown(path), "changed while it was read", "run again")

    def hash(self, paths: Iterable[bytes]) -> None:
        """Set the digests of these files; threads would only wait for each other."""
        for path in paths:
            entry = self.entries[path]
            if not entry.digest:
                values = (entry.mode, entry.size, self._digest(path), entry.mtime_s)
                self.entries[path] = Entry(entry.kind, *values)

    def learn(self, path: bytes, digest: str) -> None:
        """Remember the digest of a file that was read."""
        if self.memory and path not in self.contents:
            self.memory.learn(path, digest)

    def _digest(self, path: bytes) -> str:
        digest = hashlib.sha256()
        for piece in self.read(path, self.entries[path].size):
            digest.update(piece)
        self.learn(path, digest.hexdigest())
        return digest.hexdigest()

    def _add_parents(self, path: bytes) -> bool:
        """Take the folders that a path is in, mostly known ones; False if one of them is none."""
        known = self.entries.get(path.rpartition(b"/")[0])
        is_known = known is not None and known.kind is Kind.FOLDER
        return is_known or all(map(self._add_folder, parents_of(path)))

    def _add_folder(self, path: bytes) -> bool:
        """Take a folder; False if something else is there, which is taken in its place."""
        known = self.entries.get(path)
        if known is not None:
            return known.kind is Kind.FOLDER
        try:
            mode = os.lstat(os.path.join(self.root, path)).st_mode
        except FileNotFoundError:
            return False
        if not stat.S_ISDIR(mode):
            self.add(path)
            return False
        self.entries[path] = Entry(Kind.FOLDER)
        self._folders[path] = stat.S_IMODE(mode) & PERMISSIONS
        return True


def everything_below(root: bytes) -> Iterable[bytes]:
    """Yield the paths of all that is below a folder, without following links."""
    for folder, names, files in os.walk(root):
        inner = os.path.relpath(folder, root)
        prefix = b"" if inner == b"." else inner + b"/"
        yield from (prefix + name for name in (*names, *files))


def shown(path: bytes) -> str:
    """Return a path as people can read it."""
    text = path.decode("utf-8", "replace")
    return text if text.isprintable() else repr(path)[2:-1]
