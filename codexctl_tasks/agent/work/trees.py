"""
Commits and trees of a repository that strangers have filled, read within bounds.

Git's own diff lists all paths before it prints one: some hundred bytes of folders that hold one
another again and again become gigabytes. Here pairs of folders are compared level by level, equal
ones are not looked into, and what becomes too much is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from stat import S_ISDIR
from typing import TYPE_CHECKING

from codexctl_tasks.agent.work.pack import BadBundleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from codexctl_tasks.world.repository import Repository

MOST_COMMIT_BYTES = 8 * 2**20
MOST_TREE_BYTES = 64 * 2**20
"""Of all folders that differ, as git keeps them."""
MOST_PATH_BYTES = 32 * 2**20
"""Of all paths that differ, each with `_OF_ENTRY`: about 300,000 files."""
LONGEST_PATH = 4096
_OF_ENTRY = 40
_COUNTED = "%(objecttype) %(objectsize)"
_Entry = tuple[int, str]
"""Mode and name of the object."""
_NONE: _Entry = (0, "")


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit, as git keeps it."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    encoding: str
    """Of the message, as the commit says; empty: UTF-8."""
    message: str


@dataclass(frozen=True, slots=True)
class Difference:
    """One file that is not the same in two trees."""

    path: bytes
    old_mode: int
    """0: it was not there."""
    new_mode: int
    """0: it is gone."""
    blob: str
    """What it is now; empty: it is gone."""


def read_commits(repository: Repository, shas: Sequence[str]) -> list[Commit]:
    """
    Return commits.

    Raises:
        BadBundleError: One is missing, or they are too large.
    """
    found = _objects(repository, shas, "commit", MOST_COMMIT_BYTES)
    return [_commit(sha, data) for sha, data in zip(shas, found, strict=True)]


def differences(repository: Repository, pairs: Iterable[tuple[str, str]]) -> list[Difference]:
    """
    Return in which files trees differ, each difference once, by path.

    Args:
        repository: That holds the trees.
        pairs: Each tree with the one that came of it; empty: there was none.

    Raises:
        BadBundleError: They are too many, or a tree makes no sense.
    """
    level = dict.fromkeys((b"", old, new) for old, new in pairs if old != new)
    found: dict[Difference, None] = {}
    path_bytes = tree_bytes = 0
    while level:
        names = list(dict.fromkeys(sha for _, *both in level for sha in both if sha))
        contents = _objects(repository, names, "tree", MOST_TREE_BYTES - tree_bytes)
        tree_bytes += sum(map(len, contents))
        trees = {
            sha: _entries(data, len(sha) // 2) for sha, data in zip(names, contents, strict=True)
        }
        below: dict[tuple[bytes, str, str], None] = {}
        for prefix, old, new in level:
            for name, before, after in _unequal(trees.get(old, {}), trees.get(new, {})):
                path = prefix + name
                path_bytes += len(path) + _OF_ENTRY
                _check(path, path_bytes)
                _sort_out(path, before, after, found, below)
        level = below
    return sorted(found, key=lambda each: each.path)


def _check(path: bytes, path_bytes: int) -> None:
    if len(path) > LONGEST_PATH:
        raise BadBundleError(f"it holds a path of more than {LONGEST_PATH:,} bytes")
    if path_bytes > MOST_PATH_BYTES:
        raise BadBundleError("unfolded it changes more files than can be looked at")


def _sort_out(
    path: bytes,
    before: _Entry,
    after: _Entry,
    found: dict[Difference, None],
    below: dict[tuple[bytes, str, str], None],
) -> None:
    """Put a difference of files to those that are *found*, one of folders to the level *below*."""
    folders = [sha if S_ISDIR(mode) else "" for mode, sha in (before, after)]
    if any(folders):
        below[path + b"/", folders[0], folders[1]] = None
    old_mode, new_mode = (0 if S_ISDIR(mode) else mode for mode, _ in (before, after))
    if old_mode or new_mode:
        found[Difference(path, old_mode, new_mode, after[1] if new_mode else "")] = None


def _unequal(
    old: dict[bytes, _Entry], new: dict[bytes, _Entry]
) -> Iterator[tuple[bytes, _Entry, _Entry]]:
    for name in old.keys() | new.keys():
        before, after = old.get(name, _NONE), new.get(name, _NONE)
        if before != after:
            yield name, before, after


def _entries(data: bytes, sha_bytes: int) -> dict[bytes, _Entry]:
    """Return mode and object of each name in a tree."""
    entries: dict[bytes, _Entry] = {}
    at = 0
    while at < len(data):
        mode, name_at = data.index(b" ", at), data.index(b"\0", at)
        name, end = data[mode + 1 : name_at], name_at + 1 + sha_bytes
        if name in entries:
            raise BadBundleError("it holds a folder with two entries of one name")
        entries[name] = int(data[at:mode], 8), data[name_at + 1 : end].hex()
        at = end
    return entries


def _commit(sha: str, data: bytes) -> Commit:
    head, _, message = data.partition(b"\n\n")
    lines = [line.partition(b" ") for line in head.split(b"\n")]
    told = [(name, value.decode(errors="replace")) for name, _, value in lines]
    return Commit(
        sha,
        tree=next(value for name, value in told if name == b"tree"),
        parents=tuple(value for name, value in told if name == b"parent"),
        encoding=next((value for name, value in told if name == b"encoding"), ""),
        message=message.decode(errors="replace"),
    )


def _objects(
    repository: Repository, names: Sequence[str], kind: str, most_bytes: int
) -> list[bytes]:
    """Return what objects of a kind hold; their sizes are looked at before."""
    given = "".join(f"{name}\n" for name in names).encode()
    told = repository.ask("cat-file", f"--batch-check={_COUNTED}", given=given).decode()
    sizes = []
    for line in told.splitlines():
        found, _, told_size = line.partition(" ")
        if found != kind:
            raise BadBundleError(f"one of its objects is no {kind}: {line[:100]}")
        sizes.append(int(told_size))
    if sum(sizes) > most_bytes:
        raise BadBundleError(f"its {kind}s that are to be looked at are too large")
    data = repository.ask("cat-file", "--batch=%(objectsize)", given=given)
    contents, at = [], 0
    for size in sizes:
        at = data.index(b"\n", at) + 1
        contents.append(data[at : at + size])
        at += size + 1
    return contents
