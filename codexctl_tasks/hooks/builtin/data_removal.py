"""Remove data directories, with what is in them: no link is followed, no mount point is crossed."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from codexctl_tasks.hooks.builtin.directories import Descent, failure
from codexctl_tasks.hooks.builtin.emptying import empty

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from codexctl_tasks.hooks.builtin.data_layout import Layout

Way = tuple[str, ...]
"""Names that lead to a directory, the data root's first."""
_STAYS = (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY)
"""Something is in it that is not ours to remove, or it is a mount point itself."""


def own_ways(layout: Layout, others: Collection[Way]) -> list[Way]:
    """Return the directories of a layout that have nothing in common with those of *others*."""
    return [way for way in layout.ways if not any(_overlap(way, other) for other in others)]


def remove_directories(
    layout: Layout, others: Collection[Way], check_time: Callable[[], None]
) -> Iterator[tuple[Path, bool]]:
    """
    Remove the directories of an environment, and the folders that only they were in.

    Args:
        layout: Where they are.
        others: Directories of other environments, which stay, with all that leads to them.
        check_time: Called again and again; raises when the time is over.

    Yields:
        Each directory that was there, and whether it is gone: a mount point stays, emptied.

    Raises:
        HookError: A link is in the way, or something cannot be removed.
    """
    ways = own_ways(layout, others)
    for way in ways:
        with suppress(FileNotFoundError):
            yield layout.start.joinpath(*way), _remove(layout.start, way, check_time)
    folders = {way[:depth] for way in ways for depth in range(2, len(way))}
    for folder in sorted(folders, key=len, reverse=True):
        if not any(other[: len(folder)] == folder for other in others):
            with suppress(FileNotFoundError):
                _remove_empty(layout.start, folder)


def _remove(start: Path, way: Way, check_time: Callable[[], None]) -> bool:
    with Descent(start) as directory:
        for name in way:
            directory.enter(name)
        empty(directory.fd, directory.path, check_time)
    return _remove_empty(start, way)


def _remove_empty(start: Path, way: Way) -> bool:
    """Remove a directory if nothing is in it; tell whether it is gone."""
    with Descent(start) as parent:
        for name in way[:-1]:
            parent.enter(name)
        try:
            os.rmdir(way[-1], dir_fd=parent.fd)
        except OSError as error:
            if error.errno in _STAYS:
                return False
            if error.errno == errno.ENOENT:
                raise
            raise failure(start.joinpath(*way), "cannot be removed", error) from None
    return True


def _overlap(way: Way, other: Way) -> bool:
    shorter = min(len(way), len(other))
    return way[:shorter] == other[:shorter]
