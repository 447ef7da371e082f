"""
Let an agent work in its slot, and say honestly what came of it.

Whatever happens, the folder of the result says how it ended: later jobs read nothing else.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from codexctl_tasks.agent.pod import LostRunError, Shell, Site
from codexctl_tasks.agent.result import Result, Status, write_result
from codexctl_tasks.agent.scripts import LAST
from codexctl_tasks.errors import (
    ClusterError,
    CodexctlError,
    ConfigurationError,
    DeadlineError,
    Interrupted,
)
from codexctl_tasks.flows.agent import preview
from codexctl_tasks.flows.agent.assignment import Assignment
from codexctl_tasks.flows.agent.attempts import Attempts, Outcome
from codexctl_tasks.flows.agent.brief import brief
from codexctl_tasks.flows.agent.ending import (
    forget_earlier,
    keep_stderr,
    rescue_work,
    tell_end,
    work_of,
)
from codexctl_tasks.flows.agent.inspection import Inspection
from codexctl_tasks.flows.agent.site import find_site, workspace
from codexctl_tasks.flows.agent.telling import Recording
from codexctl_tasks.flows.agent.way import way_to_model
from codexctl_tasks.flows.environment import warn_of_unknown_keys
from codexctl_tasks.flows.explain import unhealthy_lines
from codexctl_tasks.flows.slots.place import SlotPlace, wanted_record
from codexctl_tasks.requests.agents import Kind
from codexctl_tasks.slots.lease import SlotLease, refuse_if_held
from codexctl_tasks.slots.record import State
from codexctl_tasks.stack.loading import load_stack

if TYPE_CHECKING:
    from codexctl_tasks.requests.prompt_runs import PromptRunRequest
    from codexctl_tasks.slots.record import Record
    from codexctl_tasks.stack.loading import LoadedStack
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.outside import Outside

EVENTS = "events.jsonl"
_UNTOLD = (Status.INFRA_FAILED, "codexctl was ended before it could tell how the run ended")
AROUND_S = 900.0
"""Before and after the agent's own time, for which its way to the model is kept."""


def prompt_run(request: PromptRunRequest, outside: Outside) -> int:
    """
    Let an agent work in a slot.

    Returns:
        0 if the agent is content, 1 if it failed, 70 if its time ran out.

    Raises:
        LostRunError: The pod or the cluster failed while it worked; the result says so, too.
        CodexctlError: It could not be started; the result says so, too.
        Interrupted: The run was cancelled; what it started has been ended.
    """
    return _PromptRun(request, outside).run()


