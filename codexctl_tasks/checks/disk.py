"""Free disk: bytes, inodes, and file systems that cannot be written to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from codexctl_tasks.checks.finding import Finding, LackingError, State, doubt, failures, ok

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codexctl_tasks.checks.subject import Subject

LITTLE_BYTES = 1024**3
"""Less than this is worth a warning where nobody has said how much is needed."""
LITTLE_INODES = 1000
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, kw_only=True, slots=True)
class Space:
    """What a file system has left."""

    free_bytes: int
    """For somebody who is not root."""
    free_inodes: int | None
    """New files and folders that fit; None: this file system does not count them."""
    is_read_only: bool


def check_disk(subject: Subject) -> Iterator[Finding]:
    """Look at the file systems of the usual folders, or of those that were named; each once."""
    seen: set[int] = set()
    for path, must_exist in _paths(subject):
        try:
            device = path.stat().st_dev
            space = read_space(path)
        except (FileNotFoundError, NotADirectoryError):
            if must_exist:
                error = LackingError(str(path), "does not exist", "create it, or correct diskPaths")
                yield from failures(error)
            continue
        except OSError as error:
            yield doubt(str(path), f"cannot be looked at: {error.strerror}", "check its rights")
            continue
        if device not in seen:
            seen.add(device)
            yield from judge_space(str(path), space, subject.disk_free_bytes)


def read_space(path: Path) -> Space:
    """Ask the file system of a path; raises `OSError`."""
    found = os.statvfs(path)
    return Space(
        free_bytes=found.f_bavail * found.f_frsize,
        free_inodes=found.f_favail if found.f_files else None,
        is_read_only=bool(found.f_flag & os.ST_RDONLY),
    )


def judge_space(path: str, space: Space, needed_bytes: int | None) -> Iterator[Finding]:
    """
    Yield what is to be said about a file system.

    Args:
        path: In it, for messages.
        space: What it has left.
        needed_bytes: Less is a failure; None: below `LITTLE_BYTES` is a warning.
    """
    free = f"{_written(space.free_bytes)} free"
    fix = "remove what is not needed, such as old images and build caches"
    if space.is_read_only:
        yield doubt(path, "its file system is read-only", "look why, or use another folder")
        return
    if space.free_inodes == 0:
        yield from failures(LackingError(path, "no inode is left: no file can be made", fix))
    elif space.free_inodes is not None and space.free_inodes < LITTLE_INODES:
        yield doubt(path, f"only {space.free_inodes} inodes are left", fix)
    needed = LITTLE_BYTES if needed_bytes is None else needed_bytes
    if space.free_bytes >= needed:
        yield ok(path, free)
        return
    is_failure = needed_bytes is not None or space.free_bytes == 0
    wanted = f"{_written(needed)} are needed" if needed_bytes is not None else "that is little"
    state = State.FAILED if is_failure else State.WARNING
    yield Finding(state=state, where=path, what=f"{free}, {wanted}", fix=fix)


def _paths(subject: Subject) -> Iterator[tuple[Path, bool]]:
    """Yield the folders, and whether each must exist."""
    if subject.disk_paths:
        for path in subject.disk_paths:
            yield subject.folder / path, True
        return
    yield subject.folder, True
    yield Path(subject.variables.get("TMPDIR") or "/tmp"), False  # noqa: S108 - only looked at
    if subject.stack is not None and (root := subject.stack.data_paths.root.strip()):
        yield subject.folder / root, False


def _written(count: int) -> str:
    """Write a number of bytes for people."""
    amount, unit = float(count), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:  # noqa: PLR2004 - the unit's own factor
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.3g} {_UNITS[unit]}" if amount < 1000 else f"{amount:.0f} {_UNITS[unit]}"  # noqa: PLR2004
