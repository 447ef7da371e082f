"""In which order images are built (pure but for reading the Dockerfiles): who needs whom."""

from __future__ import annotations

import graphlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codexctl_tasks.errors import (
    CodexctlError,
    CombinedError,
    ConfigurationError,
    UsageError,
    did_you_mean,
)
from codexctl_tasks.images.fingerprint import images_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from codexctl_tasks.images.catalogue import Build, External
    from codexctl_tasks.images.dockerfile import Needed


@dataclass(frozen=True, kw_only=True, slots=True)
class Ordered:
    """A build with what comes before it."""

    build: Build
    images: tuple[Needed, ...] = ()
    """What it pulls, in the order of the Dockerfile."""
    builds: tuple[str, ...] = ()
    """Names of the builds that make some of it."""
    externals: tuple[str, ...] = ()
    """Names of the mirrored images among it."""
    mistake: CodexctlError | None = None
    """Why nobody knows what it needs."""


def order_builds(
    builds: Sequence[Build], externals: Iterable[External] = (), *, platform: str = ""
) -> dict[str, Ordered]:
    """
    Return all builds with what they need, by name, in the order given.

    Args:
        builds: All of a stack.
        externals: All images of the stack that are mirrored.
        platform: Which is built; empty: that of this machine.

    Raises:
        CombinedError: Two push the same tag.
        ConfigurationError: Some need each other.
    """
    _check_targets(builds)
    makers = {build.target: build.name for build in builds}
    mirrors = {external.target: external.name for external in externals}
    ordered: dict[str, Ordered] = {}
    for build in builds:
        try:
            images = images_of(build, platform)
        except CodexctlError as error:
            ordered[build.name] = Ordered(build=build, mistake=error)
            continue
        references = [image.reference for image in images]
        ordered[build.name] = Ordered(
            build=build,
            images=images,
            builds=tuple({makers[each]: None for each in references if each in makers}),
            externals=tuple({mirrors[each]: None for each in references if each in mirrors}),
        )
    _check_circles(ordered)
    return ordered


def select_builds(ordered: dict[str, Ordered], only: Collection[str]) -> dict[str, Ordered]:
    """
    Return the builds of these names and those that they need; no names: all.

    Raises:
        UsageError: There is no build of a name.
    """
    for name in only:
        if name not in ordered:
            fix = did_you_mean(name, ordered, "see the images of type build in services.yaml")
            raise UsageError(f"--only {name}", "no image of this name is built", fix)
    wanted: set[str] = set()
    waiting = list(only or ordered)
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += ordered[name].builds
    return {name: each for name, each in ordered.items() if name in wanted}


def _check_targets(builds: Sequence[Build]) -> None:
    problems: list[CodexctlError] = []
    first: dict[object, Build] = {}
    for build in builds:
        other = first.setdefault(build.target, build)
        if other is not build:
            what = f"images.{build.name} pushes {build.target}, and so does images.{other.name}"
            fix = f"give one of them another tag ({other.name}: {other.location})"
            problems.append(ConfigurationError(build.location, what, fix))
    if problems:
        raise CombinedError(problems)


def _check_circles(ordered: dict[str, Ordered]) -> None:
    try:
        graphlib.TopologicalSorter({name: each.builds for name, each in ordered.items()}).prepare()
    except graphlib.CycleError as error:
        names = list(reversed(error.args[1]))
        if len(names) == 2:  # noqa: PLR2004 - the same name twice
            what = f"images.{names[0]} is built from itself"
        else:
            places = (f"{name} ({ordered[name].build.location})" for name in names[1:])
            what = f"images are built from each other: {names[0]} needs {' needs '.join(places)}"
        first = ordered[names[0]].build.location
        raise ConfigurationError(first, what, "let one of them begin with another image") from None
