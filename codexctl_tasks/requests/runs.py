"""What is asked for of the environments of a stack."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from codexctl_tasks.durations import duration_s
from codexctl_tasks.requests.basis import ClusterRequest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from codexctl_tasks.requests.basis import DeployDefaults, ReportFiles, Source
    from codexctl_tasks.requests.images import ImagesRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class DeployRequest(ClusterRequest):
    """Everything `flows.deploy` needs to know."""

    wait_timeout_s: float
    """For all workloads together, in seconds; more than 0."""
    force_conflicts: bool
    """Take over fields that another field manager owns."""
    runs_hooks: bool
    """Run the hooks of ``services.yaml``."""
    stack: str
    """Name under which applied objects are remembered; empty: that of ``services.yaml``."""
    prunes: bool
    """Delete what left the stack, after a successful wait."""
    prune_protected: bool
    """PersistentVolumeClaims, Namespaces and CustomResourceDefinitions as well."""
    detailed_exitcode: bool
    """`plan`: end with `CHANGES_PLANNED` when something would change."""
    output: str
    """``text`` or ``json``."""
    files: ReportFiles
    holder: str
    """Tells other people which run this is."""
    repository: str = ""
    """``owner/name`` of the repository that a slot is for; empty: unknown."""

    def with_defaults(self, defaults: DeployDefaults) -> Self:
        """Return the request with what ``services.yaml`` says, unless the user chose otherwise."""
        request = ClusterRequest.with_defaults(self, defaults)
        if "wait-timeout" in self.chosen:
            return request
        wait_timeout_s = duration_s(defaults.wait_timeout) or self.wait_timeout_s
        return replace(request, wait_timeout_s=wait_timeout_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExplainRequest(ClusterRequest):
    """Everything `flows.explain` needs to know."""

    object: str
    """``KIND/NAME``; empty: everything in the namespace."""
    output: str
    """``text`` or ``json``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HooksRequest(ClusterRequest):
    """Everything `flows.hooks` needs to know."""

    show: str
    """Name of the hook to describe; empty: all."""
    run: str
    """Name of the hook to run; empty: none."""
    given: Mapping[str, str] = field(repr=False)
    """Its parameters, as YAML."""
    timeout_s: float
    output: str
    """``text`` or ``json``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DoctorRequest(ClusterRequest):
    """Everything `flows.doctor` needs to know."""

    backend: str
    """Name of the builder that is going to be used; empty: the first that works here."""
    stack: str
    """Name under which applied objects are remembered; empty: that of ``services.yaml``."""
    output: str
    """``text`` or ``json``."""
    builds: bool = True
    """False: images are built elsewhere, and no builder has to be here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CiRequest:
    """Everything `flows.ci` needs to know; a step of a workflow uses a part, but all is checked."""

    doctor: DoctorRequest
    images: ImagesRequest
    which: str
    """Of the images: ``mirror``, ``build``, ``all`` or ``none``."""
    deploy: DeployRequest
    dry_run: bool
    """Say what would be done; nothing is changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderRequest:
    """What `flows.render` needs to know to print manifests."""

    source: Source
    output_dir: Path | None
    """Folder to write files to; None: print to stdout."""
    show_values: bool
    """Print what templates can refer to, instead of manifests."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateRequest:
    """One template to render alone."""

    file: Path
    data: Path | None
    """JSON file; None: no names at all."""
    dialect: str
    """``go``, ``jinja``, or empty: recognised."""
