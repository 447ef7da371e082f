"""What became of the images that were to be built (pure)."""

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
    """It was there already, under another tag."""
    BUILT = "built"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Something that it needs failed."""
    WOULD_RETAG = "would retag"
    WOULD_BUILD = "would build"


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildResult:
    """What became of one image."""

    name: str
    """Its key under ``images``."""
    target: Reference
    done: Done
    digest: str = ""
    """Under which the registry has it; empty: it has not, or nobody knows."""
    size: int = 0
    """Of its layers, compressed, in bytes; 0 when it was not asked for."""
    seconds: float = 0.0
    error: CodexctlError | None = None
    """Why it failed; its exit code is that of the run."""
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
