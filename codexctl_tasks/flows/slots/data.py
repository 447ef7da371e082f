"""
The data directories of a slot on this machine: those that its hooks and ``dataPaths`` name.

What another slot would have as well is shared, and stays.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from codexctl_tasks.errors import DeadlineError
from codexctl_tasks.flows.hooking import setting_of
from codexctl_tasks.hooks.builtin.data_dirs import DataDirs, ensure_data_dirs
from codexctl_tasks.hooks.builtin.data_layout import Layout, find_layout
from codexctl_tasks.hooks.builtin.data_removal import Way, own_ways, remove_directories
from codexctl_tasks.hooks.registry import Registry
from codexctl_tasks.hooks.steps import prepare
from codexctl_tasks.stack.desired import Desired
from codexctl_tasks.stack.loading import load_stack
from codexctl_tasks.stack.steps import steps_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from codexctl_tasks.hooks.contract import HookContext
    from codexctl_tasks.requests.basis import ClusterSettings, Source
    from codexctl_tasks.stack.loading import LoadedStack
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.outside import Outside


class SlotData:
    """What a slot keeps on this machine."""

    def __init__(self, source: Source, settings: ClusterSettings, outside: Outside) -> None:
        """
        Find out where it is; nothing is touched.

        Raises:
            CodexctlError: ``services.yaml`` or a step of it cannot be used.
        """
        self._outside = outside
        self._layouts = _layouts(source, settings, outside)
        neighbour = replace(source, slot=source.slot + 1, namespace="") if self._layouts else None
        others = _layouts(neighbour, settings, outside) if neighbour else []
        self._others: dict[Path, list[Way]] = {}
        for layout in others:
            self._others.setdefault(layout.start, []).extend(layout.ways)

    @property
    def directories(self) -> list[Path]:
        """What `remove` would remove, as far as it is there."""
        paths = [
            layout.start.joinpath(*way)
            for layout in self._layouts
            for way in own_ways(layout, self._others.get(layout.start, ()))
        ]
        return [path for path in dict.fromkeys(paths) if path.is_dir()]

    def remove(self, deadline_s: float) -> None:
        """
        Remove the directories, and tell which; those that are gone are fine.

        Raises:
            HookError: Something cannot be removed.
            DeadlineError: The clock has come to *deadline_s*.
        """
        console, clock = self._outside.console, self._outside.clock

        def check_time() -> None:
            if clock.now() >= deadline_s:
                what = "the time ran out while data directories were emptied"
                raise DeadlineError(
                    "cleanup", what, "allow more with --wait-timeout, and repeat it"
                )

        for layout in self._layouts:
            root = layout.start / layout.ways[0][0]
            if not root.is_dir():
                console.warn(f"{root} is not on this machine: data directories in it are left")
                continue
            others = self._others.get(layout.start, ())
            for path, is_gone in remove_directories(layout, others, check_time):
                console.step("cleanup", f"{'removed' if is_gone else 'emptied'} {path}")


def _layouts(source: Source, settings: ClusterSettings, outside: Outside) -> list[Layout]:
    loaded = load_stack(source)
    outside.console.hide(loaded.secrets)
    context = _context(loaded, settings, outside)
    return [
        find_layout(context, given.root, given.env_dir, given.dirs)
        for given in _given(loaded, context)
    ]


def _given(loaded: LoadedStack, context: HookContext) -> Sequence[DataDirs]:
    """Return the parameters of each step, or of none where `dataPaths` says everything."""
    found = [
        each.given
        for each in prepare(steps_of(loaded), Registry())
        if each.hook is not None and each.hook.name == ensure_data_dirs.name
    ]
    steps = [given for given in found if isinstance(given, DataDirs)]
    paths = loaded.stack.data_paths
    root = paths.root or context.variables.get("DATA_ROOT", "")
    if steps or not root or not (paths.dirs or paths.paths):
        return steps
    return [DataDirs()]


def _context(loaded: LoadedStack, settings: ClusterSettings, outside: Outside) -> HookContext:
    def connect() -> Cluster:
        return outside.connect(settings, outside.clock, outside.console.retrying)

    desired = Desired(
        origin=loaded.file, namespace=loaded.context.namespace, manifests=(), loaded=loaded
    )
    setting = setting_of(loaded.source, settings, desired, connect)
    return setting.context(ensure_data_dirs.name, outside, connect, math.inf)
