"""What a build asks of a builder: the shape of the boundary."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from codexctl_tasks.errors import CodexctlError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from codexctl_tasks.references import Reference


CACHE_TAG = "buildcache"
"""Of a repository: layers of earlier builds, beside the image."""
CREATED = "org.opencontainers.image.created"
"""Annotation that says when an image was made."""


class BuildError(CodexctlError):
    """A builder failed, or there is none."""

    exit_code = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildOrder:
    """One image that has to be built."""

    name: str
    """Its key under ``images``; for messages."""
    dockerfile: Path
    """Absolute; it may lie outside of the context."""
    context: Path
    """Absolute."""
    ignore_file: Path | None = None
    """Whose rules hold: ``<Dockerfile>.dockerignore``, else ``.dockerignore``; None: neither."""
    contexts: Mapping[str, Path | Reference] = field(default_factory=dict)
    """Named contexts: folders, absolute, or images."""
    arguments: Mapping[str, str] = field(default_factory=dict, repr=False)
    """All build arguments; values never belong into a command line or a message."""
    target: Reference
    """The one tag to push; it must not exist before the image is complete."""
    platform: str = ""
    """``linux/amd64``; empty: the builder's own."""
    push: bool = True
    """False: the image is built and goes nowhere."""
    created: str = ""
    """When it was made (RFC 3339), noted beside the image, since all times in it are the epoch's;
    empty: not noted."""
    cache: Reference | None = None
    """Where layers of earlier builds are, and where those of this one go; None: nowhere."""


class Backend(Protocol):
    """
    A builder.

    Times in the image are those of the epoch's beginning, so that the same content becomes the
    same digest. Calls may be made from several threads; all that a call has started is ended
    when it returns or raises.
    """

    @property
    def name(self) -> str:
        """Name it, as the flag does that chooses it: ``buildah``."""
        ...

    def build(self, order: BuildOrder, *, tell: Callable[[str], None], deadline_s: float) -> str:
        """
        Build an image and push it.

        Args:
            order: What to build.
            tell: Called with every line that the builder writes.
            deadline_s: Moment of the clock at which everything is ended.

        Returns:
            The digest under which the registry has it; empty if it was not pushed.

        Raises:
            BuildError: It failed; ``tell`` has been told what the builder says of it.
            DeadlineError: Its time was over.
        """
        ...
