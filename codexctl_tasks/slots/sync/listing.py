"""
What the other side tells of its files: `find` and `stat` in the words of `scripts.SURVEY`.

A file need not be hashed again when everything that `stat` says is as it was after the last sync,
as git does it with its index.
"""

from __future__ import annotations

import hashlib
import stat
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from codexctl_tasks.slots.sync.manifest import PERMISSIONS, Entry, Kind, Manifest, kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST = 2**30
"""Bytes of a survey, some million files; the other side could send a gzip file without end."""
_RACY_S = 2
"""A file that was changed so shortly before it was looked at may change again unseen."""

Stats = dict[bytes, bytes]
"""What `stat` says of each path: hexadecimal mode, size, inode, mtime and ctime in seconds."""
Looks = dict[bytes, tuple[bytes, int]]
"""That of earlier times, and when it was, by the clock there."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What the other side has."""

    now_s: int
    """Its clock."""
    stats: Stats
    links: Mapping[bytes, bytes]
    """Where the links among them lead."""
    staged: Stats
    staged_links: Mapping[bytes, bytes]
    looks: Looks = field(default_factory=dict)
    """How files looked at the end of the sync that brought or read them last."""
    look_records: int = 0
    """Of `looks`: more than there are files, as some are known from several times."""
    manifests: tuple[bytes, bytes, bytes] = (b"", b"", b"")
    """What the last sync left, and of one that was broken off: what it found, what it wanted."""


def read_survey(data: bytes, token: str, longest: int = LONGEST) -> Survey:
    """
    Read what the script has printed; *longest*: bytes of it, unpacked.

    Raises:
        ValueError: It is not what the script prints, or not all of it.
    """
    now, *rest = _unpacked(data, longest).split(f"\n{token}\n".encode())
    tree, staged, (looks, synced, before, after, end) = rest[:2], rest[2:4], rest[4:]
    if end != b"done":
        raise ValueError(end)
    return Survey(
        *(int(now), *_listed(*tree), *_listed(*staged)),
        looks=_looks(looks),
        look_records=looks.count(b"\n"),
        manifests=(synced, before, after),
    )


def _unpacked(data: bytes, longest: int) -> bytes:
    """Return the content of a gzip file; raise `ValueError` if it is not whole, or far too long."""
    unpacking = zlib.decompressobj(zlib.MAX_WBITS + 16)
    try:
        content = unpacking.decompress(data, longest)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not unpacking.eof:
        raise ValueError("it has no end" if unpacking.unconsumed_tail else "its end is missing")
    return content


def _listed(lines: bytes, records: bytes) -> tuple[Stats, dict[bytes, bytes]]:
    """Return how all looks, and where links lead; *records* tell of links and of odd names."""
    found, links = _plain_stats(lines), dict[bytes, bytes]()
    words = records.split(b"\0")
    for told, target in zip(words[0::2], words[1::2], strict=False):
        meta, _, name = (b"", b"", told) if told.startswith(b"./") else told.partition(b"\n")
        links[name[2:]] = target
        if meta:
            found[name[2:]] = meta
    return found, links


def _plain_stats(lines: bytes) -> Stats:
    """Read lines that end with ``./NAME``; the top folder itself has no such name."""
    split = (line.partition(b" ./") for line in lines.split(b"\n"))
    return {name: meta for meta, _, name in split if name}


def _looks(lines: bytes) -> Looks:
    """Read a time, what was seen then, the next time, and so on; what comes later counts."""
    found: Looks = {}
    looked_s = 0
    for line in lines.split(b"\n"):
        meta, _, name = line.partition(b" ./")
        if name:
            found[name] = (meta, looked_s)
        elif meta.isdigit():
            looked_s = int(meta)
    return found


def entries_of(
    stats: Stats, links: Mapping[bytes, bytes], digests: Mapping[bytes, str]
) -> Manifest:
    """Return what a listing means, with the digests that are known."""
    found: Manifest = {}
    for path, meta in stats.items():
        raw, size, _, mtime_s, _ = meta.split(b" ")
        mode = int(raw, 16)
        kind = kind_of(mode)
        if kind is Kind.FILE:
            permissions = stat.S_IMODE(mode) & PERMISSIONS
            digest = digests.get(path, "")
            found[path] = Entry(kind, permissions, int(size), digest, int(mtime_s))
        elif kind is Kind.LINK:
            found[path] = Entry(kind, digest=digest_of(links[path]) if path in links else "")
        else:
            found[path] = Entry(kind)
    return found


def trusted_digests(survey: Survey, synced: Mapping[bytes, Entry]) -> dict[bytes, str]:
    """
    Return the digests of files that are untouched since the last sync.

    *synced*: What it left. Its mtimes are those that the files had then: one that differed at its
    end already was changed by somebody else meanwhile.
    """
    found = {}
    for path, meta in survey.stats.items():
        known = synced.get(path)
        look, looked_s = survey.looks.get(path, (b"", 0))
        if known and known.digest and look == meta:
            mtime_s = int(meta.split(b" ")[3])
            if mtime_s == known.mtime_s and mtime_s <= looked_s - _RACY_S:
                found[path] = known.digest
    return found


def read_digests(data: bytes) -> dict[bytes, str]:
    """Read what `sha256sum` has printed: ``DIGEST  ./PATH``, a line each."""
    split = (line.partition(b"  ./") for line in data.split(b"\n"))
    return {name: digest.decode() for digest, _, name in split if name}


def read_odd_digests(data: bytes) -> dict[bytes, str]:
    """Read ``DIGEST ./PATH`` with a NUL each: names that `sha256sum` would have escaped."""
    split = (record.partition(b" ./") for record in data.split(b"\0"))
    return {name: digest.decode() for digest, _, name in split if name}


def is_odd(path: bytes) -> bool:
    """Tell whether `sha256sum` would print this name differently."""
    return any(mark in path for mark in b"\n\r\\")


def digest_of(content: bytes) -> str:
    """Return the SHA-256 of a content."""
    return hashlib.sha256(content).hexdigest()
