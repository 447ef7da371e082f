"""Bundles, read before git sees them."""

from __future__ import annotations

import struct
import zlib

import pytest

from codexctl_tasks.agent.work.pack import (
    BadBundleError,
    Bounds,
    Measure,
    measure_pack,
    read_header,
)

A, B = "a" * 40, "b" * 40


def pack(*entries: bytes, count: int | None = None) -> memoryview:
    """Return a pack with a checksum that nobody looks at."""
    number = len(entries) if count is None else count
    return memoryview(b"PACK" + struct.pack(">II", 2, number) + b"".join(entries) + bytes(20))


def blob(content: bytes) -> bytes:
    """Return an object of less than 16 bytes."""
    return bytes([3 << 4 | len(content)]) + zlib.compress(content)


def test_a_header() -> None:
    """What it needs, what it holds, where the pack begins."""
    text = f"# v2 git bundle\n-{A} the first\n{B} refs/heads/main\n\nPACK"
    found = read_header(text.encode())
    assert (found.object_format, found.prerequisites) == ("sha1", (A,))
    assert (found.refs, found.size) == (((B, "refs/heads/main"),), len(text) - 4)
    newer = f"# v3 git bundle\n@object-format=sha256\n{A}{'0' * 24} refs/heads/x\n\n"
    assert read_header(newer.encode()).object_format == "sha256"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# v2 git bundle\n",
        "# v4 git bundle\n\n",
        f"# v3 git bundle\n@filter=blob:none\n{A} refs/heads/x\n\n",
        "# v2 git bundle\nabc refs/heads/x\n\n",
        f"# v2 git bundle\n{A} refs/heads/x y\n\n",
        "# v2 git bundle\n" + "x" * 70_000 + "\n\n",
    ],
)
def test_headers_that_are_none(text: str) -> None:
    """They are refused; nothing is guessed."""
    with pytest.raises(BadBundleError):
        read_header(text.encode())


def test_a_measure() -> None:
    """Objects, and the bytes that they become."""
    assert measure_pack(pack(blob(b"abc"), blob(b"")), Bounds()) == Measure(2, 3)
    assert measure_pack(pack(), Bounds()) == Measure(0, 0)


@pytest.mark.parametrize(
    "data",
    [
        memoryview(b"JUNK"),
        pack(blob(b"abc"), count=2),
        pack(blob(b"abc"), blob(b"x"), count=1),
        pack(bytes([3 << 4 | 2]) + zlib.compress(b"abc")),
        pack(bytes([3 << 4 | 4]) + zlib.compress(b"abc")),
        pack(bytes([5 << 4 | 3]) + zlib.compress(b"abc")),
        pack(bytes([0 << 4 | 3]) + zlib.compress(b"abc")),
        pack(bytes([3 << 4 | 3]) + b"no zlib"),
        pack(b"\xb0" + b"\xff" * 100_000),
        pack(bytes([6 << 4 | 1]) + b"\x01" + zlib.compress(b"\xff")),
    ],
)
def test_packs_that_are_damaged(data: memoryview) -> None:
    """Sizes that lie, kinds that there are not, ends that are missing."""
    with pytest.raises(BadBundleError):
        measure_pack(data, Bounds())
