"""BuildKit at ``BUILDKIT_HOST``, asked by its own client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from codexctl_tasks.images.backends.buildkit import (
    EPOCH,
    cache_of,
    digest_in,
    named_contexts,
    output_of,
)
from codexctl_tasks.images.backends.workshop import RefusedError, Workshop
from codexctl_tasks.images.catalogue import IMAGE_SCHEME
from codexctl_tasks.requests.basis import looks_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from codexctl_tasks.images.backend import BuildOrder

HOST = "BUILDKIT_HOST"
"""The variable that says where BuildKit listens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Buildctl:
    """A `Backend`."""

    workshop: Workshop
    program: str
    address: str
    name: str = "buildctl"

    def build(self, order: BuildOrder, *, tell: Callable[[str], None], deadline_s: float) -> str:
        """See `Backend`."""
        bench = self.workshop.bench("buildctl", order, tell, deadline_s)
        warn_of_arguments(order, tell)
        with self.workshop.scratch() as folder:
            metadata = folder / "metadata.json"
            words = build_words(order, self.workshop, metadata)
            bench.work([self.program, "--addr", self.address, *words], EPOCH)
            return digest_in(metadata, order) if order.push else ""


def probe_buildctl(workshop: Workshop) -> Buildctl:
    """
    Return a client of the BuildKit that the environment names.

    Raises:
        RefusedError: None is named, there is no client, or BuildKit does not answer it.
    """
    address = find_address(workshop)
    program = workshop.find("buildctl")
    workshop.ask(program, "--addr", address, "--timeout", "4", "debug", "workers")
    return Buildctl(workshop=workshop, program=program, address=address)


def find_address(workshop: Workshop) -> str:
    """
    Return where BuildKit listens.

    Raises:
        RefusedError: The environment does not say.
    """
    address = workshop.environ.get(HOST, "").strip()
    if not address:
        raise RefusedError(f"{HOST} is not set")
    return address


def build_words(order: BuildOrder, workshop: Workshop, metadata: Path) -> list[str]:
    """Return the arguments of buildctl; *metadata*: the file in which it leaves the digest."""
    words = ["build", "--progress", "plain", "--frontend", "dockerfile.v0"]
    words += ["--local", f"context={order.context}"]
    words += ["--local", f"dockerfile={order.dockerfile.parent}"]
    words += ["--opt", f"filename={order.dockerfile.name}"]
    if order.platform:
        words += ["--opt", f"platform={order.platform}"]
    for name, value in sorted(order.arguments.items()):
        words += ["--opt", f"build-arg:{name}={value}"]
    words += _contexts(order)
    for cache in cache_of(order, workshop, written=False):
        words += ["--import-cache", cache]
    for cache in cache_of(order, workshop, written=True):
        words += ["--export-cache", cache]
    if order.push:
        words += ["--output", output_of(order, workshop), "--metadata-file", str(metadata)]
    return words


def warn_of_arguments(order: BuildOrder, tell: Callable[[str], None]) -> None:
    """Tell which secrets stand in a command line: buildctl takes arguments from nowhere else."""
    if names := [name for name in sorted(order.arguments) if looks_secret(name)]:
        tell(f"warning: others on this machine can see the build arguments {', '.join(names)}")


def _contexts(order: BuildOrder) -> Iterator[str]:
    for number, (name, value) in enumerate(named_contexts(order)):
        if value.startswith(IMAGE_SCHEME):
            yield from ("--opt", f"context:{name}={value}")
        else:
            yield from ("--local", f"named-{number}={value}")
            yield from ("--opt", f"context:{name}=local:named-{number}")
