"""What is asked for of slots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from codexctl_tasks.requests.basis import ClusterRequest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from codexctl_tasks.requests.basis import ReportFiles
    from codexctl_tasks.requests.images import ImagesRequest
    from codexctl_tasks.requests.runs import DeployRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotRequest(ClusterRequest):
    """What every flow needs to know that works on slots; the number is that of *source*."""

    repo: str
    """``owner/name``; empty only where neither Issue nor PR is given."""
    issue: int
    """0: none."""
    pr: int
    """0: none."""
    holder: str
    """This run, the same for all its jobs and attempts."""
    output: str
    """``text`` or ``json``."""
    files: ReportFiles


@dataclass(frozen=True, kw_only=True, slots=True)
class EnsureSlotRequest(SlotRequest):
    """Everything `flows.slots.allocation.ensure_slot` needs to know."""

    branch: str
    """Empty: not known."""
    wait_s: float
    """How long to wait for a slot; 0: not at all."""
    lease_s: float
    """For how long the slot is this run's, unless that renews it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseRequest(SlotRequest):
    """Everything `flows.slots.allocation.release` needs to know."""

    force: bool
    """Give back what another run holds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotSetRequest(ReleaseRequest):
    """Everything `flows.slots.allocation.slot_set` needs to know."""

    changes: Mapping[str, str | int]
    """What was given, by the name of the record's field."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncRequest(ClusterRequest):
    """Everything `flows.slots.workspace` needs to know."""

    claim: str
    """Name of the PersistentVolumeClaim of the workspace."""
    path: str
    """Of the folder on it; empty: the name of the project."""
    folder: Path
    """On this machine."""
    image: str
    """For a pod made for the sync; empty: a pod of the stack, or its image."""
    overwrite: bool
    """Also what somebody has changed there since the last sync."""
    output: str
    """``text`` or ``json``."""
    files: ReportFiles


@dataclass(frozen=True, kw_only=True, slots=True)
class RemovalRequest:
    """What `flows.slots.cleanup` and `flows.slots.gc` need to know alike."""

    deploy: DeployRequest
    """The stack that has the slots; each removal sets its slot."""
    holder: str
    """This run, the same for all its jobs and attempts."""
    lease_s: float
    """A removal that dies keeps others from its slot for so long."""
    output: str
    """``text`` or ``json``."""
    step_outputs: Path | None
    """Of a step of GitHub Actions: what later steps read is appended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanupRequest(RemovalRequest):
    """Everything `flows.slots.cleanup` needs to know; one of the first four says what is meant."""

    slot: int
    """0: not by its number."""
    issue: int
    pr: int
    all: bool
    dry_run: bool
    only_closed: bool
    """Nothing is done for an Issue or a PR that GitHub says is open."""
    force: bool
    """Also what another run holds, and what has a damaged record."""
    deletes_branch: bool
    branch_prefix: str
    """What the branches of agents begin with; a number follows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GcRequest(RemovalRequest):
    """Everything `flows.slots.gc` needs to know."""

    deletes: bool
    """False: only tell what would go."""
    ttl_s: float
    """A slot that was not used for so long goes although its Issue is open."""
    grace_s: float
    """How long a run whose lease ran out may take to come back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EnsureReadyRequest(SlotRequest):
    """Everything `flows.slots.ready` needs to know; the slot's number is set in all parts of it."""

    deploy: DeployRequest
    sync: SyncRequest
    images: ImagesRequest
    which: str
    """Of the images: ``mirror``, ``build``, ``all`` or ``none``."""
    lease_s: float
    """For how long the slot is this run's after each renewal."""
    syncs: bool
    """Bring the sources into the workspace, if the stack has one."""
    force: bool
    """Deploy although nothing has changed."""
    allows_unhealthy: bool
    """An environment that does not get healthy is told of, and is no failure of this run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CommentRequest(SlotRequest):
    """Everything `flows.slots.comment` needs to know; no number: what the run is about."""

    language: str
    """``en`` or ``ru``; empty: that of ``codex.promptLang``."""
    state: str
    """What the comment says; empty: what the record says."""
    ttl_s: float
    """A slot that was not used for so long may be taken down."""
