"""The content of a folder as a hash."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.images.contexts import Content, FileHashes
from codexctl_tasks.images.ignoring import parse_rules

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.builds import Project


def hash_of(folder: Path) -> str:
    """Return the hash of a folder, read anew."""
    return FileHashes().of_content(Content(folder))


@pytest.fixture
def folder(project: Project) -> Path:
    """Return a folder with two files, a link and an empty folder."""
    project.write("a/one", "1")
    project.write("two", "2")
    (project.root / "link").symlink_to("two")
    (project.root / "empty").mkdir()
    return project.root


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "two").write_text("3"),
        lambda root: (root / "two").chmod(0o755),
        lambda root: (root / "two").rename(root / "three"),
        lambda root: (root / "a/one").rename(root / "one"),
        lambda root: (root / "new").touch(),
        lambda root: (root / "empty").rmdir(),
        lambda root: (root / "other").mkdir(),
        lambda root: ((root / "link").unlink(), (root / "link").symlink_to("a/one")),
        lambda root: ((root / "link").unlink(), (root / "link").write_text("two")),
        lambda root: os.mkfifo(root / "pipe"),
    ],
    ids=[
        "content",
        "executable",
        "name",
        "place",
        "file",
        "no-folder",
        "folder",
        "link",
        "no-link",
        "pipe",
    ],
)
def test_what_counts(folder: Path, change: Callable[[Path], object]) -> None:
    """Whatever could be seen in the image makes another hash."""
    before = hash_of(folder)
    change(folder)
    assert hash_of(folder) != before


@pytest.mark.parametrize(
    "change",
    [
        lambda root: os.utime(root / "two", (1, 1)),
        lambda root: (root / "two").chmod(0o600),
        lambda root: (root / "empty").chmod(0o700),
    ],
    ids=["times", "mode", "mode-of-folder"],
)
def test_what_does_not_count(folder: Path, change: Callable[[Path], object]) -> None:
    """A checkout on another runner has other times and another umask."""
    before = hash_of(folder)
    change(folder)
    assert hash_of(folder) == before


def test_the_order_on_disk_does_not_count(project: Project) -> None:
    """Folders list their files in the order in which they were made."""
    for name in ("b", "a", "c"):
        project.write(f"x/{name}", name)
    for name in ("c", "a", "b"):
        project.write(f"y/{name}", name)
    assert hash_of(project.root / "x") == hash_of(project.root / "y")


def test_names_cannot_be_mistaken_for_content(project: Project) -> None:
    """A line feed in a name makes no second file."""
    project.write("x/a\nb", "")
    project.write("y/a", "")
    project.write("y/b", "")
    assert hash_of(project.root / "x") != hash_of(project.root / "y")


def test_names_that_are_no_text(folder: Path) -> None:
    """Linux allows any bytes in a name."""
    before = hash_of(folder)
    with open(os.fsencode(folder) + b"/\xff\xfe", "wb"):  # noqa: PTH123 - a path cannot be bytes
        pass
    assert hash_of(folder) != before


def test_sockets_are_not_there(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """No builder takes them: one that an editor has left behind builds nothing anew."""
    project.write("a")
    before = hash_of(project.root)
    monkeypatch.chdir(project.root)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        assert hash_of(project.root) == before


def test_links_are_not_followed(project: Project) -> None:
    """Neither to files elsewhere, nor in a circle, nor to nowhere."""
    outside = project.write("outside/x", "1")
    inside = project.write("in/a").parent
    (inside / "file").symlink_to(outside)
    (inside / "circle").symlink_to(".")
    (inside / "nowhere").symlink_to("gone")
    before = hash_of(inside)
    outside.write_text("2")
    assert hash_of(inside) == before


def test_a_file_that_vanishes_is_named(folder: Path) -> None:
    """One line, which says what to do about it."""
    content = Content(folder)
    (folder / "two").unlink()
    with pytest.raises(ConfigurationError, match="two: vanished while it was read: let nobody"):
        FileHashes().of_content(content)


def test_a_folder_that_is_none_is_named(folder: Path) -> None:
    """What cannot be listed is a mistake, not an empty context."""
    with pytest.raises(ConfigurationError, match="two: cannot be read: Not a directory: mend its"):
        Content(folder / "two")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(folder: Path) -> None:
    """It would be missing in the image."""
    (folder / "two").chmod(0)
    with pytest.raises(ConfigurationError, match="two: cannot be read: Permission denied"):
        hash_of(folder)


def test_files_are_read_once_for_several_images(folder: Path) -> None:
    """Also where their images leave out different files; a file that changes is read again."""
    hashes = FileHashes()
    whole = hashes.of_content(Content(folder))
    (folder / "two").write_bytes(b"X")
    os.utime(folder / "two", ns=(5, 5))
    changed = hashes.of_content(Content(folder))
    part = hashes.of_content(Content(folder, parse_rules("a", "x")))

    assert len({whole, changed, part}) == 3
    assert changed == hash_of(folder)


def test_large_files_are_read_whole(project: Project) -> None:
    """More than is read in one piece."""
    file = project.write("big", "x" * 3_000_000)
    before = hash_of(project.root)
    file.write_text("x" * 2_999_999 + "y")
    assert hash_of(project.root) != before


def test_many_files(project: Project) -> None:
    """More than one thread takes at once."""
    for number in range(450):
        project.write(f"{number % 7}/{number}", str(number))
    before = hash_of(project.root)
    assert hash_of(project.root) == before
    project.write("6/447", "?")
    assert hash_of(project.root) != before


def test_the_largest_parts_are_known(project: Project) -> None:
    """For the warning about a context that nobody meant."""
    project.write("a/b/c", "x" * 30)
    project.write("a/d", "x" * 10)
    project.write("e", "x" * 20)
    content = Content(project.root)
    assert content.size == 60
    assert content.largest(1) == [("a", 40)]
