"""What all steps of a run are told: scripts in their environment, hooks in their context."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from codexctl_tasks.hooks.contract import HookContext, Surroundings

if TYPE_CHECKING:
    from collections.abc import Callable

    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.outside import Outside


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting(Surroundings):
    """The surroundings of a run, and what scripts and hooks need beside them."""

    kubeconfig: str = ""
    """Path that the run uses; empty: what the programs themselves find."""
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
        told = {each.name: getattr(self, each.name) for each in fields(Surroundings)}
        return HookContext(
            hook=hook, outside=outside, connect=connect, deadline_s=deadline_s, **told
        )
