"""Builders of images, for stacks that build some."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codexctl_tasks.checks.finding import Finding, State, ok, skipped
from codexctl_tasks.images.backends.build_arguments import settings_among
from codexctl_tasks.images.backends.choosing import (
    BACKENDS,
    Refused,
    named_backends,
    probe_backend,
)
from codexctl_tasks.images.backends.workshop import Workshop
from codexctl_tasks.world.parallel import in_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from codexctl_tasks.checks.subject import Subject
    from codexctl_tasks.images.backend import Backend
    from codexctl_tasks.images.backends.choosing import Probe

_MARGIN_S = 0.5
"""Before the deadline of all checks, so that what has answered is told."""


def check_builders(subject: Subject, backends: Mapping[str, Probe] = BACKENDS) -> Iterator[Finding]:
    """
    Tell of each builder whether it can work here; the first that can is the one that is used.

    Raises:
        UsageError: The builder that is wanted is none.
    """
    images = subject.stack.images if subject.stack else {}
    built = [name for name, image in images.items() if image.type == "build"]
    if not built or subject.run is None:
        return
    names = named_backends(subject.build_backend, backends)
    environ = settings_among(subject.variables)
    workshop = Workshop(run=subject.run, clock=subject.clock, environ=environ)
    answers = _probe_all(names, workshop, backends, lambda: max(subject.left_s - _MARGIN_S, 0.0))
    usable = [name for name in names if not isinstance(answers[name], Refused)]
    for name in names:
        answer = answers[name]
        if isinstance(answer, Refused):
            yield skipped(name, f"refused: {answer.reason}")
        else:
            yield ok(name, "is used for builds" if name == usable[0] else "would do as well")
    if not usable:
        yield Finding(
            state=State.FAILED,
            where=f"images.{built[0]}",
            what="no builder can work here",
            fix="set BUILDKIT_HOST, start Docker, or install buildah",
        )


def _probe_all(
    names: list[str],
    workshop: Workshop,
    backends: Mapping[str, Probe],
    left_s: Callable[[], float],
) -> dict[str, Backend | Refused]:
    """Return what each builder answers; one that is late is refused."""
    late: dict[str, Backend | Refused] = {
        name: Refused(name, "no answer in time") for name in names
    }
    probed = in_parallel(
        lambda name: probe_backend(name, workshop, backends),
        names,
        limit=len(names),
        left_s=left_s,
    )
    return {**late, **dict(probed)}
