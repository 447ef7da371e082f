"""The hooks of a run: found in the stack, checked before anything is done, told what they need."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codexctl_tasks.console import SHORTEST_SECRET
from codexctl_tasks.hooks.registry import Registry
from codexctl_tasks.hooks.running import Hooks
from codexctl_tasks.hooks.setting import Setting
from codexctl_tasks.hooks.steps import prepare
from codexctl_tasks.stack.model import Stack
from codexctl_tasks.stack.steps import steps_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from codexctl_tasks.apply.stages import Wave
    from codexctl_tasks.console import Console
    from codexctl_tasks.hooks.steps import Prepared
    from codexctl_tasks.requests.basis import ClusterSettings, Source
    from codexctl_tasks.stack.desired import Desired
    from codexctl_tasks.stack.loading import LoadedStack
    from codexctl_tasks.stack.steps import Step
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.outside import Outside


def prepare_hooks(desired: Desired, console: Console) -> list[Prepared]:
    """
    Return the steps of a stack, checked; plain manifests have none.

    Raises:
        CombinedError: Everything that is wrong with them, with file and line.
    """
    if desired.loaded is None:
        return []
    registry = Registry()
    prepared = prepare(steps_of(desired.loaded), registry)
    if any(each.hook for each in prepared):
        for warning in registry.warnings:
            console.warn(warning)
    for warning in _secrets_in_scripts([each.step for each in prepared], desired.loaded):
        console.warn(warning)
    return prepared


def hooks_of(
    prepared: Sequence[Prepared],
    desired: Desired,
    settings: tuple[Source, ClusterSettings],
    outside: Outside,
    *,
    stack_name: str,
    connect: Callable[[], Cluster],
    check: Callable[[], None],
) -> Hooks:
    """
    Return the hooks of a run, ready to run.

    Args:
        prepared: Of `prepare_hooks`.
        desired: The environment.
        settings: Of the run: where it is from, which cluster it works on.
        outside: The outside.
        stack_name: Under which the objects are remembered; empty: that of ``services.yaml``.
        connect: Returns the cluster of the run.
        check: Called before each step; raises if the run must not go on.
    """
    source, cluster = settings
    setting = setting_of(source, cluster, desired, connect)
    steps = tuple(each.step for each in prepared)
    setting = replace(setting, stack_name=stack_name or setting.stack_name, steps=steps)
    return Hooks(prepared, setting, outside, check=check)


def setting_of(
    source: Source,
    cluster: ClusterSettings,
    desired: Desired | None,
    connect: Callable[[], Cluster],
) -> Setting:
    """Return what steps are told; without *desired* there is no stack."""
    loaded = desired.loaded if desired else None
    more: dict[str, Any] = {
        "folder": Path.cwd(),
        "stack": Stack.model_construct(project=""),
        "project": "",
        "variables": dict(source.environ) | dict(source.variables),
    }
    if loaded:
        more = {
            "folder": Path(loaded.context.project_root),
            "stack": loaded.stack,
            "project": loaded.context.project,
            "variables": {
                name: found.value for name, found in loaded.context.variables.env_map.items()
            },
        }
    return Setting(
        env=source.env,
        slot=source.slot,
        namespace=desired.namespace if desired else source.namespace,
        kubeconfig=cluster.kubeconfig,
        manifests=desired.manifests if desired else (),
        stack_name=desired.stack if desired else "",
        connect=connect,
        **more,
    )


def places_in_waves(
    waves: Sequence[Wave], items: Iterable[str]
) -> tuple[list[list[str]], list[list[str]]]:
    """
    Return which items begin with each wave, and which are complete after it.

    Args:
        waves: At least one.
        items: In the order of the file; one without objects begins with the first wave and is
            complete after the last.
    """
    begin: list[list[str]] = [[] for _ in waves]
    complete: list[list[str]] = [[] for _ in waves]
    for item in items:
        found = [
            number
            for number, wave in enumerate(waves)
            if any(placed.manifest.item == item for stage in wave for placed in stage)
        ]
        begin[found[0] if found else 0].append(item)
        complete[found[-1] if found else -1].append(item)
    return begin, complete


def as_json(hooks: Hooks) -> list[dict[str, Any]]:
    """Return how each step ended."""
    return [
        {
            "point": record.step.point.value,
            "item": record.step.item,
            "name": record.step.name,
            "outcome": record.outcome,
            "seconds": round(record.duration_s, 3),
            "error": record.error,
        }
        for record in hooks.records
    ]


def _secrets_in_scripts(steps: Iterable[Step], loaded: LoadedStack) -> Iterator[str]:
    """Warn of scripts that hold a secret: their own environment is the place for it."""
    secrets = {
        name: found.value
        for name, found in loaded.context.variables.env_map.items()
        if loaded.source.hides(name) and len(found.value.strip()) >= SHORTEST_SECRET
    }
    for step in steps:
        for name, value in secrets.items():
            if value in step.script:
                yield f'{step.location}: {step} holds the value of {name}: write "${name}" instead'
