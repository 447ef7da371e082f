"""What became of images (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codexctl_tasks.errors import CodexctlError
    from codexctl_tasks.references import Reference
    from codexctl_tasks.registry.interface import Manifest


class Done(StrEnum):
    """What was done with an image."""

    UNCHANGED = "unchanged"
    RETAGGED = "retagged"
    """All of it was there already; only the tag was missing, or stood for something else."""
    COPIED = "copied"
    BUILT = "built"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Something that it needs failed."""
    WOULD_RETAG = "would retag"
    WOULD_COPY = "would copy"
    WOULD_BUILD = "would build"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageResult:
    """What became of one image."""

    name: str
    """Its key under ``images``."""
    target: Reference
    done: Done
    digest: str = ""
    """Of what the target stands for now, or would; empty: there is nothing, or nobody knows."""
    seconds: float = 0.0
    error: CodexctlError | None = None
    """Why it failed; its exit code is that of the run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MirrorResult(ImageResult):
    """What became of an external image."""

    source: Reference
    moved: int = 0
    """Bytes of blobs that went from registry to registry, or would."""
    mounted: int = 0
    """Bytes that the target's registry had in another repository."""
    present: int = 0
    """Bytes that were there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildResult(ImageResult):
    """What became of an image of the team's own."""

    size: int = 0
    """Of its layers, compressed, in bytes; 0 when it was not asked for."""
    note: str = ""
    """Why it was skipped, and other things worth a remark."""
    log: str = ""
    """Path of what the builder wrote; empty: none was started."""
    tail: tuple[str, ...] = field(default=(), repr=False)
    """The last lines of it, when it failed."""


def layers_size(manifest: Manifest) -> int:
    """Return how large the layers of an image are together; 0 of an index, which has none."""
    layers = manifest.content.get("layers", ())
    return sum(layer.get("size", 0) for layer in layers)
