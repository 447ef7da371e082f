"""Free disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.checks.disk import Space, check_disk, judge_space, read_space
from tests.support.checks import lines, subject

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1024**3


def _judged(
    free_bytes: int,
    needed: int | None = None,
    *,
    inodes: int | None = 10**6,
    read_only: bool = False,
) -> list[str]:
    space = Space(free_bytes=free_bytes, free_inodes=inodes, is_read_only=read_only)
    return lines(judge_space("/srv", space, needed))


@pytest.mark.parametrize(
    ("free_bytes", "needed", "expected"),
    [
        (3 * GIB, None, "ok /srv: 3 GiB free"),
        (3 * GIB, 2 * GIB, "ok /srv: 3 GiB free"),
        (300 * 1024**2, None, "warning /srv: 300 MiB free, that is little"),
        (GIB, 2 * GIB, "failed /srv: 1 GiB free, 2 GiB are needed"),
        (300 * 1024**2, 200 * 1024**2, "ok /srv: 300 MiB free"),
        (0, None, "failed /srv: 0 B free, that is little"),
        (1023 * 1024**2, GIB, "failed /srv: 1023 MiB free, 1 GiB are needed"),
    ],
)
def test_free_bytes(free_bytes: int, needed: int | None, expected: str) -> None:
    """What somebody has asked for must be there; else little is a warning, nothing a failure."""
    [line] = _judged(free_bytes, needed)

    assert line.startswith(expected)


def test_inodes() -> None:
    """A disk with room for bytes but not for files is full, which df does not show."""
    assert _judged(GIB, inodes=0)[0].startswith("failed /srv: no inode is left")
    assert _judged(GIB, inodes=12)[0].startswith("warning /srv: only 12 inodes are left")
    assert _judged(GIB, inodes=None) == ["ok /srv: 1 GiB free"]


def test_a_read_only_file_system() -> None:
    """Its free bytes are of no use."""
    assert _judged(GIB, read_only=True) == [
        "warning /srv: its file system is read-only: look why, or use another folder"
    ]


def test_each_file_system_once(tmp_path: Path) -> None:
    """Folder, temporary files and data on one disk are one line; a data root may be missing."""
    (tmp_path / "tmp").mkdir()
    stack = {"dataPaths": {"root": "data"}}
    checked = subject(tmp_path, stack=stack, variables={"TMPDIR": str(tmp_path / "tmp")})

    [line] = lines(check_disk(checked))
    assert line.split(": ")[0].endswith(f" {tmp_path}")


def test_folders_that_were_named(tmp_path: Path) -> None:
    """They must exist, and are relative to the folder of services.yaml."""
    (tmp_path / "data").mkdir()
    (tmp_path / "file").touch()
    free = read_space(tmp_path).free_bytes
    checked = subject(
        tmp_path, disk_paths=("data", "nosuch", "file/x"), disk_free_bytes=free * 1000
    )

    found = lines(check_disk(checked))

    assert found[0].startswith(f"failed {tmp_path}/data: ")
    assert "are needed" in found[0]
    fix = "does not exist: create it, or correct diskPaths"
    assert found[1:] == [f"failed {tmp_path}/nosuch: {fix}", f"failed {tmp_path}/file/x: {fix}"]
