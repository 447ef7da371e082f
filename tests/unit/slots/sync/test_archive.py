"""What is sent: an archive that any tar reads, compressed where the way is slow."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.slots.sync.archive import Archive, compressed, pays
from codexctl_tasks.slots.sync.listing import digest_of
from codexctl_tasks.slots.sync.sources import Sources, everything_below

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fakes import FakeClock

PIECE = b"a line of some source\n" * 1000


def _sources(folder: Path) -> Sources:
    sources = Sources(os.fsencode(folder))
    for path in everything_below(sources.root):
        sources.add(path)
    return sources


def test_any_tar_reads_it(tmp_path: Path) -> None:
    """Names and links of any length, modes, contents; the digests of what was sent are known."""
    long = "d" * 120 + "/" + "f" * 140
    (tmp_path / long).parent.mkdir()
    for name, content in ((long, b"1" * 1000), ("a", b""), ("b", b"x" * 512)):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "b").chmod(0o755)
    (tmp_path / "link").symlink_to("t" * 200)
    sources = _sources(tmp_path)
    archive = Archive(sources, b"staging")

    stream = archive.stream(sorted(sources.entries), lambda: [(b"plan.sh", b"echo")])

    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as found:
        members = {each.name: each for each in found.getmembers()}
        assert list(members) == [
            *(f"staging/{name}" for name in ("a", "b", "d" * 120, long, "link")),
            "plan.sh",
        ]
        assert members["staging/link"].linkname == "t" * 200
        assert members["staging/b"].mode == 0o755
        file = found.extractfile(members[f"staging/{long}"])
        assert file is not None
        assert file.read() == b"1" * 1000
    assert archive.sent[b"b"].digest == digest_of(b"x" * 512)
    assert archive.sent_bytes == 1512


def test_a_file_that_changes_meanwhile_is_an_error(tmp_path: Path) -> None:
    """Half of an old and half of a new file would be sent under one name."""
    (tmp_path / "a").write_bytes(b"12345")
    sources = _sources(tmp_path)
    (tmp_path / "a").write_bytes(b"123")

    with pytest.raises(ConfigurationError, match="a: changed while it was read"):
        b"".join(Archive(sources, b"staging").stream([b"a"], list))


@pytest.mark.parametrize(("byte_s", "is_small"), [(1e-3, True), (0.0, False)])
def test_a_slow_way_is_worth_compressing(
    clock: FakeClock, byte_s: float, *, is_small: bool
) -> None:
    """On a slow connection what becomes smaller is compressed, on a fast one nothing is."""
    assert pays(PIECE, byte_s * len(PIECE), clock.now) == is_small
    assert not pays(os.urandom(100_000), byte_s * 100_000, clock.now)


def test_what_is_compressed_is_one_file_of_gzip() -> None:
    """Any gzip reads it as a whole, and it is small."""
    got = b"".join(compressed([PIECE] * 100))

    assert gzip.decompress(got) == PIECE * 100
    assert len(got) < 0.2 * len(PIECE) * 100
