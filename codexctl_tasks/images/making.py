"""
One image: is it there, can it be had by a tag, or must it be built.

The tag ``c-<content hash>`` in the image's own repository is the memory: whoever finds it need not
build, on whatever machine. The builder pushes to the tag that is wanted; then the first of
several runs that have built the same sets the ``c-`` tag, and the others take its image.
"""

from __future__ import annotations

import functools
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from codexctl_tasks.console import HEARTBEAT_S
from codexctl_tasks.errors import CodexctlError
from codexctl_tasks.images.backend import CACHE_TAG, BuildError, BuildOrder
from codexctl_tasks.images.contexts import Content
from codexctl_tasks.images.ignoring import ignore_file_of, read_rules
from codexctl_tasks.images.logs import BuildLog
from codexctl_tasks.images.results import BuildResult, Done, layers_size
from codexctl_tasks.images.tree import is_whole
from codexctl_tasks.registry.interface import RegistryError
from codexctl_tasks.world.parallel import in_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from codexctl_tasks.images.backend import Backend
    from codexctl_tasks.images.building import BuildSettings
    from codexctl_tasks.images.catalogue import Build
    from codexctl_tasks.images.fingerprint import Digests, Fingerprints
    from codexctl_tasks.images.order import Ordered
    from codexctl_tasks.references import Reference
    from codexctl_tasks.registry.interface import Descriptor, Manifest, Registry
    from codexctl_tasks.world.process import Crew

CONTENT_TAG = "c-"
"""What tags begin with that remember a content hash."""


class Builders:
    """The builder, which is only looked for when one is needed, and room for several builds."""

    def __init__(self, backend_of: Callable[[], Backend], jobs: int, crew: Crew) -> None:
        self._backend_of, self._crew = backend_of, crew
        self._room = threading.Semaphore(jobs)
        self._lock = threading.Lock()
        self._found: Backend | CodexctlError | None = None

    def build(
        self, order: BuildOrder, tell: Callable[[str], None], begin: Callable[[], float]
    ) -> str:
        """
        Build an image when there is room for it; see `Backend.build`.

        *begin*: Called when its turn has come; returns the moment at which it is given up.
        """
        with self._crew.joined():
            backend = self._backend()
        with self._room, self._crew.joined():
            self._crew.check()
            return backend.build(order, tell=tell, deadline_s=begin())

    def _backend(self) -> Backend:
        with self._lock:
            if self._found is None:
                try:
                    self._found = self._backend_of()
                except CodexctlError as error:
                    self._found = error
        if isinstance(self._found, CodexctlError):
            raise self._found
        return self._found


@dataclass(frozen=True, slots=True)
class _Made:
    """What became of an image, before it is a result."""

    done: Done
    digest: str = ""
    size: int = 0
    note: str = ""