class _PromptRun:
    """One run; what is known of its end at each moment is the result."""

    def __init__(self, request: PromptRunRequest, outside: Outside) -> None:
        self._request, self._outside, self._console = request, outside, outside.console
        self._kind = Kind(request.kind)
        self._begun_s = outside.clock.now()
        self._attempts: Attempts | None = None
        self._result = Result(
            status=Status.INFRA_FAILED,
            kind=self._kind,
            repo=request.repo,
            issue=request.issue,
            pr=request.pr,
            thread_id="" if request.thread == LAST else request.thread,
        )

    def run(self) -> int:
        """Go through the phases, and tell the end in any case."""
        known = (self._request.model_token, self._request.model_key)
        self._console.hide_everywhere(filter(None, known))
        if self._request.dry_run:
            return self._show()
        try:
            write_result(self._request.result, self._result.ended(*_UNTOLD))
            self._work()
        except Interrupted:
            self._tell_failure(Status.CANCELLED, "the run was cancelled")
            raise
        except CodexctlError as error:
            is_timeout = isinstance(error, DeadlineError)
            status = Status.SLOT_TIMEOUT if is_timeout else Status.INFRA_FAILED
            failure = self._failure(error)
            self._tell_failure(status, str(failure), failure)
            if failure is error:
                raise
            raise failure from error
        except OSError as error:
            unwritable = self._unwritable(error)
            self._tell_failure(Status.INFRA_FAILED, str(unwritable), unwritable)
            raise unwritable from error
        except BaseException as error:
            self._tell_failure(Status.INFRA_FAILED, f"codexctl has failed: {type(error).__name__}")
            raise
        try:
            return self._tell()
        except OSError as error:
            raise self._unwritable(error) from error

    def _work(self) -> None:
        request, outside = self._request, self._outside
        place = self._place()
        record = wanted_record(place, request)
        fix = "wait for that run or end it; codexctl release --force gives its slot back"
        refuse_if_held(record, request.holder, place.slots.now(), fix)
        self._name(record)
        with ExitStack() as stack:
            lease = stack.enter_context(
                SlotLease(
                    *(place.slots, record, outside.clock),
                    holder=request.holder,
                    lease_s=request.lease_s,
                    announce=self._console.warn,
                )
            )
            assignment = self._assignment(place, record)
            shell = Shell(assignment.site, place.cluster, outside.clock)
            self._attempts = self._prepare(assignment, place, shell, stack, lease)
            self._take(self._follow(self._attempts, shell, place.cluster))
            if self._kind.makes_commits:
                self._result = work_of(self._result, shell, place.cluster, request, outside)

    def _prepare(
        self,
        assignment: Assignment,
        place: SlotPlace,
        shell: Shell,
        stack: ExitStack,
        lease: SlotLease,
    ) -> Attempts:
        """Look at everything and open the way to the model, which *stack* closes."""
        request, outside, loaded = self._request, self._outside, assignment.loaded
        inspection = Inspection(request, shell, outside)
        survey, base = inspection.inspect(loaded.stack.codex.agent)
        self._result = replace(self._result, base=base, thread_id=survey.thread)
        told = brief(assignment, self._result, outside)
        life_s = assignment.limit_s + AROUND_S
        way = way_to_model(request, place.cluster, outside, loaded, life_s)
        access = stack.enter_context(way)
        task = assignment.task(told, access, survey)
        chosen = task.invocation
        self._result = replace(self._result, model=chosen.model, effort=chosen.effort)
        self._console.hide([access.token, *task.configuration.environment.values()])
        recording = Recording(request.result / EVENTS, outside)
        stack.callback(recording.close)
        forget_earlier(request.result)
        return Attempts(task, shell, outside, recording=recording, check=lease.check)

    def _follow(self, attempts: Attempts, shell: Shell, cluster: Cluster) -> Outcome:
        """Let the agent work; it is ended in the pod before anything else is taken down."""
        try:
            return attempts.work()
        except Interrupted:
            self._end(Status.CANCELLED, "the run was cancelled")
            with suppress(OSError):  # there may be no time for more
                write_result(self._request.result, self._result)
            if self._cancel(attempts):
                rescue_work(self._result, shell, cluster, self._request, self._outside)
            raise
        except BaseException:  # a defect of ours, too: no agent works on with nobody to watch it
            self._cancel(attempts)
            raise

    def _place(self) -> SlotPlace:
        place = SlotPlace(self._request, self._outside)
        warn_of_unknown_keys(place.loaded, self._console)
        return place

    def _name(self, record: Record) -> None:
        self._result = replace(
            self._result,
            slot=record.slot,
            repo=self._result.repo or record.repo,
            issue=self._result.issue or (0 if self._result.pr else record.issue),
            pr=self._result.pr or (0 if self._result.issue else record.pr),
        )

    def _load(self, record: Record) -> LoadedStack:
        loaded = load_stack(replace(self._request.source, slot=record.slot, namespace=""))
        self._console.hide(loaded.secrets)
        self._result = replace(self._result, namespace=loaded.context.namespace)
        return loaded

    def _assignment(self, place: SlotPlace, record: Record) -> Assignment:
        loaded = self._load(record)
        site = self._site(place, loaded)
        return Assignment(self._request, loaded, site, self._unhealthy(place.cluster, record))

    def _unhealthy(self, cluster: Cluster, record: Record) -> tuple[str, ...]:
        """Return what is wrong with the environment, if somebody says that something is."""
        is_asked = self._kind is Kind.REPAIR or record.state is State.UNHEALTHY
        if self._request.prompt is not None or not is_asked:
            return ()
        try:
            return unhealthy_lines(self._result.namespace, cluster, self._outside)
        except (ClusterError, DeadlineError) as error:
            self._console.warn(f"the agent is not told what is wrong: {error}")
            return ()

    def _site(self, place: SlotPlace, loaded: LoadedStack) -> Site:
        path = self._request.path or loaded.context.project
        volume = workspace(loaded.context.namespace, self._request.claim, path)
        return find_site(place.cluster, volume, loaded.stack.codex.agent.container)

    def _take(self, outcome: Outcome) -> None:
        self._result = replace(
            self._result,
            run=outcome.number,
            thread_id=outcome.thread,
            final_message=self._console.masked(outcome.last_message),
            usage=outcome.usage,
            attempts=outcome.attempts,
        )
        self._end(outcome.verdict.status, outcome.verdict.reason)
        keep_stderr(self._request.result, outcome.stderr, self._console)

    def _cancel(self, attempts: Attempts) -> bool:
        """End what was started, as well as that can be done; return whether nothing is left."""
        with suppress(CodexctlError, OSError):
            is_over = attempts.cancel()
            told = "has ended" if is_over else "ends within the next seconds"
            self._console.step("agent", f"cancelled: run {attempts.number or 'begun'} {told}")
            return is_over
        return False

    def _end(self, status: Status, reason: str) -> None:
        if self._attempts is not None:
            self._result = replace(
                self._result,
                run=self._attempts.number,
                thread_id=self._attempts.thread,
                usage=self._attempts.usage,
                attempts=self._attempts.attempts,
            )
        duration_s = self._outside.clock.now() - self._begun_s
        ended = self._result.ended(status, self._console.masked(reason))
        self._result = replace(ended, duration_s=round(duration_s, 1))

    def _failure(self, error: CodexctlError) -> CodexctlError:
        """Return what is raised: what the cluster refuses a run that has begun ends that run."""
        has_begun = self._attempts is not None and self._attempts.attempts > 0
        if has_begun and isinstance(error, ClusterError):
            return LostRunError(error.where, error.what, error.fix)
        return error

    def _unwritable(self, error: OSError) -> ConfigurationError:
        """Return what to mend: nothing but the result is written to this machine."""
        path, why = error.filename or self._request.result, error.strerror or error
        fix = "make room there, or name another folder with --result-dir"
        return ConfigurationError(str(path), f"the result cannot be written: {why}", fix)

    def _tell_failure(
        self, status: Status, reason: str, error: CodexctlError | None = None
    ) -> None:
        """Tell how it ended, as far as that can be done; whoever calls raises what failed."""
        self._end(status, reason)
        with suppress(OSError):
            self._tell(error)

    def _tell(self, error: CodexctlError | None = None) -> int:
        write_result(self._request.result, self._result)
        tell_end(self._result, self._request, self._outside, error)
        return self._result.status.exit_code

    def _show(self) -> int:
        """Show what would be done, after the looks that a run takes; nothing is changed."""
        place = self._place()
        record = wanted_record(place, self._request)
        self._name(record)
        assignment = self._assignment(place, record)
        shell = Shell(assignment.site, place.cluster, self._outside.clock)
        inspection = Inspection(self._request, shell, self._outside)
        survey, base = inspection.survey(assignment.loaded.stack.codex.agent)
        self._result = replace(self._result, base=base, thread_id=survey.thread)
        return preview.show(assignment, self._result, self._outside)
