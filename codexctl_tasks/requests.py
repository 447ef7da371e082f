"""What the user asked for, as frozen objects; `settings` makes them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from codexctl_tasks.durations import duration_s

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

_SECRET_NAME = re.compile(
    r"(PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|CREDENTIALS?|KEY|(^|_)PASS|(^|_)PAT)$", re.IGNORECASE
)


def looks_secret(name: str) -> bool:
    """Tell whether the name of a variable says that its value is secret."""
    return _SECRET_NAME.search(name) is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Filters:
    """Which items of ``services.yaml`` take part; names are compared trimmed and in lower case."""

    only_services: frozenset[str] = frozenset()
    """Empty: all services."""
    skip_services: frozenset[str] = frozenset()
    only_infra: frozenset[str] = frozenset()
    """Empty: all infrastructure items."""
    skip_infra: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where the desired objects come from."""

    config: Path
    """The ``services.yaml``; not read when *manifests* are given."""
    env: str
    """Name of the environment; empty only with *manifests*."""
    slot: int
    """Slot number, 0 for none."""
    namespace: str
    """Overrides the namespace pattern; empty: use the pattern."""
    manifests: tuple[Path, ...]
    """Plain YAML files and folders to use instead of a ``services.yaml``."""
    filters: Filters
    variables: Mapping[str, str]
    """From ``--vars``."""
    var_file: Path | None
    """From ``--var-file``."""
    strict: bool
    """Whether unknown keys in ``services.yaml`` are errors."""
    pins: Path | None = None
    """File that says which digest each image has; None: tags are deployed."""
    now: datetime
    """The moment that templates call `Now`: one for the whole run."""
    environ: Mapping[str, str] = field(repr=False)
    """The process environment, for templates. Never printed: it holds secrets."""

    @property
    def secrets(self) -> Iterator[str]:
        """The values of variables whose names say that they are secret."""
        for name, value in (*self.environ.items(), *self.variables.items()):
            if self.hides(name):
                yield value

    def hides(self, name: str) -> bool:
        """Tell whether a variable of this name holds a secret."""
        return looks_secret(name)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterSettings:
    """How to reach the cluster."""

    kubeconfig: str
    """Path list as kubectl takes it; empty: the default places, then the pod's own account."""
    context: str
    """Empty: the current context."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeployDefaults:
    """What ``services.yaml`` says about a deploy; what is empty is not said."""

    kubeconfig: str = ""
    context: str = ""
    wait_timeout: str = ""
    """A duration."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportFiles:
    """Where a run writes what it has to tell, beside the console; None: not wanted."""

    junit: Path | None = None
    html: Path | None = None
    step_summary: Path | None = None
    """Of a step of GitHub Actions: Markdown is appended."""
    step_outputs: Path | None = None
    """Of a step of GitHub Actions: what later steps read is appended."""

    @property
    def wanted(self) -> bool:
        """Whether there is anything to write."""
        return any((self.junit, self.html, self.step_summary, self.step_outputs))


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterRequest:
    """What every flow needs to know that works on a cluster."""

    source: Source
    cluster: ClusterSettings
    chosen: frozenset[str]
    """Which of kubeconfig, context and wait-timeout were given by a flag or ``CODEXCTL_*``."""

    def with_defaults(self, defaults: DeployDefaults) -> Self:
        """Return the request with what ``services.yaml`` says, unless the user chose otherwise."""
        if self.chosen & {"kubeconfig", "context"}:
            return self
        return replace(
            self,
            cluster=ClusterSettings(
                kubeconfig=defaults.kubeconfig or self.cluster.kubeconfig,
                context=defaults.context or self.cluster.context,
            ),
        )


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
    """Everything `flows.slots.ensure_slot` needs to know."""

    branch: str
    """Empty: not known."""
    wait_s: float
    """How long to wait for a slot; 0: not at all."""
    lease_s: float
    """For how long the slot is this run's, unless that renews it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseRequest(SlotRequest):
    """Everything `flows.slots.release` needs to know."""

    force: bool
    """Give back what another run holds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotSetRequest(ReleaseRequest):
    """Everything `flows.slots.slot_set` needs to know."""

    changes: Mapping[str, str | int]
    """What was given, by the name of the record's field."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncRequest(ClusterRequest):
    """Everything `flows.workspace` needs to know."""

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
    """What `flows.cleanup` and `flows.gc` need to know alike."""

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
    """Everything `flows.cleanup` needs to know; one of the first four says what is meant."""

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
    """Everything `flows.gc` needs to know."""

    deletes: bool
    """False: only tell what would go."""
    ttl_s: float
    """A slot that was not used for so long goes although its Issue is open."""
    grace_s: float
    """How long a run whose lease ran out may take to come back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EnsureReadyRequest(SlotRequest):
    """Everything `flows.ready` needs to know; the slot's number is set in all parts of it."""

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
    """Everything `flows.slot_comment` needs to know; with neither number, what the run is about."""

    language: str
    """``en`` or ``ru``; empty: that of ``codex.promptLang``."""
    state: str
    """What the comment says; empty: what the record says."""
    ttl_s: float
    """A slot that was not used for so long may be taken down."""
