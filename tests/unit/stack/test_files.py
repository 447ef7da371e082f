"""Files of the user's repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.stack.files import LARGEST_FILE, display, inside, read_text


@pytest.mark.parametrize("content", [b"a\r\nb\n", b"\xef\xbb\xbfa", b"", "ü€😀".encode()])
def test_text_is_read_as_it_is(tmp_path: Path, content: bytes) -> None:
    """Line ends and a byte-order mark stay: templates leave them alone as well."""
    (tmp_path / "f").write_bytes(content)

    assert read_text(tmp_path / "f", "f").encode() == content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb\n\xff", "f:3: is not UTF-8 text: save it as UTF-8"),
        (b"\xff\xfea\x00", "f:1: is not UTF-8 text: save it as UTF-8"),
        (b"x" * (LARGEST_FILE + 1), "f: is larger than 10 MiB: split it"),
    ],
    ids=["latin-1", "utf-16", "large"],
)
def test_files_that_are_no_text(tmp_path: Path, content: bytes, message: str) -> None:
    """A binary file given by mistake is told about, not printed."""
    (tmp_path / "f").write_bytes(content)

    with pytest.raises(ConfigurationError) as caught:
        read_text(tmp_path / "f", "f")
    assert str(caught.value) == message


def test_the_largest_file(tmp_path: Path) -> None:
    """The limit itself is allowed."""
    (tmp_path / "f").write_bytes(b"x" * LARGEST_FILE)

    assert len(read_text(tmp_path / "f", "f")) == LARGEST_FILE


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    """Nothing there, a folder, a link to itself, a name that no file can have."""
    (tmp_path / "link").symlink_to("link")
    (tmp_path / "folder").mkdir()

    for name, message in (
        ("none", "none: does not exist: name another"),
        ("folder", "folder: is a folder: name a file"),
        ("link", "link: cannot be read: Too many levels of symbolic links: check the path"),
        ("x" * 300, "cannot be read: File name too long: check the path"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            read_text(tmp_path / name, name, "name another")


def test_paths_inside_of_the_project(tmp_path: Path) -> None:
    """A path may go up and down, and through links, as long as it stays inside."""
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "a" / "f").touch()
    (root / "link").symlink_to("a/f")
    (root / "b").symlink_to(root / "a")

    for path in ("a/f", "./a/f", "a/../a/f", "link", "b/f", "../root/a/f", str(root / "a" / "f")):
        assert inside(root, path) == (root / "a" / "f").resolve()
    assert inside(root, "none") == (root / "none").resolve()


def test_paths_that_lead_out_of_the_project(tmp_path: Path) -> None:
    """Neither dots, nor absolute paths, nor links lead to other files of the machine."""
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "root-b").touch()
    (root / "link").symlink_to("/etc/hostname")
    (root / "folder").symlink_to(tmp_path)
    (root / "chain").symlink_to("link")

    for path in ("..", "../x", "a/../../x", "/etc/hostname", "link", "folder/x", "chain"):
        assert inside(root, path) is None
    assert inside(root, "../root-b") is None


def test_paths_that_no_file_has(tmp_path: Path) -> None:
    """They do not exist; that is all."""
    (tmp_path / "link").symlink_to("link")

    for path in ("link", "a\0b", "x" * 300):
        found = inside(tmp_path, path)
        assert found is not None
        assert not found.is_file()


def test_paths_are_shown_as_they_would_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative to the current folder, if they are below it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("link")

    assert display(Path("a/../b")) == "b"
    assert display(tmp_path / "a" / "b") == "a/b"
    assert display(Path("/etc/x")) == "/etc/x"
    assert display(Path("../x")) == "../x"
    assert display(Path("link")) == "link"