class Making:
    """Makes images, one at a call; calls may come from several threads."""

    def __init__(
        self,
        registry: Registry,
        builders: Builders,
        digests: Digests,
        fingerprints: Fingerprints,
        *,
        settings: BuildSettings,
        tell: Callable[[str], None],
    ) -> None:
        self._registry, self._builders = registry, builders
        self._digests, self._fingerprints = digests, fingerprints
        self._settings, self._tell = settings, tell

    def make(self, ordered: Ordered) -> BuildResult:
        """Make an image, or tell why that is not possible."""
        build, begun_s = ordered.build, self._settings.clock.now()
        log = BuildLog(self._settings.logs, build.name, self._settings.console.masked)
        made, problem = _Made(Done.FAILED), None
        try:
            if ordered.mistake:
                raise ordered.mistake
            made = self._make(ordered, log)
        except CodexctlError as error:
            problem = error
        return BuildResult(
            name=build.name,
            target=build.target,
            done=made.done,
            digest=made.digest,
            size=made.size,
            seconds=self._settings.clock.now() - begun_s,
            error=problem,
            note=made.note,
            log=str(log.path) if log.is_begun else "",
            tail=log.tail if problem else (),
        )

    def _make(self, ordered: Ordered, log: BuildLog) -> _Made:
        build = ordered.build
        key = self._fingerprints.of(build, self._digests.of(ordered.images))
        memory = build.target.with_tag(f"{CONTENT_TAG}{key}")
        if not self._is_forced(build):
            known, present = self._find(memory, build.target)
            if known and is_whole(self._registry, memory, known):
                return self._take(build, known.digest, present)
        if self._settings.dry_run:
            return _Made(Done.WOULD_BUILD)
        digest = self._build(build, log)
        return self._remember(build, memory, digest) if digest else _Made(Done.BUILT)

    def _is_forced(self, build: Build) -> bool:
        """Tell whether it is built anew; what only is needed by what was chosen is not."""
        only = self._settings.only
        return self._settings.force and (not only or build.name in only)

    def _find(self, *references: Reference) -> list[Descriptor | None]:
        """Look for tags side by side; where something may be pushed, with the right to do so."""
        pushes = self._settings.push and not self._settings.dry_run
        find = functools.partial(self._registry.find, for_writing=pushes)
        found = dict(in_parallel(find, references, limit=len(references)))
        return [found[reference] for reference in references]

    def _take(self, build: Build, digest: str, present: Descriptor | None) -> _Made:
        """Let the wanted tag stand for an image that is there."""
        if present and present.digest == digest:
            return _Made(Done.UNCHANGED, digest)
        if self._settings.dry_run or not self._settings.push:
            return _Made(Done.WOULD_RETAG, digest)
        manifest = self._fetch(build, digest)
        self._registry.store(build.target, manifest)
        return _Made(Done.RETAGGED, digest, layers_size(manifest))

    def _build(self, build: Build, log: BuildLog) -> str:
        with log, _named_contexts(build) as contexts:

            def begin() -> float:
                self._tell(f"{build.name}: building, log in {log.path}")
                return self._settings.clock.now() + self._settings.timeout_s

            order = self._order(build, contexts)
            return self._builders.build(order, self._telling(build, log), begin)

    def _order(self, build: Build, contexts: Mapping[str, Path | Reference]) -> BuildOrder:
        settings = self._settings
        return BuildOrder(
            name=build.name,
            dockerfile=build.dockerfile,
            context=build.context,
            ignore_file=ignore_file_of(build.context, build.dockerfile),
            contexts=contexts,
            arguments=build.arguments,
            target=build.target,
            platform=settings.platform,
            push=settings.push,
            created=settings.now.isoformat(timespec="seconds") if settings.now else "",
            cache=build.target.with_tag(CACHE_TAG) if settings.caches_layers else None,
        )

    def _telling(self, build: Build, log: BuildLog) -> Callable[[str], None]:
        """Return what writes lines to the log and tells one now and then: it still goes on."""
        begun_s = told_s = self._settings.clock.now()

        def tell(line: str) -> None:
            nonlocal told_s
            log.write(line)
            now_s = self._settings.clock.now()
            if line.strip() and now_s - told_s >= HEARTBEAT_S:
                told_s = now_s
                self._tell(f"{build.name}: {now_s - begun_s:.0f} s: {line.strip()}")

        return tell

    def _remember(self, build: Build, memory: Reference, digest: str) -> _Made:
        """Set the ``c-`` tag for what has been built; if another run was first, take its image."""
        manifest = self._fetch(build, digest)
        first = None if self._is_forced(build) else self._registry.find(memory)
        if first and first.digest != digest and is_whole(self._registry, memory, first):
            manifest = self._fetch(build, first.digest)
            self._registry.store(build.target, manifest)
            note = "another run was first, its image is used"
            return _Made(Done.BUILT, first.digest, layers_size(manifest), note)
        note = ""
        try:
            self._registry.store(memory, manifest)
        except RegistryError as error:  # the image itself is there, and complete
            note = f"the next run will build it again, as {memory.tag} cannot be set: {error}"
        return _Made(Done.BUILT, digest, layers_size(manifest), note)

    def _fetch(self, build: Build, digest: str) -> Manifest:
        manifest = self._registry.fetch(build.target.with_digest(digest))
        if manifest is None:
            what, fix = (
                f"{digest} is not in {build.target.name}",
                "try again, or build with --force",
            )
            raise BuildError(f"image {build.name}", what, fix)
        return manifest


@contextmanager
def _named_contexts(build: Build) -> Iterator[dict[str, Path | Reference]]:
    """
    Give the named contexts as every builder is to see them.

    Not all builders heed the ignore file of a named context: whoever has one is given as a copy.
    """
    with tempfile.TemporaryDirectory(prefix="codexctl-contexts-") as name:
        given = dict(build.contexts)
        for number, (key, context) in enumerate(build.contexts.items()):
            if isinstance(context, Path) and (ignore_file := ignore_file_of(context)):
                given[key] = folder = Path(name) / str(number)
                folder.mkdir()
                Content(context, read_rules(ignore_file)).copy_to(folder)
        yield given
