"""What is asked for of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from codexctl_tasks.requests.basis import ClusterSettings, ReportFiles, Source


@dataclass(frozen=True, kw_only=True, slots=True)
class GcImagesRequest:
    """Everything `flows.gc_images` needs to know."""

    source: Source
    """Its environment is looked at beside those that ``services.yaml`` names."""
    cluster: ClusterSettings
    """The current one."""
    contexts: tuple[str, ...]
    """Which clusters are asked; empty: the current one and those of all environments."""
    only: frozenset[str]
    """Names of entries of ``images``; empty: all."""
    newest: int
    """So many images of each repository stay."""
    protected: tuple[str, ...]
    """Patterns of tags that stay."""
    younger_s: float
    """What was made within so many seconds stays."""
    ignored_kinds: frozenset[str]
    """Kinds that are not read: ``plural.group``."""
    deletes: bool
    """False: only tell what would go."""
    output: str
    """``text`` or ``json``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImagesRequest:
    """Everything `flows.images` needs to know."""

    source: Source
    only: frozenset[str]
    """Names under ``images``; empty: all of them."""
    platform: str
    """``linux/amd64``; empty: all platforms when mirroring, the builder's own when building."""
    dry_run: bool
    """Say what would be done; nothing is written."""
    force: bool
    """Build although nothing has changed."""
    pushes: bool
    """False: what is built goes nowhere."""
    jobs: int
    """Builds at the same time; 0: as many as this machine is good for."""
    backend: str
    """Name of the builder; empty: the first that works here."""
    pin: Path | None
    """File to write digests to; None: not wanted."""
    logs: Path
    """Folder for the logs of builds."""
    build_timeout_s: float
    """For each build."""
    output: str
    """``text`` or ``json``."""
    files: ReportFiles
