"""What the checks look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from codexctl_tasks.stack.manifests import Manifest
    from codexctl_tasks.stack.model import Stack
    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.process import RunProgram


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """One environment, as far as it is known, and the machine from which it is worked on."""

    folder: Path
    """That of ``services.yaml``, or the current one."""
    variables: Mapping[str, str] = field(repr=False)
    """As the scripts of the stack see them; they hold secrets."""
    connect: Callable[[], Cluster] = field(repr=False)
    """Returns the cluster; the same one each time."""
    clock: Clock
    deadline_s: float
    """Moment of the clock at which whatever has not answered is given up."""
    env: str = ""
    """Name of the environment; empty: none."""
    stack: Stack | None = None
    """None: no ``services.yaml`` is concerned."""
    stack_name: str = ""
    """Under which the objects are remembered; empty: they are not."""
    origin: str = "services.yaml"
    """Where the namespace is declared, for messages."""
    namespace: str = ""
    """Empty: that of the kubeconfig's context."""
    manifests: tuple[Manifest, ...] = field(default=(), repr=False)
    """The desired objects."""
    scripts: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Those of all steps that run, by their places."""
    run: RunProgram | None = None
    """Runs a program; None: none is run."""
    programs: tuple[str, ...] = ()
    """Programs that must be there, besides those that the stack needs."""
    build_backend: str = ""
    """Name of the only builder of images that will do; empty: any."""
    disk_free_bytes: int | None = None
    """How much must be free; None: little is a warning only."""
    disk_paths: tuple[str, ...] = ()
    """Relative to *folder*; empty: the usual ones."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    """This machine's time of day."""

    @property
    def left_s(self) -> float:
        """Seconds until the deadline; at least 0."""
        return max(self.deadline_s - self.clock.now(), 0.0)
