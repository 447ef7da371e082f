"""What a builder writes: in a file, masked, and its last lines at hand."""

from __future__ import annotations

import os
import re
from collections import deque
from typing import TYPE_CHECKING, Self

from codexctl_tasks.images.backend import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TAIL_LINES = 50


class BuildLog:
    """The log of one build, written while it runs."""

    def __init__(self, folder: Path, name: str, mask: Callable[[str], str]) -> None:
        """
        Describe it.

        Args:
            folder: Made if it does not exist, for this user alone.
            name: Of the image; what cannot stand in the name of a file is replaced.
            mask: Hides secrets in a line.
        """
        self.path = folder / f"{re.sub(r'[^A-Za-z0-9._-]', '_', name).lstrip('.') or '_'}.log"
        self._mask = mask
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.is_begun = False

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = open(
                self.path, "w", encoding="utf-8", errors="backslashreplace", opener=_open_here
            )
        except OSError as error:
            raise self._unwritable(error) from None
        self.is_begun = True
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, line: str) -> None:
        """
        Add a line.

        Raises:
            BuildError: The disk is full, for instance.
        """
        masked = self._mask(line)
        self._tail.append(masked)
        try:
            self._file.write(f"{masked}\n")
            self._file.flush()
        except OSError as error:
            raise self._unwritable(error) from None

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines, up to `TAIL_LINES`."""
        return tuple(self._tail)

    def _unwritable(self, error: OSError) -> BuildError:
        return BuildError(
            str(self.path), f"cannot be written: {error.strerror}", "make room for it"
        )


def _open_here(path: str, flags: int) -> int:
    """Open a file, not what a link leads to that somebody has put in its place."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
