"""
External images, copied into the project's registry: what changed, and nothing else.

An unchanged image costs a HEAD request to its source and one to its target. What is copied keeps
its digest: manifests travel byte by byte, those that are listed first, the tag last.
"""

from __future__ import annotations

from concurrent.futures import CancelledError
from concurrent.futures import wait as wait_for
from typing import TYPE_CHECKING

from codexctl_tasks.errors import CodexctlError, ConfigurationError
from codexctl_tasks.images.platforms import Platform, parse_platform
from codexctl_tasks.images.results import Done, MirrorResult
from codexctl_tasks.images.transfers import Transfers, Wanted, Way
from codexctl_tasks.images.tree import (
    Tree,
    choose,
    is_whole,
    leaves_there,
    read_tree,
)
from codexctl_tasks.registry.interface import INDEX_TYPES, Descriptor, RegistryError
from codexctl_tasks.world.parallel import in_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from codexctl_tasks.images.catalogue import External
    from codexctl_tasks.references import Reference
    from codexctl_tasks.registry.interface import Manifest, Registry
    from codexctl_tasks.world.clock import Clock

JOBS = 12
"""Blobs that move at the same time, unless the user says otherwise."""
_IMAGES_AT_ONCE = 16
"""Images that are looked at: that is small requests, which wait for the network."""
_MANIFESTS_AT_ONCE = 8


def mirror_images(
    externals: Sequence[External],
    registry: Registry,
    *,
    platform: str = "",
    dry_run: bool = False,
    jobs: int = JOBS,
    clock: Clock,
    tell: Callable[[str], None],
    announce: Callable[[MirrorResult], None] = lambda _: None,
) -> list[MirrorResult]:
    """
    Mirror images side by side; one that fails does not keep the others from going on.

    Args:
        externals: Which.
        registry: All registries.
        platform: Only this one, such as ``linux/amd64``; empty: all of each image.
        dry_run: Only find out what would be done: nothing is written.
        jobs: How many blobs move at the same time; at most 16.
        clock: For seconds, and for progress.
        tell: Receives a line for each image that was not as it should be, and for what takes long.
        announce: Called in this thread with each result as soon as it is there.

    Returns:
        A result for each image, in their order.

    Raises:
        UsageError: The platform is no platform.
    """
    chosen = parse_platform(platform) if platform else None
    transfers = Transfers(registry, jobs, clock, tell)
    mirrors = [
        _Mirror(each, registry, chosen, transfers, clock, dry_run=dry_run) for each in externals
    ]
    results: dict[_Mirror, MirrorResult] = {}
    try:
        for mirror, result in in_parallel(_Mirror.result, mirrors, limit=_IMAGES_AT_ONCE):
            results[mirror] = result
            if result.done is not Done.UNCHANGED:
                tell(describe(result))
            announce(result)
    finally:
        transfers.stop()
    return [results[mirror] for mirror in mirrors]


def describe(result: MirrorResult) -> str:
    """Return one line that says what became of an image."""
    if result.error is not None:
        return f"{result.name}: failed: {result.error}"
    counts = {"moved": result.moved, "mounted": result.mounted, "present": result.present}
    sizes = ", ".join(f"{size / 10**6:,.1f} MB {how}" for how, size in counts.items() if size)
    more = f" ({sizes})" if sizes else ""
    return f"{result.name}: {result.done.value} {result.target}{more} in {result.seconds:.1f} s"


