"""Build what has to be built of a stack's images, each as soon as what it needs is there."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codexctl_tasks.images.fingerprint import Digests, Fingerprints
from codexctl_tasks.images.hindrances import hindrance_of
from codexctl_tasks.images.making import Builders, Making
from codexctl_tasks.images.order import order_builds, select_builds
from codexctl_tasks.images.results import BuildResult, Done
from codexctl_tasks.world.parallel import in_order
from codexctl_tasks.world.process import Crew

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from codexctl_tasks.console import Console
    from codexctl_tasks.images.backend import Backend
    from codexctl_tasks.images.catalogue import Build, External
    from codexctl_tasks.images.order import Ordered
    from codexctl_tasks.registry.interface import Registry
    from codexctl_tasks.world.clock import Clock

TIMEOUT_S = 3600.0
"""For one image."""
_MOST_JOBS = 4
_LOOKS = 16
"""Images that are looked at side by side; builds have a limit of their own."""


@dataclass(frozen=True, kw_only=True)
class BuildSettings:
    """How images are built."""

    console: Console
    clock: Clock
    logs: Path
    """Folder for what builders write."""
    now: datetime | None = None
    """What images say of when they were made; None: nothing."""
    only: tuple[str, ...] = ()
    """Names of the images to build, with what they need; empty: all."""
    failed: Collection[str] = ()
    """Names of images that could not be mirrored."""
    pending: Collection[str] = ()
    """Names of images that would be mirrored, in a dry run."""
    platform: str = ""
    """``linux/amd64``; empty: that of the builder."""
    jobs: int = 0
    """Most builders at the same time; 0: as many as the machine bears."""
    timeout_s: float = TIMEOUT_S
    """For one image, from the moment at which its builder is started."""
    force: bool = False
    """Build anew what is there already; of what only is needed by `only`, use what is there."""
    push: bool = True
    """False: what has to be built is built, to see whether it can be; no registry is changed."""
    dry_run: bool = False
    caches_layers: bool = True
    """Whether builders keep layers in the registry."""


def build_images(
    builds: Sequence[Build],
    externals: Sequence[External],
    registry: Registry,
    backend_of: Callable[[], Backend],
    settings: BuildSettings,
    *,
    announce: Callable[[BuildResult], None] = lambda _: None,
) -> list[BuildResult]:
    """
    Build images and return what became of each, in the order given.

    What fails stops only what needs it. An interruption ends all builders.

    Args:
        builds: All builds of the stack; `BuildSettings.only` chooses.
        externals: All images of the stack that are mirrored, before this.
        registry: All registries.
        backend_of: Looks for a builder; called at most once, when something has to be built.
        settings: How to build.
        announce: Called in this thread with each result as soon as it is there.

    Raises:
        UsageError: There is no build of a name that was chosen.
        ConfigurationError, CombinedError: Builds need each other, or push the same tag.
    """
    ordered = order_builds(builds, externals, platform=settings.platform)
    selected = select_builds(ordered, settings.only)
    teller = _Teller(settings.console)
    if also := [name for name in selected if settings.only and name not in settings.only]:
        teller.tell(f"{', '.join(also)}: looked at too, as what was chosen needs it")
    with Crew() as crew:
        run = _Run(
            selected, registry, Builders(backend_of, jobs_of(settings), crew), settings, teller
        )
        for result in run.results():
            teller.result(result)
            announce(result)
        return [run.made[name] for name in selected]


def jobs_of(settings: BuildSettings) -> int:
    """Return how many builders run at the same time."""
    return settings.jobs or max(1, min(_MOST_JOBS, (os.cpu_count() or 1) // 2))


class _Run:
    """All images of one run."""

    def __init__(
        self,
        selected: Mapping[str, Ordered],
        registry: Registry,
        builders: Builders,
        settings: BuildSettings,
        teller: _Teller,
    ) -> None:
        self.made: dict[str, BuildResult] = {}
        self._selected, self._settings = selected, settings
        self._digests = Digests(registry)
        self._making = Making(
            registry,
            builders,
            self._digests,
            Fingerprints(teller.warn, settings.platform),
            settings=settings,
            tell=teller.tell,
        )

    def results(self) -> Iterator[BuildResult]:
        """Make all images and yield each result."""
        made = {each.build.target for each in self._selected.values()}
        images = (image for each in self._selected.values() for image in each.images)
        self._digests.look_up(image for image in images if image.reference not in made)
        needs = {name: each.builds for name, each in self._selected.items()}
        for name, result in in_order(self._make, needs, limit=_LOOKS):
            self.made[name] = result
            if result.digest:
                self._digests.know(result.target, result.digest)
            yield result

    def _make(self, name: str) -> BuildResult:
        ordered = self._selected[name]
        if hindrance := hindrance_of(ordered, self.made, self._settings):
            done, note = hindrance
            target = ordered.build.target
            return BuildResult(name=name, target=target, done=done, note=note)
        return self._making.make(ordered)


class _Teller:
    """Tells what happens, from several threads."""

    def __init__(self, console: Console) -> None:
        self._console, self._lock = console, threading.Lock()

    def tell(self, text: str) -> None:
        with self._lock:
            self._console.step("build", text)

    def warn(self, text: str) -> None:
        with self._lock:
            self._console.warn(text)

    def result(self, result: BuildResult) -> None:
        if result.done is Done.UNCHANGED:  # the table at the end says so
            return
        with self._lock:
            self._console.step("build", _line(result))
            if result.tail:
                with self._console.group(f"the last lines of {result.log}"):
                    for line in result.tail:
                        self._console.output(line)


def _line(result: BuildResult) -> str:
    """Return a result in one line; why it failed is said at the end of the run."""
    parts = [f"{result.name} {result.done}", result.digest, f"{result.seconds:.1f} s", result.note]
    return ", ".join(part for part in parts if part)
