"""Show what a deploy would do; nothing in the cluster is changed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from codexctl_tasks.apply import summary
from codexctl_tasks.apply.difference import Line, difference
from codexctl_tasks.apply.ownership import has_former_manager
from codexctl_tasks.apply.plan import Action
from codexctl_tasks.apply.sending import Change
from codexctl_tasks.errors import CHANGES_PLANNED, DONE, CombinedError
from codexctl_tasks.flows.agent.way import shown_proxy
from codexctl_tasks.flows.reporting import Reporter
from codexctl_tasks.flows.run import Run
from codexctl_tasks.reports.outputs import public_address
from codexctl_tasks.stack.steps import Point

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from codexctl_tasks.apply.plan import Step
    from codexctl_tasks.apply.preflight import Rehearsal
    from codexctl_tasks.apply.sending import Applied
    from codexctl_tasks.errors import CodexctlError
    from codexctl_tasks.requests.runs import DeployRequest
    from codexctl_tasks.stack.manifests import ObjectName
    from codexctl_tasks.world.outside import Outside

SCHEMA_VERSION = 1
"""Of the JSON document; see docs/output.md."""
_MARKS = {
    "create": "+",
    "change": "~",
    "adopt": "~",
    "replace": "~",
    "prune": "-",
}
_STEPS = (Point.BEFORE_ALL, Point.BEFORE_APPLY, Point.AFTER_APPLY, Point.AFTER_ALL)
_INDENT = "    "


def plan(request: DeployRequest, outside: Outside) -> int:
    """
    Print what `deploy.apply_and_wait` would change.

    Returns:
        0, or `CHANGES_PLANNED` when that was asked for and there is something to do.
    """
    # Its result is on stdout; beside that only the files of a step of GitHub Actions are written.
    files = replace(request.files, junit=None, html=None)
    with Reporter(replace(request, files=files), outside) as reporter:
        return _plan(request, outside, reporter)


def _plan(request: DeployRequest, outside: Outside, reporter: Reporter) -> int:
    with Run(request, outside) as run:
        reporter.name_stack(run.stack)
        reporter.name_place(run.namespace, public_address(run.desired.manifests))
        run.look_at_namespaces()
        run.compare()
        rehearsal, problems = run.rehearse(prunes=request.prunes, thoroughly=True)
        shown = _Shown(run, rehearsal, problems)
        if request.output == "json":
            outside.console.result_as_json(shown.as_json())
        else:
            outside.console.result(shown.lines())
        if problems:
            raise CombinedError(problems)
        reporter.tell_plan(shown.totals, (line for _, line in shown.lines()))
    return CHANGES_PLANNED if request.detailed_exitcode and shown.has_changes else DONE


class _Shown:
    """A plan as people and programs read it."""

    def __init__(self, run: Run, rehearsal: Rehearsal, problems: Sequence[CodexctlError]) -> None:
        self._run, self._problems = run, problems
        self._rehearsed = {applied.name: applied for applied in rehearsal.applied}
        self._steps = [(step, self._action(step)) for step in run.steps]
        prunes = run.request.prunes and run.plan.steps  # an empty set prunes nothing
        loaded = run.desired.loaded
        self._proxy: list[str] = []
        if loaded and loaded.source.slot and loaded.proxy_image():
            self._proxy = shown_proxy(loaded)
        self._pruned = {e.name for e in run.plan.leaving if not e.kept and prunes}

    @property
    def has_changes(self) -> bool:
        """Tell whether a deploy would do anything."""
        return bool(self._pruned) or any(action != "unchanged" for _, action in self._steps)

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield the lines to print, each with the sign that gives it its colour."""
        for step, action in self._steps:
            if action == "unchanged":
                continue
            mark, where = _MARKS[action], step.placed.manifest.location
            yield mark, f"{mark} {action:<8} {step.name}  {where}"
            for note in self._notes(step):
                yield "", f"{_INDENT}({note})"
            for line in self._difference(step):
                yield line.sign.value, f"{_INDENT}{line}"
        for each in self._run.plan.leaving:
            if each.name in self._pruned:
                yield "-", f"- prune    {each.name}"
            else:
                why = "pruning is switched off" if self._steps else "nothing is desired any more"
                kept = each.kept or why
                yield "", f"  keep     {each.name}  ({kept})"
        if steps := self._run.hooks.count(*_STEPS):
            yield "", f"  hooks    {steps} {'step' if steps == 1 else 'steps'} run beside that"
        if self._proxy:
            yield "", "model proxy, made by prompt-run for each run of an agent:"
            yield from (("", f"{_INDENT}{line}") for line in self._proxy)
        yield "", self.totals

    def as_json(self) -> dict[str, Any]:
        """Return the plan as data; docs/output.md describes it."""
        return {
            "version": SCHEMA_VERSION,
            "stack": self._run.stack,
            "namespace": self._run.namespace,
            "changes": self.has_changes,
            "objects": [
                {
                    **summary.identity_as_json(step.name),
                    "action": action,
                    "manifest": summary.place_as_json(step.placed.manifest),
                    "takesOver": [
                        {"field": c.field, "manager": c.manager} for c in self._taken(step.name)
                    ],
                    "warnings": list(self._warnings(step.name)),
                    "difference": [
                        {"sign": line.sign.value, "depth": line.depth, "text": line.text}
                        for line in self._difference(step)
                    ],
                }
                for step, action in self._steps
            ],
            "leaving": [
                {
                    **summary.identity_as_json(each.name),
                    "action": "prune" if each.name in self._pruned else "keep",
                    "kept": each.kept,
                }
                for each in self._run.plan.leaving
            ],
            "proxy": self._proxy,
            "problems": summary.problems_as_json(self._problems),
        }

    def _action(self, step: Step) -> str:
        rehearsed = self._rehearsed.get(step.name)
        if rehearsed and rehearsed.change in (Change.REPLACED, Change.UNCHANGED):
            return {Change.REPLACED: "replace", Change.UNCHANGED: "unchanged"}[rehearsed.change]
        return step.action.value

    def _difference(self, step: Step) -> Sequence[Line]:
        if step.action is Action.UNCHANGED:
            return ()
        rehearsed = self._rehearsed.get(step.name)
        if step.live is None or rehearsed is None:
            return difference(None, step.body)
        if rehearsed.change is Change.REPLACED:
            return difference(_as_far_as(step.body, step.live), step.body)
        return difference(step.live, rehearsed.found)

    def _notes(self, step: Step) -> Iterator[str]:
        for conflict in self._taken(step.name):
            yield f"takes over {conflict}"
        if step.live is not None and has_former_manager(step.live):
            yield "what an earlier tool applied and this manifest does not have is removed"
        if step.former_stack:
            yield f"takes it over from stack {step.former_stack}"
        yield from self._warnings(step.name)

    def _taken(self, name: ObjectName) -> Sequence[Any]:
        rehearsed: Applied | None = self._rehearsed.get(name)
        return rehearsed.taken if rehearsed else ()

    def _warnings(self, name: ObjectName) -> Sequence[str]:
        rehearsed = self._rehearsed.get(name)
        return rehearsed.warnings if rehearsed else ()

    @property
    def totals(self) -> str:
        """How many objects are concerned."""
        counts = {
            "to create": self._count("create"),
            "to change": self._count("change"),
            "to adopt": self._count("adopt"),
            "to replace": self._count("replace"),
            "to prune": len(self._pruned),
            "unchanged": self._count("unchanged"),
        }
        parts = [f"{count} {text}" for text, count in counts.items() if count]
        return ", ".join(parts) or "no objects"

    def _count(self, wanted: str) -> int:
        return sum(action == wanted for _, action in self._steps)


def _as_far_as(body: Any, live: Any) -> Any:
    """Return what *live* has of the fields of *body*; no dry run tells a new one's defaults."""
    if isinstance(body, dict) and isinstance(live, dict):
        return {key: _as_far_as(body[key], live[key]) for key in body if key in live}
    if isinstance(body, list) and isinstance(live, list) and len(body) == len(live):
        return [_as_far_as(*pair) for pair in zip(body, live, strict=True)]
    return live
