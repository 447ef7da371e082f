"""
Deploy one environment: plan, check, apply in waves, wait, prune, report.

Each public function is one task; it returns the exit code that the shell shall see.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from codexctl_tasks.apply import summary
from codexctl_tasks.apply.applying import Account, apply_stage, await_definitions
from codexctl_tasks.apply.live import address_of, read_live
from codexctl_tasks.apply.placement import definition_of, place
from codexctl_tasks.apply.pruning import prune
from codexctl_tasks.apply.sending import Change
from codexctl_tasks.apply.stages import Wave, in_waves
from codexctl_tasks.errors import (
    DONE,
    TIMED_OUT,
    WORKLOAD_FAILED,
    ClusterError,
    CodexctlError,
    Interrupted,
)
from codexctl_tasks.flows.environment import load_applicable
from codexctl_tasks.flows.hooking import as_json as hooks_as_json
from codexctl_tasks.flows.hooking import places_in_waves
from codexctl_tasks.flows.reporting import Reporter
from codexctl_tasks.flows.run import Run
from codexctl_tasks.hooks.running import StepError
from codexctl_tasks.reports.outputs import public_address
from codexctl_tasks.reports.report import Ending
from codexctl_tasks.rollout.target import check_annotations, is_awaited, scopes_for, target_of
from codexctl_tasks.rollout.view import View
from codexctl_tasks.rollout.wait import Outcome, Result, Wait
from codexctl_tasks.stack.steps import Point

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from codexctl_tasks.apply.placement import Placed
    from codexctl_tasks.apply.plan import Leaving
    from codexctl_tasks.apply.sending import Applied
    from codexctl_tasks.requests.runs import DeployRequest
    from codexctl_tasks.stack.manifests import Manifest, ObjectName
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.outside import Outside
    from codexctl_tasks.world.watching import Scope


LOOK_S = 3.0
"""To find out what is wrong already when a step has failed."""


def apply(request: DeployRequest, outside: Outside) -> int:
    """Apply an environment; waits between waves, not after the last one."""
    with Reporter(request, outside) as reporter:
        return _deploy(request, outside, reporter, wait_for_last_wave=False)


def apply_and_wait(request: DeployRequest, outside: Outside) -> int:
    """Apply an environment, wait until all of it is healthy, prune what left it."""
    with Reporter(request, outside) as reporter:
        return _deploy(request, outside, reporter, wait_for_last_wave=True)


def wait(request: DeployRequest, outside: Outside) -> int:
    """Wait for what is in the cluster already; nothing is applied."""
    with Reporter(request, outside) as reporter:
        return _wait(request, outside, reporter)


def _wait(request: DeployRequest, outside: Outside, reporter: Reporter) -> int:
    desired = load_applicable(request.source, outside.console)
    request = request.with_defaults(desired.defaults)
    reporter.name_stack(request.stack or desired.stack)
    cluster = outside.connect(request.cluster, outside.clock, outside.console.retrying)
    check_annotations(desired.manifests)
    objects = [o for o in place(desired.manifests, cluster) if _is_awaited(o)]
    scopes = scopes_for((placed.name, placed.resource) for placed in objects)
    timeout_s = request.wait_timeout_s
    cluster.deadline_s = outside.clock.now() + timeout_s
    with _Rollout(scopes, cluster, request, outside, timeout_s=timeout_s) as rollout:
        try:
            rollout.find(objects)
            rollout.wait()
        except Interrupted as interrupted:
            return reporter.tell(rollout.ending(interrupted.exit_code))
        except CodexctlError as error:
            reporter.tell(rollout.ending(error.exit_code, judged=rollout.has_waited))
            raise
        return reporter.tell(rollout.ending())


def _deploy(
    request: DeployRequest, outside: Outside, reporter: Reporter, *, wait_for_last_wave: bool
) -> int:
    """Deploy one environment: the order below is the whole story."""
    with Run(request, outside) as run:
        reporter.name_stack(run.stack)
        waves = in_waves(run.objects)
        waits = wait_for_last_wave or len(waves) > 1
        check_annotations(run.desired.manifests)
        awaited = [(each.name, each.resource) for each in run.objects if _is_awaited(each)]
        scopes = scopes_for(awaited) if waits else []
        prunes = wait_for_last_wave and run.request.prunes
        begin, complete = places_in_waves(waves or [[]], run.hooks.items)
        run.await_namespaces()
        run.take_turn()
        run.compare()
        try:
            run.check(prunes=prunes, watched=scopes)
        except CodexctlError as error:
            _tell_refusal(run, error, reporter)
            raise
        reporter.name_place(run.namespace, public_address(run.desired.manifests))
        with _Deployment(run, scopes, reporter) as deployment:
            try:
                deployment.begin()
                deployment.run_hooks(Point.BEFORE_ALL)
                for number, wave in enumerate(waves or [[]]):
                    deployment.run_hooks(Point.BEFORE_APPLY, begin[number])
                    deployment.apply(wave)
                    deployment.run_hooks(Point.AFTER_APPLY, complete[number])
                    last = number == len(waves) - 1
                    if (wait_for_last_wave or not last) and not deployment.rollout.wait():
                        deployment.rollout.skip(waves[number + 1 :])
                        run.hooks.finish(_outcome(deployment.rollout.ending().exit_code))
                        break
                else:
                    deployment.finish(prunes=prunes)
                    deployment.run_hooks(Point.AFTER_ALL)
            except Interrupted as interrupted:
                with suppress(Interrupted):  # a runner's second signal: the report matters more
                    run.hooks.finish("interrupted")
                return deployment.report(interrupted.exit_code)
            except CodexctlError as error:
                run.hooks.finish(_outcome(error.exit_code))
                # What became of the waves before is worth knowing.
                deployment.report(error.exit_code, error, judged=deployment.rollout.has_waited)
                raise
            judged = wait_for_last_wave or bool(deployment.rollout.skipped)
            return deployment.report(judged=judged)


def _tell_refusal(run: Run, error: CodexctlError, reporter: Reporter) -> None:
    """Tell what would be refused: programs cannot read stderr."""
    ending = Ending(
        exit_code=error.exit_code,
        elapsed_s=run.clock.now() - run.begun_s,
        timeout_s=run.request.wait_timeout_s,
        judged=False,
        problems=error.problems,
    )
    reporter.tell(ending, _told(run, Account(run.steps), (), error))


def _told(
    run: Run, account: Account, pruned: Sequence[ObjectName], error: CodexctlError | None
) -> dict[str, Any]:
    """Return what became of the objects, and what ended the run."""
    return {
        "stack": run.stack,
        "namespace": run.namespace,
        "objects": summary.objects_as_json(account),
        "hooks": hooks_as_json(run.hooks),
        "leaving": summary.leaving_as_json(run.plan.leaving, pruned),
        "problems": summary.problems_as_json(error.problems if error else ()),
    }


class _Deployment:
    """The part of a run that changes the cluster."""

    def __init__(self, run: Run, scopes: Sequence[Scope], reporter: Reporter) -> None:
        self._run, self._console, self._cluster = run, run.console, run.cluster
        self._reporter = reporter
        self._account = Account(run.steps)
        self._check: Callable[[], None] = run.lease.check if run.lease else lambda: None
        self._counted = 0
        self._pruned: list[ObjectName] = []
        self._needed = {definition_of(placed.resource) for placed in run.objects}
        left_s = run.deadline_s - run.clock.now()
        self.rollout = _Rollout(scopes, run.cluster, run.request, run.outside, timeout_s=left_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.rollout.close()

    def begin(self) -> None:
        """Create the namespace if it is missing, and remember what is going to be applied."""
        run = self._run
        if run.namespace_step:
            self._apply_stage([run.namespace_step])
        if run.take_turn_in_new_namespace():
            run.compare()  # another run has been at work in the namespace meanwhile
            run.check(prunes=False, watched=())
            self._account.replan(run.steps)
        run.claim_namespace()
        if run.inventory:
            run.inventory.add(run.declared)

    def run_hooks(self, point: Point, items: Sequence[str] = ("",)) -> None:
        """
        Run the steps of a point, of the stack or of some items; their time is not the rollout's.

        If one fails although objects were applied, it may be for what became of those: look.
        """
        try:
            with self._giving_time_back():
                for item in items:
                    self._run.hooks.run(point, item)
        except StepError:
            if self._account.applied:
                self.rollout.look()
            raise

    @contextmanager
    def _giving_time_back(self) -> Iterator[None]:
        begun_s = self._run.clock.now()
        try:
            yield
        finally:
            used_s = self._run.clock.now() - begun_s
            self._run.extend_time(used_s)
            self.rollout.extend_time(used_s)

    def apply(self, wave: Wave) -> None:
        """Apply a wave, stage by stage."""
        if not wave:
            return
        done = {applied.name for applied in self._account.applied}  # the namespace came first
        with self._console.group(f"apply {sum(map(len, wave))} objects"):
            for stage in wave:
                steps = [step for step in self._run.steps_of(stage) if step.name not in done]
                applied = self._apply_stage(steps)
                await_definitions(applied, self._cluster, self._run.clock, self._needed)
        self._console.step("apply", summary.counts_line(self._account.applied[self._counted :]))
        self._counted = len(self._account.applied)

    def finish(self, *, prunes: bool) -> None:
        """Prune what left the stack, now that everything else is healthy."""
        run, leaving = self._run, self._run.plan.leaving
        for each in leaving:
            if each.kept:
                self._console.step("prune", summary.kept_line(each))
        going = [each for each in leaving if not each.kept]
        if not prunes:
            if going:
                objects = "1 object has" if len(going) == 1 else f"{len(going)} objects have"
                why = "apply-wait prunes them" if run.request.prunes else "pruning is switched off"
                self._console.step("prune", f"{objects} left the stack: {why}")
            return
        if self._account.applied:  # an empty set is more likely a mistake than a wish
            prune(
                going,
                self._cluster,
                applied_uids=self._account.uids,
                tell=self._note_pruned,
                check=self._check,
            )
        elif going:
            self._console.step("prune", "nothing is desired any more: destroy deletes what was")
        if run.inventory and not run.desired.is_partial:
            self._check()
            kept = [each.name for each in leaving if each.kept and not each.is_foreign]
            left = {each.name for each in going}.difference(self._pruned)
            run.inventory.reduce([*run.declared, *kept, *left])

    def report(
        self, ended_by: int = DONE, error: CodexctlError | None = None, *, judged: bool = True
    ) -> int:
        """Tell what there is to say at the end and return the exit code; see `_Rollout.ending`."""
        if ended_by:
            for line in summary.unfinished_lines(self._account):
                self._console.step("apply", line)
        ending = replace(
            self.rollout.ending(ended_by, judged=judged),
            problems=error.problems if error else (),
            applied=summary.counts_line(self._account.applied),
        )
        data = _told(self._run, self._account, self._pruned, error)
        return self._reporter.tell(ending, data)

    def _apply_stage(self, steps: Sequence[Any]) -> list[Applied]:
        sender = self._run.sender()
        return apply_stage(steps, sender, self._account, tell=self._note, check=self._check)

    def _note(self, applied: Applied) -> None:
        """Tell of an object, and wait for it from now on: the next one may be refused."""
        is_changed = applied.change is not Change.UNCHANGED
        self.rollout.expect(applied.placed, applied.found, is_changed=is_changed)
        for line in summary.applied_lines(applied):
            self._console.step("apply", line)
        for line in summary.warnings_of(applied):
            self._console.warn(line)

    def _note_pruned(self, leaving: Leaving) -> None:
        self._pruned.append(leaving.name)
        self._console.step("prune", f"pruned    {leaving.name}")


class _Rollout:
    """What is waited for, and what became of it."""

    def __init__(
        self,
        scopes: Sequence[Scope],
        cluster: Cluster,
        request: DeployRequest,
        outside: Outside,
        *,
        timeout_s: float,
    ) -> None:
        self._cluster, self._request, self._console = cluster, request, outside.console
        # Watches begin before the apply, so that their lists arrive meanwhile; UID and generation
        # tell what is older than our apply.
        self._feed = outside.watch(cluster, scopes, outside.clock, self._console.retrying)
        self._wait = Wait(
            cluster=cluster,
            feed=self._feed,
            scopes=scopes,
            view=View(scopes),
            clock=outside.clock,
            console=self._console,
            timeout_s=timeout_s,
        )
        self._is_watching = bool(scopes)
        self.skipped: list[Manifest] = []
        self.has_waited = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop watching."""
        self._feed.close()

    def expect(self, placed: Placed, found: Any, *, is_changed: bool) -> None:
        """Wait for an object from now on, if it is one that has a rollout."""
        if _is_awaited(placed):
            target = target_of(placed.name, placed.manifest, found, is_changed=is_changed)
            self._wait.expect([target])

    def find(self, objects: Sequence[Placed]) -> None:
        """Wait for objects as they are in the cluster now."""
        addresses = [address_of(placed.name, placed.resource) for placed in objects]
        live = read_live(addresses, self._cluster)
        for placed, address in zip(objects, addresses, strict=True):
            found = live.find(address)
            if found is None:
                what, fix = "does not exist in the cluster", "apply it first"
                if not live.is_known(address):
                    what, fix = "may not be read", "ask for this permission"
                raise ClusterError(placed.manifest.location, f"{placed.name} {what}", fix)
            self.expect(placed, found, is_changed=False)

    def wait(self) -> bool:
        """Wait for everything applied so far."""
        self.has_waited = True
        return self._wait.until_healthy()

    def look(self) -> None:
        """Find out how everything is that was applied so far, if it is watched at all."""
        if self._is_watching:
            self.has_waited = True
            self._wait.look(LOOK_S)

    def extend_time(self, seconds: float) -> None:
        """Give back time in which others were at work."""
        self._wait.extend_time(seconds)

    def skip(self, waves: Sequence[Wave]) -> None:
        """Note what is not applied because an earlier wave is not healthy."""
        self.skipped = [placed.manifest for wave in waves for stage in wave for placed in stage]

    def ending(self, ended_by: int = DONE, *, judged: bool = True) -> Ending:
        """
        Return how the run ended.

        Args:
            ended_by: Wins over the outcome of the workloads if it is not 0.
            judged: Whether there was time to find out how the workloads are.
        """
        results = self._wait.results() if judged else []
        return Ending(
            exit_code=ended_by or _exit_code(results, timed_out=self._wait.timed_out),
            elapsed_s=self._wait.elapsed_s,
            timeout_s=self._request.wait_timeout_s,
            results=results,
            skipped=self.skipped,
            judged=judged,
        )


def _is_awaited(placed: Placed) -> bool:
    return is_awaited(placed.name, placed.manifest.body)


def _outcome(exit_code: int) -> str:
    """Return what the last steps are told of a run that has not become ready."""
    return "timed out" if exit_code == TIMED_OUT else "failed"


def _exit_code(results: Sequence[Result], *, timed_out: bool) -> int:
    outcomes = {result.outcome for result in results}
    if (timed_out or Outcome.TIMED_OUT in outcomes) and Outcome.FAILED not in outcomes:
        return TIMED_OUT
    return DONE if outcomes <= {Outcome.READY} else WORKLOAD_FAILED
