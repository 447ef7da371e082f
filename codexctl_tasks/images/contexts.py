"""
The content of a folder that a build sees, as a hash.

What counts is what Git would keep: paths, content, the executable bit and where links lead. Times,
owners and all other bits of the mode differ from runner to runner and change no image.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.images.ignoring import Holding, IgnoreRules
from codexctl_tasks.stack.files import display
from codexctl_tasks.world.parallel import in_parallel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BATCH = 200
"""Files that a thread hashes in one go; most are small, and handing them over costs, too."""
_PIECE = 1024 * 1024
_THREADS = 4
_EXECUTABLE = stat.S_IXUSR
_NO_RULES = IgnoreRules()


@dataclass(frozen=True, slots=True)
class Entry:
    """Something in a folder."""

    path: str
    """Relative to the folder, with slashes."""
    full: str
    """Path by which it can be opened."""
    status: os.stat_result
    """Of itself; a link is not followed."""

    @property
    def is_file(self) -> bool:
        """Whether it has content to hash."""
        return stat.S_ISREG(self.status.st_mode)


class Content:
    """What of a folder a build sees."""

    def __init__(self, folder: Path, rules: IgnoreRules = _NO_RULES) -> None:
        """
        Look at everything, without reading any file.

        Raises:
            ConfigurationError: Something cannot be looked at.
        """
        self.folder = folder
        self.entries = sorted(_entries(folder, rules), key=lambda entry: entry.path)

    @property
    def size(self) -> int:
        """All files together, in bytes."""
        return sum(entry.status.st_size for entry in self.entries if entry.is_file)

    def has(self, path: str) -> bool:
        """Tell whether something is there."""
        return any(entry.path == path for entry in self.entries)

    def largest(self, count: int) -> list[tuple[str, int]]:
        """Return what is largest at the top of the folder, with its size in bytes."""
        sizes: dict[str, int] = {}
        for entry in self.entries:
            if entry.is_file:
                top = entry.path.partition("/")[0]
                sizes[top] = sizes.get(top, 0) + entry.status.st_size
        return sorted(sizes.items(), key=lambda pair: -pair[1])[:count]

    def copy_to(self, folder: Path) -> None:
        """
        Make a folder that has nothing else.

        Raises:
            ConfigurationError: A file cannot be copied.
        """
        for entry in self.entries:  # sorted: a folder comes before what is in it
            copy = folder / entry.path
            try:
                if stat.S_ISDIR(entry.status.st_mode):
                    copy.mkdir()
                elif entry.is_file or stat.S_ISLNK(entry.status.st_mode):
                    shutil.copy2(entry.full, copy, follow_symlinks=False)
            except OSError as error:
                what = f"cannot be copied: {error.strerror or error}"
                raise ConfigurationError(display(Path(entry.full)), what) from None


class FileHashes:
    """Hashes of files, each made once: several images are often built from the same folder."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], bytes] = {}

    def of_content(self, content: Content) -> str:
        """
        Return the hash of what a build sees of a folder, in hexadecimal digits.

        Raises:
            ConfigurationError: A file cannot be read, or has vanished meanwhile.
        """
        self._read([entry for entry in content.entries if entry.is_file])
        whole = hashlib.sha256()
        for entry in content.entries:
            whole.update(self._line(entry))
        return whole.hexdigest()

    def _line(self, entry: Entry) -> bytes:
        """Say what counts of an entry; neither a path nor where a link leads has a null byte."""
        path, mode = os.fsencode(entry.path), entry.status.st_mode
        if entry.is_file:
            kind = b"x" if mode & _EXECUTABLE else b"f"
            return b"%s\0%s\0%s\n" % (kind, path, self._known[_key(entry)])
        if stat.S_ISLNK(mode):
            return b"l\0%s\0%s\0" % (path, os.fsencode(_link(entry)))
        if stat.S_ISDIR(mode):
            return b"d\0%s\0" % path
        return b"%o %d\0%s\0" % (stat.S_IFMT(mode), entry.status.st_rdev, path)

    def _read(self, files: Sequence[Entry]) -> None:
        unknown = [entry for entry in files if _key(entry) not in self._known]
        batches = [unknown[at : at + BATCH] for at in range(0, len(unknown), BATCH)]
        limit = min(_THREADS, os.cpu_count() or 1)
        for _, hashes in in_parallel(_hash_files, batches, limit=limit):
            self._known.update(hashes)


def _key(entry: Entry) -> tuple[str, int, int]:
    return entry.full, entry.status.st_mtime_ns, entry.status.st_size


def _hash_files(entries: Sequence[Entry]) -> dict[tuple[str, int, int], bytes]:
    return {_key(entry): _hash_file(entry) for entry in entries}


def _hash_file(entry: Entry) -> bytes:
    try:
        opened = os.open(entry.full, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            content, left = hashlib.sha256(), entry.status.st_size + 1
            while left > 1 and (piece := os.read(opened, min(_PIECE, left))):
                content.update(piece)
                left -= len(piece)  # 1: as long as it was a moment ago, so that this is the end
        finally:
            os.close(opened)
    except OSError as error:
        raise _unreadable(entry.full, error) from None
    return content.digest()


def _link(entry: Entry) -> str:
    try:
        return os.readlink(entry.full)  # noqa: PTH115 - as it is, not normalised
    except OSError as error:
        raise _unreadable(entry.full, error) from None


def _entries(folder: Path, rules: IgnoreRules) -> Iterator[Entry]:
    """Yield what rules leave of a folder, with the folders that lead there."""
    waiting: list[tuple[str, str, Holding]] = [(str(folder), "", ())]
    kept: set[str] = set()
    ignored: dict[str, Entry] = {}
    while waiting:
        full, path, above = waiting.pop()
        for entry in _scan(full, path):
            is_ignored, holding = rules.judge(entry.path, above) if rules.rules else (False, ())
            is_folder = stat.S_ISDIR(entry.status.st_mode)
            if is_folder and (not is_ignored or rules.may_keep_below(entry.path)):
                waiting.append((entry.full, entry.path, holding))
            if not is_ignored and not stat.S_ISSOCK(entry.status.st_mode):  # no builder takes them
                yield entry
                kept.add(path)
            elif is_folder:
                ignored[entry.path] = entry
    yield from _parents(kept, ignored)


def _parents(kept: set[str], ignored: dict[str, Entry]) -> Iterator[Entry]:
    """Yield the folders, left out themselves, in which something is that is not."""
    for path in kept:
        above = path
        while entry := ignored.pop(above, None):
            yield entry
            above = above.rpartition("/")[0]


def _scan(full: str, path: str) -> Iterator[Entry]:
    prefix = f"{path}/" if path else ""
    try:
        with os.scandir(full) as found:
            for each in found:
                yield Entry(prefix + each.name, each.path, each.stat(follow_symlinks=False))
    except OSError as error:
        raise _unreadable(error.filename or full, error) from None


def _unreadable(path: str, error: OSError) -> ConfigurationError:
    name = display(Path(path))
    if isinstance(error, FileNotFoundError):
        what, fix = "vanished while it was read", "let nobody write there during a build"
    else:
        what = f"cannot be read: {error.strerror}"
        fix = "mend its permissions or add it to .dockerignore"
    return ConfigurationError(name, what, fix)
