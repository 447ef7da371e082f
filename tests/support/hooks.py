"""Contexts for hooks, as a run makes them."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codexctl_tasks.hooks.contract import HookContext
from codexctl_tasks.stack.model import Stack
from tests.support.fakes import FakeClock, FakeCluster, fake_outside

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codexctl_tasks.hooks.contract import Hook
    from codexctl_tasks.stack.manifests import Manifest
    from codexctl_tasks.stack.steps import Step
    from codexctl_tasks.world.outside import Outside


@dataclass
class HookBench:
    """Runs one hook, and keeps what it said."""

    hook: Hook[Any]
    cluster: Any = field(default_factory=FakeCluster)
    clock: Any = field(default_factory=FakeClock)
    stack: Mapping[str, Any] = field(default_factory=dict)
    """What ``services.yaml`` holds, beside the project."""
    variables: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    """All steps of the run."""
    manifests: tuple[Manifest, ...] = ()
    """The desired objects."""
    folder: Path = Path("/project")
    env: str = "ai"
    slot: int = 3
    namespace: str = "shop-dev-3"
    timeout_s: float = 60.0
    outside: Outside | None = None
    """None: made of *cluster* and *clock*."""

    def __post_init__(self) -> None:
        self.stream = io.StringIO()
        if self.outside is None:
            self.outside = fake_outside(self.cluster, self.clock, self.stream)

    @property
    def said(self) -> str:
        """Everything that was told so far."""
        return self.stream.getvalue()

    def run(self, **given: Any) -> str:
        """Call the hook with these keys of ``with:`` and return what it told meanwhile."""
        before = len(self.said)
        self.hook(self.hook.parameters.model_validate(given), self.context())
        return self.said[before:]

    def context(self) -> HookContext:
        """Return what the hook is told."""
        assert self.outside is not None
        end_s = self.outside.clock.now() + self.timeout_s
        return HookContext(
            hook=self.hook.name,
            env=self.env,
            slot=self.slot,
            project="shop",
            namespace=self.namespace,
            folder=self.folder,
            stack=Stack.model_validate({"project": "shop", **self.stack}),
            variables=self.variables,
            manifests=self.manifests,
            steps=self.steps,
            outside=self.outside,
            connect=lambda: self.cluster,
            deadline_s=end_s if math.isfinite(self.timeout_s) else math.inf,
        )
