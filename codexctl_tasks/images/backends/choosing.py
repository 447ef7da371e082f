"""Which builder is used: the first one that can work here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from codexctl_tasks.errors import UsageError, did_you_mean
from codexctl_tasks.images.backend import BuildError
from codexctl_tasks.images.backends.buildah import probe_buildah
from codexctl_tasks.images.backends.buildctl import probe_buildctl
from codexctl_tasks.images.backends.buildx import probe_buildx, probe_docker
from codexctl_tasks.images.backends.rootless import probe_rootless
from codexctl_tasks.images.backends.workshop import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from codexctl_tasks.images.backend import Backend
    from codexctl_tasks.images.backends.workshop import Workshop

    Probe = Callable[[Workshop], Backend]


def _refuse_cluster(_: Workshop) -> NoReturn:
    # A pod's BuildKit would have to be reached through a port that anybody in the cluster can
    # reach as well, or through `exec`, which our client does not speak.
    raise RefusedError("not supported yet: run BuildKit there, and name it in BUILDKIT_HOST")


BACKENDS: Mapping[str, Probe] = {
    "buildctl": probe_buildctl,
    "buildx": probe_buildx,
    "docker": probe_docker,
    "buildah": probe_buildah,
    "rootless": probe_rootless,
    "cluster": _refuse_cluster,
}
"""All that can be asked for by name, in the order in which they are tried."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A builder that cannot work here."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


@dataclass(frozen=True, slots=True)
class Choice:
    """The builder that is used."""

    backend: Backend
    refused: tuple[Refused, ...] = ()
    """Those that would have come before it."""


def choose_backend(
    workshop: Workshop, wanted: str = "", backends: Mapping[str, Probe] = BACKENDS
) -> Choice:
    """
    Return the first builder whose probe passes.

    Args:
        workshop: This machine.
        wanted: Name of the only one that will do; empty: any.
        backends: Probes by name, in the order in which they are tried.

    Raises:
        UsageError: There is no builder of that name.
        BuildError: None can work here; the reason of each is told.
    """
    refused: list[Refused] = []
    for name in named_backends(wanted, backends):
        found = probe_backend(name, workshop, backends)
        if not isinstance(found, Refused):
            return Choice(found, tuple(refused))
        refused.append(found)
    where = f"builder {wanted}" if wanted else "builders"
    what = "none can work here: " + "; ".join(map(str, refused))
    if wanted:
        what = f"cannot work here: {refused[0].reason}"
    raise BuildError(where, what, "`codexctl doctor` looks at all of them")


def named_backends(wanted: str, backends: Mapping[str, Probe] = BACKENDS) -> list[str]:
    """
    Return the names of all builders, or only the one that is wanted.

    Raises:
        UsageError: There is no builder of that name.
    """
    if not wanted:
        return list(backends)
    if wanted not in backends:
        fix = did_you_mean(wanted, backends, f"choose one of {', '.join(backends)}")
        raise UsageError("--backend", f"there is no builder {wanted!r}", fix)
    return [wanted]


def probe_backend(
    name: str, workshop: Workshop, backends: Mapping[str, Probe] = BACKENDS
) -> Backend | Refused:
    """Return a builder, or why it cannot work here; nothing that was started for this stays."""
    try:
        return backends[name](workshop)
    except (RefusedError, BuildError) as error:
        return Refused(name, str(error))
