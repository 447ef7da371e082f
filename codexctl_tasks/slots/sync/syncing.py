"""
One sync: look at both sides, decide, send what differs, move it into place.

A stream that is cut leaves whole files in the staging folder and nothing under a final name; the
next attempt sends the rest. What was moved when the moving itself was cut is known for ours by
what that sync had found and wanted.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from codexctl_tasks.errors import (
    BrokenStreamError,
    ClusterError,
    CodexctlError,
    TransientClusterError,
)
from codexctl_tasks.slots.sync import listing, scripts
from codexctl_tasks.slots.sync.archive import Archive, compressed, pays
from codexctl_tasks.slots.sync.checkout import ignored_paths, read_sources
from codexctl_tasks.slots.sync.difference import Difference, Sides, compare, in_question
from codexctl_tasks.slots.sync.manifest import (
    Entry,
    Kind,
    changed_paths,
    read_manifest,
    write_changes,
    write_manifest,
)
from codexctl_tasks.slots.sync.memory import memory_of
from codexctl_tasks.slots.sync.sources import shown
from codexctl_tasks.world.parallel import begin
from codexctl_tasks.world.retrying import TRANSFER, retrying
from codexctl_tasks.world.scripting import Container, run_script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from codexctl_tasks.slots.sync.manifest import Manifest
    from codexctl_tasks.slots.sync.place import Place
    from codexctl_tasks.slots.sync.sources import Sources
    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.retrying import Repetition

_SHOWN_PATHS = 10
_MUCH = 16 * 1024 * 1024
"""Bytes; of less it does not matter how they are sent."""
_MOST_RECORDS = 1.5
"""For each path, of what is remembered there: beyond that it is written anew."""


class UncommittedWorkError(CodexctlError):
    """Somebody has changed files of the workspace, and what is new here would replace them."""

    exit_code = 4

    def __init__(self, where: str, paths: Sequence[bytes]) -> None:
        """Name the files: *paths* in the workspace."""
        self.paths = tuple(map(shown, paths))
        names = ", ".join(self.paths[:_SHOWN_PATHS])
        more = f" and {len(paths) - _SHOWN_PATHS} more" if len(paths) > _SHOWN_PATHS else ""
        what = f"changed since the last sync, {len(paths)} in all: {names}{more}"
        super().__init__(where, what, "commit and push them there, or give --overwrite")


@dataclass(frozen=True, kw_only=True, slots=True)
class Synced:
    """What a sync has done."""

    sent: int
    """Files and links."""
    sent_bytes: int
    resumed: int
    """Files and links that an earlier sync, which was cut, had brought already."""
    deleted: int
    changed_modes: int
    kept: int
    """Files and links that were as they should be."""
    work: tuple[str, ...]
    """What somebody has changed there since the last sync."""
    is_work_kept: bool
    """It was left as it is, since nothing is new here; False: it was overwritten."""
    warnings: tuple[str, ...] = ()


def sync(
    folder: Path,
    place: Place,
    cluster: Cluster,
    clock: Clock,
    *,
    environ: Mapping[str, str],
    overwrite: bool,
    announce: Callable[[Repetition], None],
) -> Synced:
    """
    Make the folder of a workspace as *folder* is; a stream that is cut is gone on with.

    Args:
        folder: On this machine.
        place: On the other side.
        cluster: It leads there.
        clock: For the pauses.
        environ: The process environment, for git.
        overwrite: Also where somebody has changed something there.
        announce: Is told before each further attempt.

    Raises:
        UncommittedWorkError: Something would be lost; nothing was changed.
        ClusterError: The pod cannot be used, or the stream breaks again and again.
        ConfigurationError: A file of ours cannot be read.
    """

    def attempt() -> Synced:
        return _Sync(folder, place, cluster, environ).run(overwrite=overwrite)

    return retrying(attempt, clock, TRANSFER, announce, deadline_s=cluster.deadline_s)


class _Sync:
    """One attempt."""

    def __init__(
        self, folder: Path, place: Place, cluster: Cluster, environ: Mapping[str, str]
    ) -> None:
        self._folder, self._environ = bytes(folder), environ
        self._place, self._cluster = place, cluster
        self._closes_stdin = False

    def run(self, *, overwrite: bool) -> Synced:
        ours = begin(self._read_sources)
        survey, sources = self._survey(), ours()
        try:
            return self._bring(survey, sources, overwrite=overwrite)
        finally:
            if sources.memory:
                sources.memory.write()

    def _read_sources(self) -> Sources:
        memory = memory_of(self._folder, self._environ)
        return read_sources(self._folder, self._environ, memory)

    def _bring(self, survey: listing.Survey, sources: Sources, *, overwrite: bool) -> Synced:
        sides = self._sides(survey, sources)
        difference = compare(sides, overwrite=overwrite)
        if difference.work and not overwrite:
            if difference.is_news:
                raise UncommittedWorkError(str(self._place), difference.work)
            return _told(difference, sides, None, sources)
        archive = Archive(sources, scripts.STAGING.encode())
        if not difference.is_nothing or len(sides.bases) != 1:
            self._send(difference, sides, archive, survey)
        return _told(difference, sides, archive, sources)

    def _survey(self) -> listing.Survey:
        token = secrets.token_hex(16)
        told = self._execute(scripts.SURVEY, token, self._place.folder, self._place.state)
        try:
            return listing.read_survey(told, token)
        except ValueError as error:
            what = f"the list of its files is not understood: {error}"
            raise ClusterError(
                str(self._place), what, f"see whether {self._place.state} was edited"
            ) from error

    def _sides(self, survey: listing.Survey, sources: Sources) -> Sides:
        """Hash what has to be hashed on both sides."""
        synced, before, after = map(self._remembered, survey.manifests)
        bases = [before, after] if survey.manifests[2] else [synced] if survey.manifests[0] else []
        trusted = listing.trusted_digests(survey, synced) if len(bases) == 1 else {}
        remote = listing.entries_of(survey.stats, survey.links, trusted)
        staged = listing.entries_of(survey.staged, survey.staged_links, {})
        theirs = in_question(remote, [sources.entries, *bases])
        waiting = in_question(staged, [sources.entries])
        ours = in_question(sources.entries, [remote, staged, *bases])
        sources.hash(ours)
        read = self._hash(self._place.folder, theirs)
        _set_digests(remote, read)
        _set_digests(staged, self._hash(f"{self._place.state}/{scripts.STAGING}", waiting))
        alone = [
            path
            for path, e in remote.items()
            if path not in sources.entries and e.kind is not Kind.FOLDER
        ]
        return Sides(
            local=sources.entries,
            remote=remote,
            staged=staged,
            bases=bases,
            read=frozenset(read),
            ignored=ignored_paths(sources, alone, self._environ),
        )

    def _remembered(self, data: bytes) -> Manifest:
        try:
            return read_manifest(data)
        except ValueError as error:
            what = f"what the last sync left is not understood: {error}"
            fix = f"remove {self._place.state} there and give --overwrite"
            raise ClusterError(str(self._place), what, fix) from error

    def _hash(self, folder: str, paths: Sequence[bytes]) -> dict[bytes, str]:
        """Return digests of files of the other side; what is gone by now has none."""
        plain = [path for path in paths if not listing.is_odd(path)]
        odd = [path for path in paths if listing.is_odd(path)]
        return {
            **listing.read_digests(self._hashed(scripts.HASH, folder, plain)),
            **listing.read_odd_digests(self._hashed(scripts.HASH_ODD, folder, odd)),
        }

    def _hashed(self, script: str, folder: str, paths: Sequence[bytes]) -> bytes:
        if not paths:
            return b""
        given = b"".join(b"./" + path + b"\0" for path in paths)
        gone = 123  # xargs: a file could not be read
        return self._execute(script, folder, str(len(given)), given=[given], accepts=(0, gone))

    def _send(
        self, difference: Difference, sides: Sides, archive: Archive, survey: listing.Survey
    ) -> None:
        """Bring it all."""

        def appendix() -> Iterable[tuple[bytes, bytes]]:
            after = _after(sides, archive.sent)
            base = sides.bases[0] if len(sides.bases) == 1 else {}
            if not base or difference.work:
                yield scripts.BEFORE.encode(), write_manifest(sides.remote)
            yield _notes(after, base, survey.manifests[0].count(b"\0"))
            new = {*changed_paths(base, after), *archive.sent, *sides.read}
            looks = _looks(new, after, survey.look_records if base else 0)
            yield scripts.PLAN.encode(), scripts.plan(difference, sides.local, looks)

        stream = archive.stream(difference.send, appendix)
        how, count = "plain", 0
        if self._packs(difference, sides, archive):
            how, stream = "gzip", compressed(stream)
        elif not self._closes_stdin:  # it has to count: what is made twice has the same size
            count = sum(map(len, stream))
            archive.begin_anew()
            stream = archive.stream(difference.send, appendix)
        place = (self._place.folder, self._place.state)
        self._execute(scripts.RECEIVE, *place, how, str(count), given=stream)

    def _packs(self, difference: Difference, sides: Sides, archive: Archive) -> bool:
        """Decide whether to compress what is sent; for much of it the way is measured."""
        if not self._closes_stdin:
            return False  # whoever does not see the end of stdin waits for more of a gzip file
        if sum(sides.local[path].size for path in difference.send) < _MUCH:
            return True
        sample, heard_s = archive.sample(difference.send), list[float]()

        def take(_: bytes) -> None:
            heard_s.append(time.monotonic())

        self._execute(scripts.PROBE, given=[sample], take=take)
        return pays(sample, heard_s[-1] - heard_s[0])

    def _execute(
        self,
        script: str,
        *arguments: str,
        given: Iterable[bytes] = (),
        accepts: Sequence[int] = (0,),
        take: Callable[[bytes], object] = lambda _: None,
    ) -> bytes:
        """
        Run a script in the pod and return what it prints; *take* gets each piece when it comes.

        Raises:
            BrokenStreamError: It was cut: run the whole again.
            ClusterError: Everything else: what may pass was repeated already.
        """
        where = Container(self._place.namespace, self._place.pod, self._place.container)
        try:
            said = run_script(self._cluster, where, script, *arguments, stdin=given, take=take)
        except BrokenStreamError:
            raise
        except TransientClusterError as error:
            raise ClusterError(error.where, error.what, error.fix, status=error.status) from error
        printed, ended = said
        self._closes_stdin = ended.closes_stdin
        if ended.exit_code == scripts.ENDED_EARLY:
            raise BrokenStreamError(str(self._place), "the stream was cut")
        if ended.exit_code not in accepts:
            words = " ".join(ended.stderr.split()) or f"exit code {ended.exit_code}"
            what = f"the files cannot be synced there: {words[:500]}"
            raise ClusterError(str(self._place), what, "mend that, or choose another --image")
        return printed


def _set_digests(tree: Manifest, digests: Mapping[bytes, str]) -> None:
    for path, digest in digests.items():
        tree[path] = replace(tree[path], digest=digest)


def _after(sides: Sides, sent: Mapping[bytes, Entry]) -> Manifest:
    """Return what our side is, with the mtimes that the files have there."""
    found = {}
    for path, ours in sides.local.items():
        theirs = sides.staged.get(path) or sides.remote.get(path)
        if path in sent:
            found[path] = sent[path]
        elif theirs is not None and theirs.kind is Kind.FILE:
            found[path] = replace(ours, mtime_s=theirs.mtime_s)
        else:
            found[path] = ours
    return found


def _notes(after: Manifest, base: Mapping[bytes, Entry], records: int) -> tuple[bytes, bytes]:
    """Return what tells the other side what it will have: all, or what is added to *records*."""
    if base:
        changes = write_changes(base, after)
        if records + changes.count(b"\0") <= _MOST_RECORDS * len(after):
            return scripts.CHANGES.encode(), changes
    return scripts.AFTER.encode(), write_manifest(after)


def _looks(new: Iterable[bytes], after: Manifest, records: int) -> list[bytes] | None:
    """Return the files that the other side has to look at, besides *records*; None: at all."""
    files = [p for p in new if p in after and after[p].kind is Kind.FILE and b"\n" not in p]
    is_short = records + len(files) <= _MOST_RECORDS * len(after)
    return sorted(files) if records and is_short else None


def _told(
    difference: Difference, sides: Sides, archive: Archive | None, sources: Sources
) -> Synced:
    send = [p for p in difference.send if sides.local[p].kind is not Kind.FOLDER]
    wanted = {p for p in sides.staged if p not in difference.unstage} - set(difference.send)
    return Synced(
        sent=len(send),
        sent_bytes=archive.sent_bytes if archive else 0,
        resumed=sum(1 for path in wanted if sides.staged[path].kind is not Kind.FOLDER),
        deleted=sum(1 for path in difference.remove if path not in sides.local),
        changed_modes=len(difference.chmod),
        kept=difference.same,
        work=tuple(map(shown, difference.work)),
        is_work_kept=bool(difference.work) and archive is None,
        warnings=tuple(sources.warnings),
    )
