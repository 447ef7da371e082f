"""What this machine remembers of a folder: only what cannot have changed is not read again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.slots.sync.archive import Archive
from codexctl_tasks.slots.sync.listing import digest_of
from codexctl_tasks.slots.sync.memory import Memory, memory_of
from codexctl_tasks.slots.sync.sources import Sources, everything_below

if TYPE_CHECKING:
    from collections.abc import Iterator

SECOND_NS = 10**9


class Counted(Sources):
    """Notes which files are read."""

    __slots__ = ("was_read",)

    def read(self, path: bytes, size: int) -> Iterator[bytes]:
        """Read and note."""
        self.was_read.append(path)
        return super().read(path, size)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with two files."""
    made = tmp_path / "sources"
    made.mkdir()
    for name in "ab":
        (made / name).write_text(name * 100)
    return made


def look(folder: Path, later_s: float = 10) -> Counted:
    """Return the sources, looked at so long after the newest file was changed."""
    newest_ns = max(path.stat().st_ctime_ns for path in folder.iterdir())
    memory = Memory(str(folder.parent / "known"), newest_ns + int(later_s * SECOND_NS))
    found = Counted(bytes(folder), memory=memory)
    found.was_read = []
    for path in everything_below(found.root):
        found.add(path)
    return found


def hashed(sources: Counted) -> Counted:
    """Hash all files, and keep what was learnt."""
    sources.hash(sorted(sources.entries))
    assert sources.memory is not None
    sources.memory.write()
    return sources


def learn(memory: Memory, path: bytes = b"x") -> None:
    """Learn and keep the digest of a file that is old."""
    assert not memory.digest(path, Path(os.__file__).stat())
    memory.learn(path, "d")
    memory.write()


def test_files_are_read_once(folder: Path) -> None:
    """The second time all digests are known; a file that was changed is read again."""
    assert hashed(look(folder)).was_read == [b"a", b"b"]
    assert hashed(look(folder)).was_read == []

    (folder / "b").write_text("c" * 100)

    again = hashed(look(folder))
    assert again.was_read == [b"b"]
    assert again.entries[b"a"].digest == digest_of(b"a" * 100)
    assert again.entries[b"b"].digest == digest_of(b"c" * 100)


def test_a_change_that_hides_is_seen(folder: Path) -> None:
    """Of the same size, with its old time set again: the file is read."""
    hashed(look(folder))
    before = (folder / "a").stat()
    (folder / "a").write_text("x" * 100)
    os.utime(folder / "a", ns=(before.st_atime_ns, before.st_mtime_ns))

    again = hashed(look(folder))

    assert again.entries[b"a"].digest == digest_of(b"x" * 100)


def test_what_was_just_changed_is_not_believed(folder: Path) -> None:
    """It may change once more within the same tick of the clock: it is read the next time, too."""
    hashed(look(folder, later_s=1))

    assert hashed(look(folder)).was_read == [b"a", b"b"]


def test_what_was_sent_is_known(folder: Path) -> None:
    """A first sync hashes while it sends; the second one need not read the files."""
    first = look(folder)
    assert list(Archive(first, b"staging").stream(sorted(first.entries), tuple))
    assert first.memory is not None
    first.memory.write()

    assert hashed(look(folder)).was_read == []


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"0" * 64 + b"a\0b\0c"])
def test_a_damaged_memory_is_none(folder: Path, damage: bytes) -> None:
    """Nothing of it is believed, and it is written anew."""
    hashed(look(folder))
    (folder.parent / "known").write_bytes(damage)

    assert hashed(look(folder)).was_read == [b"a", b"b"]
    assert hashed(look(folder)).was_read == []


def test_a_byte_that_was_lost_makes_all_of_it_worthless(folder: Path) -> None:
    """A digest that is wrong would leave a file as it is for ever."""
    hashed(look(folder))
    known = (folder.parent / "known").read_bytes()
    wrong = known.replace(digest_of(b"a" * 100).encode(), digest_of(b"?").encode())
    assert wrong != known
    (folder.parent / "known").write_bytes(wrong)

    assert hashed(look(folder)).was_read == [b"a", b"b"]


def test_files_that_are_gone_are_forgotten(folder: Path) -> None:
    """The memory does not grow for ever."""
    hashed(look(folder))
    (folder / "a").unlink()
    (folder / "b").write_text("new")
    hashed(look(folder))

    assert b"a\0" not in (folder.parent / "known").read_bytes()


def test_each_folder_has_its_own(folder: Path) -> None:
    """In the user's cache, for this user alone; one that is not used for a month goes."""
    caches = folder.parent / "caches"
    environ = {"XDG_CACHE_HOME": str(caches)}
    for each in (folder, folder.parent):
        memory = memory_of(bytes(each), environ)
        assert memory is not None
        learn(memory)
    kept = sorted((caches / "codexctl" / "digests").iterdir())
    assert len(kept) == 2
    assert {path.stat().st_mode & 0o77 for path in [*kept, kept[0].parent]} == {0}

    os.utime(kept[0], (1, 1))
    learn(Memory(str(kept[1])), b"y")

    assert list(kept[0].parent.iterdir()) == [kept[1]]


def test_where_nothing_can_be_written_nothing_is_remembered(folder: Path) -> None:
    """A home that is no folder is no error."""
    (folder.parent / "home").write_text("")
    memory = memory_of(bytes(folder), {"HOME": str(folder.parent / "home")})

    assert memory is not None
    learn(memory)

    assert (folder.parent / "home").read_text() == ""


@pytest.mark.parametrize(
    "environ", [{}, {"HOME": ""}, {"HOME": "here", "XDG_CACHE_HOME": "there"}], ids=str
)
def test_without_a_home_nothing_is_remembered(folder: Path, environ: dict[str, str]) -> None:
    """No folder is made at the root of the machine, or wherever somebody happens to be."""
    assert memory_of(bytes(folder), environ) is None
