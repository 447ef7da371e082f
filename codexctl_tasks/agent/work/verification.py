"""
Look at the work of an agent in a repository of our own, before anybody gets it.

Whatever the pod said of it is forgotten. The bundle is measured, unpacked with all of git's checks,
and has to be one branch that grew out of the commit that the run began with. Nothing is checked
out: what has changed is read from trees.

Who the commits say wrote them is not looked at: anybody can write any name there, GitHub shows who
pushed, and people rewrite what they take over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from codexctl_tasks.agent.work.pack import BadBundleError, Bounds, measure_pack, read_header
from codexctl_tasks.agent.work.policy import Change
from codexctl_tasks.agent.work.trees import Commit, Difference, differences, read_commits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from codexctl_tasks.world.repository import Remote, Repository

MOST_BUNDLE_BYTES = 64 * 2**20
MOST_COMMITS = 500
_DIFF = ("--numstat", "-r", "-z", "--no-renames", "--no-ext-diff", "--no-textconv")
_MODULE = 0o160000


@dataclass(frozen=True, slots=True)
class Work:
    """What an agent has made."""

    base: str
    commit: str
    written: Sequence[Commit]
    """All commits after the base, the newest first."""
    changes: Sequence[Change]
    """Of all commits together, and what single ones do beside that."""

    @property
    def history(self) -> list[str]:
        """Names of the commits after the base, the newest first."""
        return [each.sha for each in self.written]

    @property
    def commits(self) -> int:
        """How many there are."""
        return len(self.written)

    @property
    def files(self) -> int:
        """How many files differ in the end."""
        return sum(change.is_final for change in self.changes)


def sha_format(commit: str) -> str:
    """Return the kind of hash that a commit has, as git calls it."""
    return "sha1" if len(commit) == 40 else "sha256"  # noqa: PLR2004 - hexadecimal digits


def verify_work(
    file: Path,
    base: str,
    repository: Repository,
    remote: Remote,
    *,
    largest_text: int,
    bounds: Bounds | None = None,
) -> Work:
    """
    Return what a bundle holds.

    Args:
        file: The bundle.
        base: Commit that the agent began with.
        repository: Takes all of it.
        remote: Where the base comes from.
        largest_text: Larger files are not looked into, bytes.
        bounds: What unpacking may cost; None: the usual.

    Raises:
        BadBundleError: It is none, or not what an agent's work has to be.
        GitError: The base cannot be fetched.
    """
    with file.open("rb") as opened:
        data = opened.read(MOST_BUNDLE_BYTES + 1)
    if len(data) > MOST_BUNDLE_BYTES:
        raise BadBundleError(f"it has more than {MOST_BUNDLE_BYTES:,} bytes")
    header = read_header(data)
    if header.object_format != sha_format(base):
        raise BadBundleError(f"its objects are named by {header.object_format}")
    if len(header.refs) != 1 or not header.refs[0][1].startswith("refs/heads/"):
        names = ", ".join(name for _, name in header.refs)[:200]
        raise BadBundleError(f"it holds {names or 'nothing'} instead of one branch")
    pack = memoryview(data)[header.size :]
    measure_pack(pack, bounds or Bounds(), sha_bytes=len(base) // 2)
    repository.fetch(remote, base, whole=bool(set(header.prerequisites) - {base}))
    commit = header.refs[0][0]
    _unpack(repository, bytes(pack), base, commit)
    commits = repository.ask("rev-list", f"{base}..{commit}").decode().split()
    if len(commits) > MOST_COMMITS:
        raise BadBundleError(f"it holds {len(commits):,} commits, more than {MOST_COMMITS:,}")
    written = read_commits(repository, commits)
    final = final_changes(repository, base, commit, largest_text=largest_text)
    return Work(base, commit, written, [*final, *_passing(repository, written, final)])


def _unpack(repository: Repository, pack: bytes, base: str, commit: str) -> None:
    """Take the objects, and see that they are whole and grew out of the base."""
    limit = f"--max-input-size={MOST_BUNDLE_BYTES}"
    taken = repository.run("index-pack", "--stdin", "--fix-thin", "--strict", limit, given=pack)
    if taken.exit_code:
        said = " ".join(taken.error.split())
        raise BadBundleError(f"git does not take its objects: {said[:300]}")
    if not repository.has(commit):
        raise BadBundleError("its branch is no commit")
    if repository.run("merge-base", "--is-ancestor", base, commit).exit_code:
        raise BadBundleError(f"it does not descend from {base[:12]}, where the agent began")
    whole = repository.run("rev-list", "--objects", "--quiet", commit, f"^{base}")
    if whole.exit_code:
        raise BadBundleError(f"it is not whole: {' '.join(whole.error.split())[:300]}")


def final_changes(
    repository: Repository, start: str, commit: str, *, largest_text: int
) -> list[Change]:
    """
    Return in what a commit differs from another one.

    Args:
        repository: That holds both.
        start: The older one.
        commit: The newer one.
        largest_text: Larger files are not looked into, bytes.

    Raises:
        BadBundleError: It is too much to be looked at.
    """
    [old, new] = read_commits(repository, [start, commit])
    found = differences(repository, [(old.tree, new.tree)])
    binary = _binary_paths(repository, start, commit, largest_text) if found else frozenset()
    return [
        replace(change, is_binary=change.path in binary) for change in _sized(repository, found)
    ]


def _passing(
    repository: Repository, written: Sequence[Commit], final: Sequence[Change]
) -> list[Change]:
    """Return what single commits do, compared with each of their parents, beside all of them."""
    parents = list(dict.fromkeys(sha for each in written for sha in each.parents))
    trees = {each.sha: each.tree for each in read_commits(repository, parents)}
    pairs = [
        (trees[sha] if sha else "", each.tree) for each in written for sha in each.parents or ("",)
    ]
    known = {(change.path, change.new_mode, change.blob) for change in final}
    found = [
        each
        for each in differences(repository, pairs)
        if (each.path, each.new_mode, each.blob) not in known
    ]
    return [replace(change, is_final=False) for change in _sized(repository, found)]


def _sized(repository: Repository, found: Sequence[Difference]) -> list[Change]:
    blobs = {each.blob for each in found if each.new_mode not in (0, _MODULE)}
    sizes = _sizes(repository, sorted(blobs))
    return [
        Change(
            path=each.path,
            old_mode=each.old_mode,
            new_mode=each.new_mode,
            blob=each.blob,
            size=sizes.get(each.blob, 0),
        )
        for each in found
    ]


def _sizes(repository: Repository, blobs: Sequence[str]) -> dict[str, int]:
    """Return the size of each blob, in bytes."""
    given = "".join(f"{blob}\n" for blob in blobs).encode()
    told = repository.ask("cat-file", "--batch-check=%(objectsize)", given=given).split()
    return dict(zip(blobs, map(int, told), strict=True))


def _binary_paths(
    repository: Repository, base: str, commit: str, largest_text: int
) -> frozenset[bytes]:
    """Return which files git calls binary; larger ones than *largest_text* bytes are."""
    limit = {"core.bigFileThreshold": str(largest_text)}
    said = repository.run("diff-tree", *_DIFF, base, commit, settings=limit)
    lines = (line.split(b"\t", 2) for line in said.out.split(b"\0")[:-1])
    return frozenset(path for added, _, path in lines if added == b"-")
