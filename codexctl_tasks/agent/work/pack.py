"""
What a bundle says of itself, and how large it is once unpacked: read before git sees it (pure).

Git limits what it reads, not what that becomes: some kilobytes may stand for gigabytes, by
compression or by deltas that copy one piece again and again. Here every object is inflated up to
the size that it claims, and nothing further.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

HEADER_BYTES = 64 * 1024
_SIGNATURES = {b"# v2 git bundle": 2, b"# v3 git bundle": 3}
_SHA = r"[0-9a-f]{40}(?:[0-9a-f]{24})?"
_PREREQUISITE = re.compile(rf"-({_SHA})(?: .*)?")
_REF = re.compile(rf"({_SHA}) (\S+)")
_OBJECT_FORMAT = re.compile(r"@object-format=(sha1|sha256)")
_PIECE = 64 * 1024
_OFFSET_DELTA, _REF_DELTA = 6, 7
_MOST_BITS = 63
_PLAIN = (1, 2, 3, 4)
"""Commit, tree, blob, tag."""


class BadBundleError(ValueError):
    """It is none, is damaged, or holds what no agent's work needs."""


@dataclass(frozen=True, slots=True)
class Header:
    """What comes before the pack."""

    object_format: str
    """``sha1`` or ``sha256``."""
    prerequisites: tuple[str, ...]
    """Commits that whoever unpacks it has to have."""
    refs: tuple[tuple[str, str], ...]
    """Commit and name of each."""
    size: int
    """Bytes; the pack begins there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """What unpacking may cost."""

    objects: int = 200_000
    object_bytes: int = 256 * 2**20
    """Of one object."""
    total_bytes: int = 1024 * 2**20
    """Of all objects together."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What a pack becomes."""

    objects: int
    total_bytes: int


def read_header(data: bytes) -> Header:
    """
    Return the header of a bundle.

    Raises:
        BadBundleError: It makes no sense, or needs more than git's plain format.
    """
    head, found, _ = data[:HEADER_BYTES].partition(b"\n\n")
    if not found:
        raise BadBundleError("it is no bundle, or was cut")
    signature, *lines = head.split(b"\n")
    if signature not in _SIGNATURES:
        raise BadBundleError("it is no bundle")
    object_format, prerequisites, refs = "sha1", [], []
    for line in (each.decode("utf-8", "replace") for each in lines):
        if of_format := _OBJECT_FORMAT.fullmatch(line):
            object_format = of_format[1]
        elif before := _PREREQUISITE.fullmatch(line):
            prerequisites.append(before[1])
        elif ref := _REF.fullmatch(line):
            refs.append((ref[1], ref[2]))
        else:
            raise BadBundleError(f"its header says {line[:100]!r}")
    return Header(object_format, tuple(prerequisites), tuple(refs), len(head) + 2)


def measure_pack(data: memoryview, bounds: Bounds, *, sha_bytes: int = 20) -> Measure:
    """
    Return what a pack becomes when it is unpacked.

    Args:
        data: The pack, with its checksum at the end.
        bounds: What it may become.
        sha_bytes: Length of a name of an object.

    Raises:
        BadBundleError: It is more than that, or damaged.
    """
    if bytes(data[:8]) not in (b"PACK\0\0\0\2", b"PACK\0\0\0\3"):
        raise BadBundleError("it holds no pack")
    objects = int.from_bytes(data[8:12], "big")
    if objects > bounds.objects:
        raise BadBundleError(f"it holds {objects:,} objects, more than {bounds.objects:,}")
    at, total = 12, 0
    try:
        for _ in range(objects):
            size, at = _measure_object(data, at, bounds, sha_bytes)
            total += size
            if total > bounds.total_bytes:
                raise BadBundleError(f"unpacked it is more than {bounds.total_bytes:,} bytes")
    except (IndexError, zlib.error) as error:
        raise BadBundleError("it is damaged, or was cut") from error
    if len(data) - at != sha_bytes:
        raise BadBundleError("it is damaged, or was cut")
    return Measure(objects, total)


def _measure_object(data: memoryview, at: int, bounds: Bounds, sha_bytes: int) -> tuple[int, int]:
    """Return how large an object becomes, and where the next one begins."""
    kind, first = data[at] >> 4 & 7, data[at] & 15
    rest, at = _number(data, at + 1) if data[at] & 0x80 else (0, at + 1)
    size = first | rest << 4
    _check_size(size, bounds)
    if kind == _OFFSET_DELTA:
        while data[at] & 0x80:
            at += 1
        at += 1
    elif kind == _REF_DELTA:
        at += sha_bytes
    elif kind not in _PLAIN:
        raise BadBundleError("it is damaged, or was cut")
    beginning, end = _inflate(data, at, size)
    if kind in _PLAIN:
        return size, end
    becomes = _size_after(beginning)
    _check_size(becomes, bounds)
    return size + becomes, end


def _check_size(size: int, bounds: Bounds) -> None:
    if size > bounds.object_bytes:
        what = f"it holds an object of {size:,} bytes, more than {bounds.object_bytes:,}"
        raise BadBundleError(what)


def _inflate(data: memoryview, at: int, size: int) -> tuple[bytes, int]:
    """Return the first bytes of what must be *size* bytes, and where the stream ends."""
    stream, beginning, seen = zlib.decompressobj(), b"", 0
    waiting: bytes | memoryview = b""
    while not stream.eof:
        if not waiting:
            waiting = data[at : at + _PIECE]
            if not waiting:
                raise BadBundleError("it is damaged, or was cut")
            at += len(waiting)
        piece = stream.decompress(waiting, _PIECE)
        waiting = stream.unconsumed_tail
        beginning = beginning or piece
        seen += len(piece)
        if seen > size:
            raise BadBundleError("it holds an object that is larger than it claims")
    if seen != size:
        raise BadBundleError("it holds an object that is smaller than it claims")
    return beginning, at - len(stream.unused_data)


def _size_after(delta: bytes) -> int:
    """Return the size of what a delta makes; the one of what it is made of comes before."""
    _, at = _number(memoryview(delta), 0)
    return _number(memoryview(delta), at)[0]


def _number(data: memoryview, at: int) -> tuple[int, int]:
    """Return a number in pieces of 7 bits, the lowest first, and where it ends."""
    number = 0
    for shift in range(0, _MOST_BITS, 7):
        number |= (data[at] & 0x7F) << shift
        at += 1
        if not data[at - 1] & 0x80:
            return number, at
    raise BadBundleError("it is damaged, or was cut")
