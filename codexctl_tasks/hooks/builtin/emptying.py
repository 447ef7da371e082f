"""Empty a directory that others may write to: no link is followed, no mount point is crossed."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from codexctl_tasks.hooks.builtin.directories import NO_DIRECTORY, READ, failure, opened

if TYPE_CHECKING:
    from collections.abc import Callable

_DEEPEST = 32
"""Every level holds a file descriptor; what lies deeper is moved up before it is removed."""
_ATTEMPTS = 10
_MEANWHILE = (errno.ENOTEMPTY, errno.EEXIST, errno.EISDIR, errno.ENOTDIR)
"""Somebody has put something else there in this moment."""


def empty(directory: int, path: Path, check_time: Callable[[], None]) -> list[Path]:
    """
    Remove everything in a directory, which stays; what vanishes meanwhile is fine.

    Args:
        directory: Its file descriptor.
        path: Its path, for messages.
        check_time: Called again and again; raises when the time is over.

    Returns:
        Mount points in it, which were left as they are.

    Raises:
        HookError: Something cannot be removed.
    """
    try:
        with opened(directory) as top:
            while True:
                emptying = _Emptying(top, check_time)
                emptying.empty(top, path, 1)
                if not emptying.has_moved:
                    return emptying.kept
    except OSError as error:
        raise failure(path, "cannot be emptied", error) from None


class _Emptying:
    """One pass through everything in the directory *top*."""

    def __init__(self, top: int, check_time: Callable[[], None]) -> None:
        self._top, self._mount, self._check_time = top, _mount_of(top), check_time
        self.kept: list[Path] = []
        self.has_moved = False
        """Something was moved up, and needs another pass."""

    def empty(self, directory: int, path: Path, depth: int) -> None:
        for name in os.listdir(directory):
            self._check_time()
            self._remove(directory, path / name, depth)

    def _remove(self, parent: int, path: Path, depth: int) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._remove_once(parent, path, depth)
            except FileNotFoundError:
                return
            except OSError as error:
                if error.errno not in _MEANWHILE or attempt == _ATTEMPTS:
                    raise failure(path, "cannot be removed", error) from None
            else:
                return

    def _remove_once(self, parent: int, path: Path, depth: int) -> None:
        try:
            directory = os.open(path.name, READ, dir_fd=parent)
        except OSError as error:
            if error.errno in NO_DIRECTORY:
                os.unlink(path.name, dir_fd=parent)
            elif error.errno == errno.EACCES:
                _remove_unreadable(parent, path.name, error)
            else:
                raise
            return
        try:
            is_emptied = self._is_emptied(parent, directory, path, depth)
        finally:
            os.close(directory)
        if is_emptied:
            os.rmdir(path.name, dir_fd=parent)

    def _is_emptied(self, parent: int, directory: int, path: Path, depth: int) -> bool:
        """Empty a directory below the first one; False: it has to stay, or is elsewhere now."""
        if _mount_of(directory) != self._mount:
            self.kept.append(path)
            return False
        if depth == _DEEPEST:
            new_name = f".codexctl-{secrets.token_hex(8)}"
            os.rename(path.name, new_name, src_dir_fd=parent, dst_dir_fd=self._top)
            self.has_moved = True
            return False
        kept = len(self.kept)
        self.empty(directory, path, depth + 1)
        return len(self.kept) == kept


def _remove_unreadable(parent: int, name: str, refusal: OSError) -> None:
    """Remove a directory that may not be read: only an empty one can be."""
    try:
        os.rmdir(name, dir_fd=parent)
    except OSError:
        raise refusal from None


def _mount_of(directory: int) -> tuple[int, str]:
    """Tell file systems apart, and on Linux also two mounts of the same one."""
    number = ""
    with suppress(OSError):
        lines = Path(f"/proc/self/fdinfo/{directory}").read_text().splitlines()
        number = next((line for line in lines if line.startswith("mnt_id:")), "")
    return os.fstat(directory).st_dev, number
