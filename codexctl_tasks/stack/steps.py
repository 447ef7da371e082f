"""
The steps of hooks that take part in a run (pure), rendered, each with its place in the file.

Everything is rendered before the first step runs, so a mistake in the last one is found before
anything is applied.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from codexctl_tasks.durations import duration_s
from codexctl_tasks.errors import CodexctlError, CombinedError, Location
from codexctl_tasks.stack.items import taking_part, title_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from codexctl_tasks.stack.loading import LoadedStack
    from codexctl_tasks.stack.model import HookStep, ItemHooks, StackHooks
    from codexctl_tasks.stack.validation import KeyPath

STEP_TIMEOUT_S = 600.0
"""Of a step that says nothing else: as long as a deploy waits for its objects."""
_LEAVES_OUT = ("", "false", "0", "no")


class Point(StrEnum):
    """When steps run; the value is the key in the file, but for the last."""

    BEFORE_ALL = "beforeAll"
    AFTER_ALL = "afterAll"
    BEFORE_APPLY = "beforeApply"
    AFTER_APPLY = "afterApply"
    BEFORE_DESTROY = "beforeDestroy"
    AFTER_DESTROY = "afterDestroy"
    ALONE = "alone"
    """``codexctl hooks run``: whenever somebody asks for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step that is going to run."""

    point: Point
    item: str
    """What it belongs to, such as ``service web``; empty: the whole stack."""
    name: str
    location: Location
    timeout_s: float
    """Above 0."""
    continues_on_error: bool = False
    is_always: bool = False
    """Runs also after a failure."""
    script: str = field(default="", repr=False)
    """For bash; empty: *use* says what is done."""
    use: str = ""
    given: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What stands under ``with``; every scalar is a text."""
    locate: Callable[[KeyPath], Location] = field(repr=False, compare=False)
    """Finds the line of a key under ``with``."""

    def __str__(self) -> str:
        if self.point is Point.ALONE:
            return f"hook {self.name}"
        owner = f" of {self.item}" if self.item else ""
        return f"{self.point} step {self.name!r}{owner}"


def steps_of(loaded: LoadedStack) -> list[Step]:
    """
    Return all steps of the stack and of the items that take part, in the order of the file.

    Raises:
        CombinedError: Every template in them that cannot be rendered.
    """
    steps: list[Step] = []
    problems: list[CodexctlError] = []
    for hooks, owner, path in _holders(loaded):
        for point, declared, at in _declared(hooks, path):
            try:
                if _is_wanted(loaded, declared, at):
                    steps.append(_step(loaded, declared, at, point, owner))
            except CodexctlError as error:
                problems.extend(error.problems)
    if problems:
        raise CombinedError(problems)
    return steps


def doubtful_steps(loaded: LoadedStack) -> Iterator[str]:
    """Warn of steps that do nothing, or not what they say."""
    stack = loaded.stack
    holders: list[tuple[StackHooks | ItemHooks, KeyPath]] = [(stack.hooks, ("hooks",))]
    for key, items in (("infrastructure", stack.infrastructure), ("services", stack.services)):
        holders += [(item.hooks, (key, index, "hooks")) for index, item in enumerate(items)]
    for hooks, path in holders:
        for point, step, at in _declared(hooks, path):
            place = f"{loaded.document.location(at)}: {loaded.path(at)}"
            if bool(step.run.strip()) == bool(step.use.strip()):
                what = "has both run and use: run wins" if step.run.strip() else "does nothing"
                yield f"{place} {what}"
            if step.always and point is not Point.AFTER_ALL:
                yield f"{place} has always, which means something in afterAll only"


def _holders(loaded: LoadedStack) -> Iterator[tuple[StackHooks | ItemHooks, str, KeyPath]]:
    yield loaded.stack.hooks, "", ("hooks",)
    for item, path in taking_part(loaded):
        yield item.hooks, title_of(item), (*path, "hooks")


def _declared(
    hooks: StackHooks | ItemHooks, path: KeyPath
) -> Iterator[tuple[Point, HookStep, KeyPath]]:
    for name, info in type(hooks).model_fields.items():
        point = Point(info.alias or name)
        for index, step in enumerate(getattr(hooks, name)):
            yield point, step, (*path, point.value, index)


def _is_wanted(loaded: LoadedStack, step: HookStep, path: KeyPath) -> bool:
    """Tell whether `when` lets a step run; other than with items a blank one does not."""
    if not step.run.strip() and not step.use.strip():
        return False
    if "when" not in step.model_fields_set:
        return True
    return loaded.render_again(step.when, (*path, "when")).lower() not in _LEAVES_OUT


def _step(loaded: LoadedStack, step: HookStep, path: KeyPath, point: Point, owner: str) -> Step:
    script = loaded.render_again(step.run, (*path, "run"))
    return Step(
        point=point,
        item=owner,
        name=step.name.strip() or ("" if script else step.use.strip()) or f"{path[-1]}",
        location=loaded.document.location(path),
        timeout_s=duration_s(step.timeout) or STEP_TIMEOUT_S,
        continues_on_error=step.continue_on_error,
        is_always=step.always and point is Point.AFTER_ALL,
        script=script,
        use="" if script else step.use.strip(),
        given=step.parameters,
        locate=lambda inner: loaded.document.location((*path, "with", *inner)),
    )
