"""Delete what a stack has applied, last applied first, until it is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codexctl_tasks.apply import summary
from codexctl_tasks.apply.bodies import STACK_LABEL
from codexctl_tasks.apply.deleting import Doomed, Left, delete_all
from codexctl_tasks.apply.live import address_of, read_live
from codexctl_tasks.apply.placement import identity_of
from codexctl_tasks.apply.plan import KEEP_ANNOTATION, is_to_be_kept, why_foreign
from codexctl_tasks.apply.stages import in_deletion_order, stage_number
from codexctl_tasks.errors import DONE, TIMED_OUT, CodexctlError, Interrupted
from codexctl_tasks.flows.hooking import as_json as hooks_as_json
from codexctl_tasks.flows.run import Run
from codexctl_tasks.stack.steps import Point

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from codexctl_tasks.apply.live import Live
    from codexctl_tasks.apply.placement import Placed
    from codexctl_tasks.requests.runs import DeployRequest
    from codexctl_tasks.stack.manifests import ObjectName
    from codexctl_tasks.world.cluster import Resource
    from codexctl_tasks.world.outside import Outside

SCHEMA_VERSION = 1
"""Of the JSON document; see docs/output.md."""


def destroy(request: DeployRequest, outside: Outside) -> int:
    """
    Delete the desired objects and those that the inventory remembers.

    Of a stack that has an inventory only what it has applied goes; the namespace stays.
    """
    with Run(request, outside) as run:
        run.check_tenancy()
        run.take_turn_in_existing_namespace()
        run.read_inventory()
        destruction = _Destruction(run)
        try:
            destruction.run_hooks(Point.BEFORE_ALL)
            destruction.run_hooks(Point.BEFORE_DESTROY, run.hooks.items)
            left = destruction.delete()
            if left:
                run.hooks.finish("timed out")
            else:
                destruction.run_hooks(Point.AFTER_DESTROY, run.hooks.items)
                destruction.run_hooks(Point.AFTER_ALL)
        except Interrupted:
            run.hooks.finish("interrupted")
            raise
        except CodexctlError as error:
            run.hooks.finish("failed")
            destruction.report(problems=error.problems)
            raise
        if not left and run.inventory and not run.desired.is_partial:
            run.inventory.forget()
        destruction.report(left)
    return TIMED_OUT if left else DONE


class _Destruction:
    """What goes, what stays and why."""

    def __init__(self, run: Run) -> None:
        self._run, self._console = run, run.console
        self._gone: list[ObjectName] = []
        self._kept: dict[ObjectName, str] = {}
        self._remembered = run.inventory.names if run.inventory else frozenset()

    def run_hooks(self, point: Point, items: Sequence[str] = ("",)) -> None:
        """Run the steps of a point; their time is not that of the deletion."""
        begun_s = self._run.clock.now()
        try:
            for item in items:
                self._run.hooks.run(point, item)
        finally:
            self._run.extend_time(self._run.clock.now() - begun_s)

    def delete(self) -> list[Left]:
        """Delete everything that is the stack's; return what still exists when the time is over."""
        run = self._run
        forgotten = dict(self._forgotten())
        live = read_live(
            [
                *(address_of(p.name, p.resource) for p in run.objects),
                *(address_of(name, resource) for name, resource in forgotten.items()),
            ],
            run.cluster,
        )
        stages = self._stages_of_forgotten(forgotten, live)
        stages += [
            [d for placed in stage if (d := self._doomed_placed(placed, live))]
            for stage in in_deletion_order(run.objects)
        ]
        for name, why in self._kept.items():
            self._console.step("destroy", f"kept {name}: {why}")
        return delete_all(
            self._announced(stage for stage in stages if stage),
            run.cluster,
            run.clock,
            deadline_s=run.deadline_s,
            tell=self._note,
            check=self._run.check_turn,
        )

    def _announced(self, stages: Iterable[list[Doomed]]) -> Iterator[list[Doomed]]:
        """Yield the stages; before that with the run's own namespace its lease gets to know."""
        for stage in stages:
            if self._run.lease and any(self._is_own_namespace(doomed) for doomed in stage):
                self._run.lease.expect_end()
            yield stage

    def _is_own_namespace(self, doomed: Doomed) -> bool:
        return (doomed.name.kind, doomed.name.name) == ("Namespace", self._run.namespace)

    def report(self, left: Sequence[Left] = (), problems: Sequence[CodexctlError] = ()) -> None:
        """Tell what could not be deleted in time, and print everything as JSON if asked for."""
        for each in left:
            line = f"still there: {each.doomed.name}: {each.blocker}"
            self._console.step("destroy", line)
        if not self._gone and not left and not problems:
            self._console.step("destroy", "nothing to delete")
        if self._run.request.output == "json":
            self._console.result_as_json(self._as_json(left, problems))

    def _forgotten(self) -> Iterator[tuple[ObjectName, Resource]]:
        """Yield what was applied once and is desired no more."""
        if self._run.desired.is_partial:
            return
        desired = {identity_of(placed.name) for placed in self._run.objects}
        resources = self._run.cluster.resources()
        for name in sorted(self._remembered):
            resource = resources.get((name.api_version, name.kind))
            if resource is not None and identity_of(name) not in desired:
                yield name, resource

    def _stages_of_forgotten(
        self, forgotten: Mapping[ObjectName, Resource], live: Live
    ) -> list[list[Doomed]]:
        stages: dict[int, list[Doomed]] = {}
        for name, resource in forgotten.items():
            if doomed := self._doomed(name, resource, str(name), live):
                stages.setdefault(stage_number(name.kind), []).append(doomed)
        return [stages[number] for number in sorted(stages, reverse=True)]

    def _doomed_placed(self, placed: Placed, live: Live) -> Doomed | None:
        return self._doomed(placed.name, placed.resource, placed.manifest.location, live)

    def _doomed(
        self, name: ObjectName, resource: Resource, where: Any, live: Live
    ) -> Doomed | None:
        """Return the object if it exists and is the stack's; note why it is kept otherwise."""
        found = live.find(address_of(name, resource))
        if found is None:
            return None
        why = self._why_kept(found)
        if name.kind == "Namespace" and any(kept.namespace == name.name for kept in self._kept):
            why = "objects in it are kept"  # they would go together with it
        if why:
            self._kept[name] = why
            return None
        uid = str(found["metadata"]["uid"])
        return Doomed(name=name, resource=resource, uid=uid, where=where)

    def _why_kept(self, found: Mapping[str, Any]) -> str:
        if is_to_be_kept(found):
            return f"its annotation {KEEP_ANNOTATION} says so"
        if not self._run.inventory or not self._remembered:
            # Deployed without a name, or before names were remembered: the manifests say what goes.
            owner = str((found["metadata"].get("labels") or {}).get(STACK_LABEL) or "")
            own = self._run.inventory.label if self._run.inventory else ""
            return f"it belongs to stack {owner}" if owner and owner != own else ""
        return why_foreign(found, self._run.inventory.label)

    def _note(self, doomed: Doomed) -> None:
        self._gone.append(doomed.name)
        if self._is_own_namespace(doomed):
            self._run.is_namespace_gone = True
        self._console.step("destroy", f"deleted {doomed.name}")

    def _as_json(self, left: Sequence[Left], problems: Sequence[CodexctlError]) -> dict[str, Any]:
        return {
            "version": SCHEMA_VERSION,
            "stack": self._run.stack,
            "namespace": self._run.namespace,
            "hooks": hooks_as_json(self._run.hooks),
            "deleted": [summary.identity_as_json(name) for name in self._gone],
            "kept": [
                {**summary.identity_as_json(name), "why": why} for name, why in self._kept.items()
            ],
            "left": [
                {**summary.identity_as_json(each.doomed.name), "blocker": each.blocker}
                for each in left
            ],
            "problems": summary.problems_as_json(problems),
        }
