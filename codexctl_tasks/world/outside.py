"""Everything a flow needs of the outside, in one object that tests replace part by part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from codexctl_tasks.world.clock import Clock, SystemClock
from codexctl_tasks.world.kubernetes import connect
from codexctl_tasks.world.process import RunProgram, run_program
from codexctl_tasks.world.watching import ClusterFeed, Feed, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from codexctl_tasks.console import Console
    from codexctl_tasks.requests.basis import ClusterSettings
    from codexctl_tasks.world.cluster import Cluster


class Connect(Protocol):
    """How a flow gets hold of the cluster."""

    def __call__(
        self, settings: ClusterSettings, clock: Clock, announce: Callable[[str], None]
    ) -> Cluster:
        """Return the cluster that *settings* describe."""
        ...


class Watch(Protocol):
    """How a flow starts to watch."""

    def __call__(
        self,
        cluster: Cluster,
        scopes: Sequence[Scope],
        clock: Clock,
        announce: Callable[[str], None],
    ) -> Feed:
        """Return a feed of these scopes."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Outside:
    """The outside of a flow."""

    console: Console
    clock: Clock
    connect: Connect
    watch: Watch
    run: RunProgram = run_program


def real_outside(console: Console) -> Outside:
    """Return the real cluster, the real time."""
    return Outside(console=console, clock=SystemClock(), connect=connect, watch=ClusterFeed)
