"""What all steps of a run are told: scripts in their environment, hooks in their context."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from codexctl_tasks.hooks.contract import HookContext

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from codexctl_tasks.stack.manifests import Manifest
    from codexctl_tasks.stack.model import Stack
    from codexctl_tasks.stack.steps import Step
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.outside import Outside


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What all steps of a run are told."""

    env: str
    slot: int
    project: str
    namespace: str
    folder: Path
    """That of ``services.yaml``, absolute."""
    stack: Stack
    variables: Mapping[str, str] = field(repr=False)
    kubeconfig: str = ""
    """Path that the run uses; empty: what the programs themselves find."""
    manifests: tuple[Manifest, ...] = field(default=(), repr=False)
    stack_name: str = ""
    """Under which the objects are remembered; empty: they are not."""
    steps: tuple[Step, ...] = field(default=(), repr=False)
    """All steps of the run."""
    connect: Callable[[], Cluster] = field(repr=False)

    @property
    def environ(self) -> dict[str, str]:
        """The environment of scripts: all variables, and what a script asks for first."""
        own = {
            "CODEXCTL_ENV": self.env,
            "CODEXCTL_SLOT": str(self.slot) if self.slot else "",
            "CODEXCTL_NAMESPACE": self.namespace,
            "CODEXCTL_PROJECT": self.project,
            "CODEXCTL_PROJECT_ROOT": str(self.folder),
            "KUBECONFIG": self.kubeconfig,
        }
        return {**self.variables, **{name: value for name, value in own.items() if value}}

    def context(
        self,
        hook: str,
        outside: Outside,
        connect: Callable[[], Cluster],
        deadline_s: float,
    ) -> HookContext:
        """Return what a hook is told that has until *deadline_s* of the clock."""
        return HookContext(
            hook=hook,
            env=self.env,
            slot=self.slot,
            project=self.project,
            namespace=self.namespace,
            folder=self.folder,
            stack=self.stack,
            variables=self.variables,
            manifests=self.manifests,
            stack_name=self.stack_name,
            steps=self.steps,
            outside=outside,
            connect=connect,
            deadline_s=deadline_s,
        )
