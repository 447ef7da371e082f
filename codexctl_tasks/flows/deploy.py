"""
Deploy one environment: apply in waves, wait, report.

Each public function is one task; it returns the exit code that the shell shall see.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Self

from codexctl_tasks.errors import (
    DONE,
    TIMED_OUT,
    WORKLOAD_FAILED,
    ClusterError,
    CodexctlError,
    Interrupted,
)
from codexctl_tasks.flows.environment import load_applicable
from codexctl_tasks.rollout import report
from codexctl_tasks.rollout.apply import Applied, Change, apply_stage, await_definitions
from codexctl_tasks.rollout.delete import delete_all
from codexctl_tasks.rollout.placement import Placed, place
from codexctl_tasks.rollout.stages import Wave, in_deletion_order, in_waves
from codexctl_tasks.rollout.target import is_workload, scopes_for, target_of
from codexctl_tasks.rollout.view import View
from codexctl_tasks.rollout.wait import Outcome, Result, Wait
from codexctl_tasks.stack.manifests import namespace_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codexctl_tasks.settings import DeployRequest
    from codexctl_tasks.stack.desired import Desired
    from codexctl_tasks.stack.manifests import Manifest
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.outside import Outside


def apply(request: DeployRequest, outside: Outside) -> int:
    """Apply an environment; waits between waves, not after the last one."""
    return _deploy(request, outside, wait_for_last_wave=False)


def apply_and_wait(request: DeployRequest, outside: Outside) -> int:
    """Apply an environment and wait until all of it is healthy."""
    return _deploy(request, outside, wait_for_last_wave=True)


def wait(request: DeployRequest, outside: Outside) -> int:
    """Wait for what is in the cluster already; nothing is applied."""
    desired = load_applicable(request.source, outside.console)
    request = request.with_defaults(desired.defaults)
    cluster = outside.connect(request.cluster, outside.clock, outside.console.retrying)
    objects = [o for o in place(desired.manifests, cluster) if is_workload(o.name)]
    with _Rollout(objects, cluster, request, outside) as rollout:
        try:
            rollout.find(objects)
            rollout.wait()
        except Interrupted as interrupted:
            return rollout.report(interrupted.exit_code)
        return rollout.report()


def destroy(request: DeployRequest, outside: Outside) -> int:
    """Delete the objects of an environment, last applied first, until they are gone."""
    desired = load_applicable(request.source, outside.console)
    request = request.with_defaults(desired.defaults)
    console = outside.console
    cluster = outside.connect(request.cluster, outside.clock, console.retrying)
    stages = in_deletion_order(place(desired.manifests, cluster))
    left = delete_all(
        stages,
        cluster,
        outside.clock,
        timeout_s=request.wait_timeout_s,
        tell=lambda placed: console.step("destroy", f"deleted {placed.name}"),
    )
    for placed in left:
        console.step("destroy", f"still there: {placed.name}: a finalizer holds it")
    return TIMED_OUT if left else DONE


def _deploy(request: DeployRequest, outside: Outside, *, wait_for_last_wave: bool) -> int:
    """Deploy one environment: the order below is the whole story."""
    desired = load_applicable(request.source, outside.console)
    request = request.with_defaults(desired.defaults)
    cluster = outside.connect(request.cluster, outside.clock, outside.console.retrying)
    objects = place(desired.manifests, cluster)
    waves = in_waves(objects)
    with _Rollout(objects, cluster, request, outside) as rollout:
        try:
            rollout.ensure_namespace(desired)
            for number, wave in enumerate(waves):
                rollout.apply(wave)
                last = number == len(waves) - 1
                if (wait_for_last_wave or not last) and not rollout.wait():
                    rollout.skip(waves[number + 1 :])
                    break
        except Interrupted as interrupted:
            return rollout.report(interrupted.exit_code)
        except CodexctlError as error:
            if rollout.has_waited:  # what became of the waves before is worth knowing
                rollout.report(error.exit_code)
            raise
        return rollout.report() if wait_for_last_wave or rollout.skipped else DONE


class _Rollout:
    """One run: what was applied, what is waited for, what became of it."""

    def __init__(
        self,
        objects: Sequence[Placed],
        cluster: Cluster,
        request: DeployRequest,
        outside: Outside,
    ) -> None:
        self._cluster, self._request, self._outside = cluster, request, outside
        self._console = outside.console
        scopes = scopes_for(placed.name for placed in objects if is_workload(placed.name))
        # Watches begin before the apply, so that their lists arrive meanwhile; UID and generation
        # tell what is older than our apply.
        self._feed = outside.watch(cluster, scopes, outside.clock, self._console.retrying)
        self._wait = Wait(
            cluster=cluster,
            feed=self._feed,
            view=View(scopes),
            clock=outside.clock,
            console=self._console,
            timeout_s=request.wait_timeout_s,
        )
        self.skipped: list[Manifest] = []
        self.has_waited = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._feed.close()

    def ensure_namespace(self, desired: Desired) -> None:
        """Create the environment's namespace unless it exists or the stack brings its own."""
        manifest = namespace_manifest(desired.namespace, desired.origin)
        if any(m.name == manifest.name for m in desired.manifests):
            return
        [placed] = place([manifest], self._cluster)
        try:
            exists = self._cluster.get(placed.resource, "", desired.namespace) is not None
        except ClusterError as error:
            if error.status != HTTPStatus.FORBIDDEN:
                raise
            exists = True  # usual for accounts of one namespace: if it does not, apply will tell
        if not exists:
            self.apply([[placed]])

    def apply(self, wave: Wave) -> None:
        """Apply a wave, stage by stage."""
        unchanged = 0
        for stage in wave:
            applied = apply_stage(
                stage, self._cluster, force=self._request.force_conflicts, tell=self._note
            )
            await_definitions(applied, self._cluster, self._outside.clock)
            unchanged += sum(a.change is Change.UNCHANGED for a in applied)
        if unchanged:
            objects = "1 object" if unchanged == 1 else f"{unchanged} objects"
            self._console.step("apply", f"unchanged {objects}")

    def find(self, objects: Sequence[Placed]) -> None:
        """Wait for objects as they are in the cluster now."""
        for placed in objects:
            found = self._cluster.get(placed.resource, placed.name.namespace, placed.name.name)
            if found is None:
                raise ClusterError(
                    placed.manifest.location,
                    f"{placed.name} does not exist in the cluster",
                    "apply it first",
                )
            self._wait.expect([target_of(placed, found)])

    def wait(self) -> bool:
        """Wait for everything applied so far."""
        self.has_waited = True
        return self._wait.until_healthy()

    def skip(self, waves: Sequence[Wave]) -> None:
        """Note what is not applied because an earlier wave is not healthy."""
        self.skipped = [placed.manifest for wave in waves for stage in wave for placed in stage]

    def report(self, ended_by: int = DONE) -> int:
        """Print the report and return the exit code; *ended_by* wins if it is not 0."""
        results = self._wait.results()
        exit_code = ended_by or _exit_code(results, timed_out=self._wait.timed_out)
        elapsed_s = self._wait.elapsed_s
        first_line = report.headline(
            results,
            self.skipped,
            exit_code=exit_code,
            elapsed_s=elapsed_s,
            timeout_s=self._request.wait_timeout_s,
        )
        self._console.lines([first_line, *report.text_lines(results, self.skipped)])
        for result in results:
            if result.outcome in (Outcome.FAILED, Outcome.TIMED_OUT):
                self._console.annotate(result.target.location, report.summary(result))
        if self._request.output == "json":
            data = report.as_json(results, self.skipped, elapsed_s=elapsed_s, exit_code=exit_code)
            print(json.dumps(self._console.masked_data(data), indent=2, ensure_ascii=False))  # noqa: T201 - the result
        return exit_code

    def _note(self, applied: Applied) -> None:
        """Tell of an object, and wait for it from now on: the next one may be refused."""
        if applied.target:
            self._wait.expect([applied.target])
        if applied.change is not Change.UNCHANGED:
            line = f"{applied.change.value:<9} {applied.name}  {applied.manifest.location}"
            self._console.step("apply", line)


def _exit_code(results: Sequence[Result], *, timed_out: bool) -> int:
    outcomes = {result.outcome for result in results}
    if timed_out and Outcome.FAILED not in outcomes:
        return TIMED_OUT
    return DONE if outcomes <= {Outcome.READY} else WORKLOAD_FAILED