class _Mirror:
    """One image."""

    def __init__(
        self,
        external: External,
        registry: Registry,
        platform: Platform | None,
        transfers: Transfers,
        clock: Clock,
        *,
        dry_run: bool,
    ) -> None:
        self._external, self._registry, self._platform = external, registry, platform
        self._source, self._target = external.source, external.target
        self._transfers, self._clock, self._dry_run = transfers, clock, dry_run
        self._begun_s = clock.now()
        self._is_chosen = False
        """What is wanted is one of the manifests that an index lists."""

    def result(self) -> MirrorResult:
        """Do it, and say what was done."""
        self._begun_s = self._clock.now()
        try:
            return self._mirrored()
        except CodexctlError as error:
            return self._done(Done.FAILED, error=error)
        except CancelledError:
            return self._done(Done.FAILED, error=RegistryError(str(self._target), "was given up"))

    def _mirrored(self) -> MirrorResult:
        wanted, held = self._compare()
        if (
            held is not None
            and held.digest == wanted
            and is_whole(self._registry, self._target, held)
        ):
            return self._done(Done.UNCHANGED, wanted)
        tree = self._read(wanted, held)
        if self._dry_run:
            missing, present = self._missing(tree)
            done = Done.WOULD_COPY if missing else Done.WOULD_RETAG
            return self._done(done, wanted, {Way.MOVED: missing, Way.PRESENT: present})
        sizes = self._move(tree.blobs())
        self._store(tree)
        is_new = sizes[Way.MOVED] or sizes[Way.MOUNTED]
        return self._done(Done.COPIED if is_new else Done.RETAGGED, wanted, sizes)

    def _compare(self) -> tuple[str, Descriptor | None]:
        """Return the digest that is wanted, and what the target stands for now."""
        if self._source.digest:  # nobody can have changed what it stands for
            held = self._registry.find(self._target, for_writing=True)
            found = Descriptor(self._source.digest)
        else:
            answers = dict(in_parallel(self._find, [self._source, self._target], limit=2))
            held, there = answers[self._target], answers[self._source]
            if there is None:
                raise self._missing_source()
            found = there
        return self._wanted(found), held

    def _find(self, reference: Reference) -> Descriptor | None:
        return self._registry.find(reference, for_writing=reference is self._target)

    def _wanted(self, found: Descriptor) -> str:
        """Return the digest of the platform's manifest, or of the whole."""
        if self._platform is None or (found.media_type and found.media_type not in INDEX_TYPES):
            return found.digest
        top = self._fetched(found.digest)
        if not top.is_index:
            return found.digest
        self._is_chosen, where = True, self._external.location
        return choose(self._registry, self._source, top, self._platform, where)

    def _read(self, digest: str, held: Descriptor | None) -> Tree:
        """Read the image; what a target that is in use has of it already is left out."""
        top = self._fetched(digest)
        if self._platform is not None and not self._is_chosen:
            # An image for another platform must not pass for this one.
            choose(self._registry, self._source, top, self._platform, self._external.location)
        known = leaves_there(self._registry, self._target, top) if held is not None else ()
        return read_tree(self._registry, self._source, top, known)

    def _fetched(self, digest: str) -> Manifest:
        top = self._registry.fetch(self._source.with_digest(digest))
        if top is None:
            raise self._missing_source()
        return top

    def _missing_source(self) -> ConfigurationError:
        what = f"images.{self._external.name}.from: {self._source} does not exist"
        return ConfigurationError(self._external.location, what, "correct its name or its tag")

    def _missing(self, tree: Tree) -> tuple[int, int]:
        """Return how many bytes the target lacks, and how many it has."""
        blobs = tree.blobs()
        found = in_parallel(
            lambda blob: self._registry.has_blob(self._target, blob.digest),
            blobs,
            limit=_MANIFESTS_AT_ONCE,
        )
        present = sum(blob.size for blob, is_there in found if is_there)
        return sum(blob.size for blob in blobs) - present, present

    def _move(self, blobs: Sequence[Descriptor]) -> dict[Way, int]:
        """Get all blobs to the target; return how many bytes went which way."""
        wanted = [Wanted(self._external.name, self._source, self._target, each) for each in blobs]
        for each in wanted:
            self._transfers.begin(each)
        futures: list[Future[Way]] = [each.done for each in wanted]
        try:
            wait_for(futures, return_when="FIRST_EXCEPTION")
            sizes = dict.fromkeys(Way, 0)
            for each in sorted(wanted, key=lambda one: not one.done.done()):
                sizes[each.done.result()] += each.blob.size
        finally:
            for future in futures:
                future.cancel()  # what is left after a failure
        return sizes

    def _store(self, tree: Tree) -> None:
        """Store the manifests, those that are listed first, and the tag last."""
        for level in reversed(tree.levels[1:]):
            stored = in_parallel(self._store_one, level, limit=_MANIFESTS_AT_ONCE)
            for _ in stored:
                pass
        self._registry.store(self._target, tree.top)
        found = self._registry.find(self._target, for_writing=True)
        if found is None or found.digest != tree.top.digest:
            what = "stands for something else than what was just stored"
            raise RegistryError(str(self._target), what, "see who else writes this tag")

    def _store_one(self, manifest: Manifest) -> None:
        self._registry.store(self._target.with_digest(manifest.digest), manifest)

    def _done(
        self,
        done: Done,
        digest: str = "",
        sizes: dict[Way, int] | None = None,
        error: CodexctlError | None = None,
    ) -> MirrorResult:
        sizes = sizes or {}
        return MirrorResult(
            name=self._external.name,
            source=self._source,
            target=self._target,
            done=done,
            digest=digest,
            moved=sizes.get(Way.MOVED, 0),
            mounted=sizes.get(Way.MOUNTED, 0),
            present=sizes.get(Way.PRESENT, 0),
            seconds=self._clock.now() - self._begun_s,
            error=error,
        )
