"""
The stream that is sent: a tar archive, made while it is read.

GNU's format has names as bytes of any length, and busybox reads it. What makes the rest count, the
plan, comes last: a stream that is cut has none.
"""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING

from codexctl_tasks.slots.sync.manifest import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from codexctl_tasks.slots.sync.manifest import Entry
    from codexctl_tasks.slots.sync.sources import Sources

_PIECE = 256 * 1024
_OWNER_MAY_ALL = 0o700
"""Of folders: what comes after goes into them."""


class Archive:
    """Collects pieces, and notes what was sent."""

    def __init__(self, sources: Sources, below: bytes) -> None:
        """Begin an archive; *below*: the folder in it that the sources are put in."""
        self._sources, self._below = sources, below
        self.sent: dict[bytes, Entry] = {}
        """What has been sent, with digests."""
        self.sent_bytes = 0
        """Of contents."""

    def stream(
        self, paths: Iterable[bytes], appendix: Callable[[], Iterable[tuple[bytes, bytes]]]
    ) -> Iterator[bytes]:
        """
        Yield the archive.

        Args:
            paths: Of the sources, folders before what is in them.
            appendix: Is asked for further files, when all sources have been sent.
        """
        waiting = bytearray()
        for piece in self._pieces(paths, appendix):
            waiting += piece
            if len(waiting) >= _PIECE:
                yield bytes(waiting)
                waiting.clear()
        yield bytes(waiting) + bytes(2 * tarfile.BLOCKSIZE)

    def _pieces(
        self, paths: Iterable[bytes], appendix: Callable[[], Iterable[tuple[bytes, bytes]]]
    ) -> Iterator[bytes]:
        for path in paths:
            entry = self._sources.entries[path]
            name = self._below + b"/" + path
            match entry.kind:
                case Kind.FOLDER:
                    yield _header(name, tarfile.DIRTYPE, self._sources.folder_mode(path))
                case Kind.LINK:
                    yield _header(name, tarfile.SYMTYPE, 0o777, link=self._sources.target(path))
                case _:
                    kind, size, mtime_s = tarfile.REGTYPE, entry.size, entry.mtime_s
                    yield _header(name, kind, entry.mode, size=size, mtime_s=mtime_s)
                    yield from self._content(path, entry)
            self.sent.setdefault(path, entry)
        for name, content in appendix():
            yield _header(name, tarfile.REGTYPE, 0o644, size=len(content))
            yield content
            yield _padding(len(content))

    def _content(self, path: bytes, entry: Entry) -> Iterator[bytes]:
        digest = hashlib.sha256()
        for piece in self._sources.read(path, entry.size):
            digest.update(piece)
            yield piece
        self.sent[path] = replace(entry, digest=digest.hexdigest())
        self.sent_bytes += entry.size
        yield _padding(entry.size)


def _header(
    name: bytes, kind: bytes, mode: int, *, size: int = 0, mtime_s: int = 0, link: bytes = b""
) -> bytes:
    info = tarfile.TarInfo(_text(name))
    info.type, info.mode, info.size, info.mtime = kind, mode, size, mtime_s
    info.linkname = _text(link)
    if kind == tarfile.DIRTYPE:
        info.mode |= _OWNER_MAY_ALL
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
