"""
The stream that is sent: a tar archive, made while it is read.

GNU's format has names as bytes of any length, and busybox reads it. What makes the rest count, the
plan, comes last: a stream that is cut has none. Headers are made here, because `tarfile` takes
longer for those of small files than reading and hashing them. It is compressed where the way is
slow: on a fast one gzip on both sides costs more than everything else together.
"""

from __future__ import annotations

import gzip
import hashlib
import time
from typing import TYPE_CHECKING

from codexctl_tasks.slots.sync.manifest import Entry, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from codexctl_tasks.slots.sync.sources import Sources

_PIECE = 256 * 1024
SAMPLE = 2 * 1024 * 1024
"""Bytes that tell how fast the way is."""
_LEVEL = 1
_WORTHWHILE = 1.5
"""Times as much as compressing costs: it must save that on the way."""
_BLOCK, _LONGEST_NAME, _LARGE = 512, 100, 8**11
_FILE, _LINK, _FOLDER = b"0", b"2", b"5"
_OWNER_MAY_ALL = 0o700
"""Of folders: what comes after goes into them."""


class Archive:
    """Collects pieces, and notes what was sent."""

    def __init__(self, sources: Sources, below: bytes) -> None:
        """Begin an archive; *below*: the folder in it that the sources are put in."""
        self._sources, self._below = sources, below
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget what was sent: the stream is made a second time."""
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
        yield bytes(waiting) + bytes(2 * _BLOCK)

    def sample(self, paths: Iterable[bytes]) -> bytes:
        """Return the beginning of what `stream` yields, which is read once more then."""
        found = b""
        for piece in Archive(self._sources, self._below).stream(paths, tuple):
            found += piece
            if len(found) >= SAMPLE:
                break
        return found[:SAMPLE]

    def _pieces(
        self, paths: Iterable[bytes], appendix: Callable[[], Iterable[tuple[bytes, bytes]]]
    ) -> Iterator[bytes]:
        for path in paths:
            entry = self._sources.entries[path]
            name = self._below + b"/" + path
            match entry.kind:
                case Kind.FOLDER:
                    mode = self._sources.folder_mode(path) | _OWNER_MAY_ALL
                    yield _header(name + b"/", _FOLDER, mode)
                case Kind.LINK:
                    yield _header(name, _LINK, 0o777, link=self._sources.target(path))
                case _:
                    size, mtime_s = entry.size, entry.mtime_s
                    yield _header(name, _FILE, entry.mode, size=size, mtime_s=mtime_s)
                    yield from self._content(path, entry)
            self.sent.setdefault(path, entry)
        for name, content in appendix():
            yield _header(name, _FILE, 0o644, size=len(content))
            yield content
            yield _padding(len(content))

    def _content(self, path: bytes, entry: Entry) -> Iterator[bytes]:
        digest = hashlib.sha256()
        for piece in self._sources.read(path, entry.size):
            digest.update(piece)
            yield piece
        digests = (entry.mode, entry.size, digest.hexdigest(), entry.mtime_s)
        self.sent[path] = Entry(entry.kind, *digests)
        self._sources.learn(path, digests[2])
        self.sent_bytes += entry.size
        yield _padding(entry.size)


def compressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a gzip file: each piece is a member of its own."""
    for piece in pieces:
        yield gzip.compress(piece, _LEVEL, mtime=0)


def pays(sample: bytes, way_s: float, now: Callable[[], float] = time.monotonic) -> bool:
    """
    Tell whether compressing saves time.

    Args:
        sample: Some MB of the archive.
        way_s: How long they took to the other side.
        now: A clock, for how long compressing takes.
    """
    begun_s = now()
    packed = gzip.compress(sample, _LEVEL, mtime=0)
    saved_s = way_s * (len(sample) - len(packed)) / len(sample)
    return saved_s > _WORTHWHILE * (now() - begun_s)


def _header(
    name: bytes, kind: bytes, mode: int, *, size: int = 0, mtime_s: int = 0, link: bytes = b""
) -> bytes:
    """Return a header; names that are too long for it come before, as GNU's tar does it."""
    before = b""
    for long, mark in ((link, b"K"), (name, b"L")):
        if len(long) > _LONGEST_NAME:
            text = long + b"\0"
            before += _block(b"././@LongLink", mark, 0, len(text), 0, b"") + text
            before += _padding(len(text))
    return before + _block(name, kind, mode, size, mtime_s, link)


def _block(name: bytes, kind: bytes, mode: int, size: int, mtime_s: int, link: bytes) -> bytes:  # noqa: PLR0917 - the fields, in their order
    size_text = b"%011o\0" % size if size < _LARGE else b"\x80" + size.to_bytes(11, "big")
    start = b"%b%07o\0%b%b%011o\0" % (
        name[:_LONGEST_NAME].ljust(_LONGEST_NAME, b"\0"),
        mode,
        b"0000000\0" * 2,  # user and group: those of whoever unpacks
        size_text,
        max(mtime_s, 0),
    )
    end = kind + link[:_LONGEST_NAME].ljust(_LONGEST_NAME, b"\0") + b"ustar  \0"
    end = end.ljust(_BLOCK - len(start) - 8, b"\0")
    checksum = sum(start) + sum(b" " * 8) + sum(end)
    return b"%b%06o\0 %b" % (start, checksum, end)


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)
