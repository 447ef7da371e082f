"""
What this machine remembers of a folder: digests of files that need not be read again.

A digest counts while all that `lstat` says of the file is as it was, as in git's index. A file that
was changed shortly before it was looked at may change again unseen: it is not remembered. Nothing
depends on it: whoever has no place for it, or finds it damaged, reads all files.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_RACY_NS = 2 * 10**9
_KEPT_S = 30 * 24 * 3600
"""A folder that is not synced for so long is forgotten."""
_WORDS = 3  # of a file: path, look, digest


class Memory:
    """Digests of the files of one folder."""

    def __init__(self, file: str, now_ns: int | None = None) -> None:
        """Read what was written to *file*; *now_ns*: when looking at the folder begins."""
        self._file = file
        self._known = _read(file)
        self._newest_ns = (time.time_ns() if now_ns is None else now_ns) - _RACY_NS
        self._looks: dict[bytes, bytes] = {}
        self._is_changed = False

    def digest(self, path: bytes, found: os.stat_result) -> str:
        """Note how a file looks, and return its digest if it looked so before; empty: read it."""
        if max(found.st_mtime_ns, found.st_ctime_ns) >= self._newest_ns:
            return ""
        numbers = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
        self._looks[path] = now = b"%d %d %d %d" % numbers
        look, digest = self._known.get(path, (b"", b""))
        return digest.decode() if look == now else ""

    def learn(self, path: bytes, digest: str) -> None:
        """Take the digest of what was read after it was looked at."""
        look = self._looks.get(path)
        if look is not None:
            known = (look, digest.encode())
            self._is_changed |= self._known.get(path) != known
            self._known[path] = known

    def write(self) -> None:
        """Keep it for the next time, if something was learnt; files that are gone are forgotten."""
        if not self._is_changed:
            return
        words: list[bytes] = []
        for path, (look, digest) in self._known.items():
            if path in self._looks:
                words += (path, look, digest)
        content = b"\0".join(words)
        with suppress(OSError):  # a home that cannot be written to, a full disk
            _replace(self._file, _sum(content) + content)
            _forget(os.path.dirname(self._file))


def memory_of(folder: bytes, environ: Mapping[str, str]) -> Memory | None:
    """Return what is remembered of a folder; None: the user has no place for it."""
    caches, home = environ.get("XDG_CACHE_HOME") or "", environ.get("HOME") or ""
    if not os.path.isabs(caches):  # the XDG specification: such a value is to be ignored
        if not os.path.isabs(home):
            return None
        caches = os.path.join(home, ".cache")
    name = hashlib.sha256(os.path.realpath(folder)).hexdigest()
    return Memory(os.path.join(caches, "codexctl", "digests", name))


def _read(file: str) -> dict[bytes, tuple[bytes, bytes]]:
    try:
        with open(file, "rb") as opened:
            told, content = opened.read(len(_sum(b""))), opened.read()
    except OSError:
        return {}
    words = content.split(b"\0")
    if told != _sum(content) or len(words) % _WORDS:
        return {}
    return dict(zip(words[0::3], zip(words[1::3], words[2::3], strict=True), strict=True))


def _sum(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _replace(file: str, content: bytes) -> None:
    """Write a file that nobody ever sees in part."""
    folder = os.path.dirname(file)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    number, made = tempfile.mkstemp(dir=folder)
    try:
        with open(number, "wb") as opened:
            opened.write(content)
        os.replace(made, file)
    except OSError:
        os.unlink(made)
        raise


def _forget(folder: str) -> None:
    oldest_s = time.time() - _KEPT_S
    for each in _files_of(folder):
        if each.stat().st_mtime < oldest_s:
            os.unlink(each.path)


def _files_of(folder: str) -> Collection[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return list(found)
