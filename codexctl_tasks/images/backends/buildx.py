"""Docker's client of BuildKit: for a Docker daemon, and for BuildKit at ``BUILDKIT_HOST``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codexctl_tasks.images.backends.build_arguments import hand_over
from codexctl_tasks.images.backends.buildctl import find_address
from codexctl_tasks.images.backends.buildkit import (
    EPOCH,
    cache_of,
    digest_in,
    named_contexts,
    output_of,
)
from codexctl_tasks.images.backends.workshop import RefusedError, Workshop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from codexctl_tasks.images.backend import BuildOrder

OLDEST_DAEMON = 23
"""Major version from which on named contexts work."""
_BUILDER = "codexctl"
_CONFIG = "BUILDX_CONFIG"
"""Where buildx remembers builders; ours are remembered in a folder that does not stay."""
_SNAPSHOTTER = "io.containerd.snapshotter.v1"
"""How a daemon says that it keeps images in containerd."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Buildx:
    """A `Backend`."""

    workshop: Workshop
    program: str
    """Path of ``docker``."""
    name: str = "docker"
    address: str = ""
    """Of a BuildKit; empty: the builder that Docker uses anyway."""
    exports_cache: bool = True
    """The daemon's own builder cannot, unless it keeps images in containerd."""
    rewrites_times: bool = True
    """The daemon's own builder cannot: files keep the times that they have here."""

    def build(self, order: BuildOrder, *, tell: Callable[[str], None], deadline_s: float) -> str:
        """See `Backend`."""
        bench = self.workshop.bench("docker buildx", order, tell, deadline_s)
        if order.cache and order.push and not self.exports_cache:
            tell("this Docker daemon cannot store layers in a registry: they are not kept there")
        with self.workshop.scratch() as folder:
            builder, environ = [], dict(EPOCH)
            if self.address:
                environ[_CONFIG] = str(folder)
                builder = ["--builder", _BUILDER]
                bench.work(_creation(self.program, self.address), environ)
            metadata = folder / "metadata.json"
            words, values = self._words(order, metadata)
            command = [self.program, "buildx", "build", *builder, *words]
            bench.work(command, {**environ, **values})
            return digest_in(metadata, order) if order.push else ""

    def _words(self, order: BuildOrder, metadata: Path) -> tuple[list[str], dict[str, str]]:
        """Return the arguments of ``buildx build``, and what its environment needs for them."""
        # With provenance or SBOM the same content would get another digest in each build, and
        # every image would become an index.
        words = ["--progress", "plain", "--provenance=false", "--sbom=false", "--pull"]
        words += ["--file", str(order.dockerfile)]
        if order.platform:
            words += ["--platform", order.platform]
        arguments, values = hand_over(order.arguments, self.workshop.environ)
        for argument in arguments:
            words += ["--build-arg", argument]
        for name, value in named_contexts(order):
            words += ["--build-context", f"{name}={value}"]
        for cache in cache_of(order, self.workshop, written=False):
            words += ["--cache-from", cache]
        for cache in cache_of(order, self.workshop, written=True) if self.exports_cache else ():
            words += ["--cache-to", cache]
        words += ["--output", self._output(order), "--metadata-file", str(metadata)]
        return [*words, str(order.context)], values

    def _output(self, order: BuildOrder) -> str:
        if not order.push:
            return "type=cacheonly"
        return output_of(order, self.workshop, rewrites_times=self.rewrites_times)


def probe_buildx(workshop: Workshop) -> Buildx:
    """
    Return Docker's client for the BuildKit that the environment names.

    Raises:
        RefusedError: None is named, there is no client, or BuildKit does not answer it.
    """
    address = find_address(workshop)
    program = _find(workshop)
    with workshop.scratch() as folder:
        config = {_CONFIG: str(folder)}
        workshop.ask(*_creation(program, address), **config)
        said = workshop.ask(program, "buildx", "inspect", "--bootstrap", _BUILDER, **config)
    if _field("Status", said) != "running":
        reason = _field("Error", said) or "does not answer"
        raise RefusedError(f"{address}: {reason}")
    return Buildx(workshop=workshop, program=program, name="buildx", address=address)


def probe_docker(workshop: Workshop) -> Buildx:
    """
    Return the client of a Docker daemon, with the builder that is chosen there.

    Raises:
        RefusedError: There is no daemon, it is too old, or buildx is missing.
    """
    program = _find(workshop)
    version = workshop.ask(program, "version", "--format", "{{.Server.Version}}")[-1:]
    major = re.match(r"\d+", version[0]) if version else None
    if major is None or int(major[0]) < OLDEST_DAEMON:
        shown = version[0] if version else "unknown"
        raise RefusedError(f"the daemon's version is {shown}: {OLDEST_DAEMON} or newer is needed")
    driver = _field("Driver", workshop.ask(program, "buildx", "inspect"))
    if driver != "docker":
        return Buildx(workshop=workshop, program=program)
    status = workshop.ask(program, "info", "--format", "{{json .DriverStatus}}")
    has_containerd = any(_SNAPSHOTTER in line for line in status)
    return Buildx(
        workshop=workshop, program=program, exports_cache=has_containerd, rewrites_times=False
    )


def _find(workshop: Workshop) -> str:
    program = workshop.find("docker")
    try:
        workshop.ask(program, "buildx", "version")
    except RefusedError as error:
        raise RefusedError("docker has no buildx: install that plugin") from error
    return program


def _creation(program: str, address: str) -> list[str]:
    return [program, *("buildx", "create", "--name", _BUILDER, "--driver", "remote"), address]


def _field(name: str, lines: list[str]) -> str:
    """Return the value of the first line ``NAME: VALUE``; empty: there is none."""
    found = (re.fullmatch(rf"{name}:\s*(.*?)\s*", line.strip()) for line in lines)
    return next((each[1] for each in found if each), "")
