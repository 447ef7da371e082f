"""
Let an agent work in its slot, and say honestly what came of it.

Whatever happens, the folder of the result says how it ended: later jobs read nothing else.
"""

from __future__ import annotations

import json
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from codexctl_tasks.agent.command import Invocation, arguments, as_shell, expected_version, is_codex
from codexctl_tasks.agent.configuration import Configuration, configuration
from codexctl_tasks.agent.pod import LostRunError, Shell, Site
from codexctl_tasks.agent.result import Result, Status, write_result
from codexctl_tasks.agent.running import Run, Survey, cancel, close
from codexctl_tasks.durations import duration_s
from codexctl_tasks.errors import (
    DONE,
    ClusterError,
    CodexctlError,
    ConfigurationError,
    DeadlineError,
    Interrupted,
    UsageError,
)
from codexctl_tasks.flows.agent.attempts import Attempts, Outcome, Task
from codexctl_tasks.flows.agent.brief import Brief, brief
from codexctl_tasks.flows.agent.ending import SCHEMA_VERSION, tell_end, work_of
from codexctl_tasks.flows.agent.site import find_site, workspace
from codexctl_tasks.flows.agent.telling import Recording
from codexctl_tasks.flows.agent.way import ModelAccess, way_to_model
from codexctl_tasks.flows.slots.place import SlotPlace, wanted_record
from codexctl_tasks.requests.agents import Kind
from codexctl_tasks.slots.lease import SlotLease, refuse_if_held
from codexctl_tasks.stack.files import display, read_text
from codexctl_tasks.stack.loading import load_stack

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from codexctl_tasks.agent.choice import Choice
    from codexctl_tasks.requests.prompt_runs import PromptRunRequest
    from codexctl_tasks.slots.record import Record
    from codexctl_tasks.stack.loading import LoadedStack
    from codexctl_tasks.world.outside import Outside

DEFAULT_LIMIT_S = 3600.0
EVENTS = "events.jsonl"
AROUND_S = 900.0
"""Before and after the agent's own time, for which its way to the model is kept."""
MOST_CHARACTERS = 2**20
"""Of a prompt, to Codex."""
CANCEL_OTHER_S = 45
"""How long to wait for the end of a run that was in the way."""


def prompt_run(request: PromptRunRequest, outside: Outside) -> int:
    """
    Let an agent work in a slot.

    Returns:
        0 if the agent is content, 1 if it or the pod failed, 70 if its time ran out.

    Raises:
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
            thread_id=request.thread,
        )

    def run(self) -> int:
        """Go through the phases, and tell the end in any case."""
        known = (self._request.model_token, self._request.model_key)
        self._console.hide_everywhere(filter(None, known))
        if self._request.dry_run:
            return self._show()
        try:
            self._work()
        except Interrupted:
            self._end(Status.CANCELLED, "the run was cancelled")
            self._tell()
            raise
        except (LostRunError, ClusterError) as error:
            self._console.error(error)
            self._end(Status.INFRA_FAILED, str(error))
        except DeadlineError as error:
            self._end(Status.SLOT_TIMEOUT, str(error))
            self._tell()
            raise
        except CodexctlError as error:
            self._end(Status.INFRA_FAILED, str(error))
            self._tell()
            raise
        return self._tell()

    def _work(self) -> None:
        request, outside = self._request, self._outside
        place = SlotPlace(request, outside)
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
            loaded = self._load(record)
            site = self._site(place, loaded)
            shell = Shell(site, place.cluster, outside.clock)
            survey = self._survey(shell, loaded)
            told = brief(request, self._result, loaded, site, outside)
            life_s = self._limit_s(loaded) + AROUND_S
            way = way_to_model(request, place.cluster, outside, loaded, life_s)
            access = stack.enter_context(way)
            task = self._task(loaded, site, access, survey, told)
            recording = Recording(request.result / EVENTS, outside)
            stack.callback(recording.close)
            self._attempts = Attempts(task, shell, outside, recording=recording, check=lease.check)
            self._take(self._follow(self._attempts))
            if self._kind.makes_commits:
                self._result = work_of(self._result, shell, place.cluster, request, outside)

    def _follow(self, attempts: Attempts) -> Outcome:
        """Let the agent work; it is ended in the pod before anything else is taken down."""
        try:
            return attempts.work()
        except Interrupted:
            self._end(Status.CANCELLED, "the run was cancelled")
            write_result(self._request.result, self._result)  # there may be no time for more
            self._cancel(attempts)
            raise
        except CodexctlError:
            self._cancel(attempts)
            raise

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

    def _site(self, place: SlotPlace, loaded: LoadedStack) -> Site:
        path = self._request.path or loaded.context.project
        volume = workspace(loaded.context.namespace, self._request.claim, path)
        return find_site(place.cluster, volume, loaded.stack.codex.agent.container)

    def _survey(self, shell: Shell, loaded: LoadedStack) -> Survey:
        """Look at the container before anything is started, and clear what is in the way."""
        found = Run(shell, self._outside.clock).survey(self._request.thread)
        wanted = expected_version(loaded.stack.codex.agent)
        if wanted and found.version != wanted:
            held = f"holds Codex {found.version}" if found.version else "has no program codex"
            fix = "build its image with that version, or set codex.agent.version"
            raise ConfigurationError(str(shell.site), f"{held}, not Codex {wanted}", fix)
        if not found.has_folder:
            fix = "sync the sources: ensure-ready or sync-sources"
            raise ConfigurationError(str(shell.site), "is no folder", fix)
        if found.has_key:
            what = "has the key of a model in its environment, where the agent can read it"
            self._console.warn(f"{shell.site}: {what}: take it out, the proxy has its own")
        if not found.base and self._kind.makes_commits:
            what = "has no commit that git can read: nothing can be published"
            self._console.warn(f"{shell.site}: {what}")
        self._result = replace(self._result, base=found.base)
        for going_on in found.going_on:
            self._clear(shell, *going_on.split())
        return found

    def _clear(self, shell: Shell, number: str, pod: str) -> None:
        """Cancel a run that goes on in the workspace, if that is wanted."""
        if pod != shell.site.pod[: len(pod)] and not shell.is_elsewhere(pod):
            close(shell, number)  # it ended with its pod
            return
        if not self._request.force:
            what = f"run {number} of an agent goes on in pod {pod}"
            fix = "wait for it, or give --force to cancel it"
            raise DeadlineError(str(shell.site), what, fix)
        self._console.step("agent", f"run {number} goes on in pod {pod}: cancelling it")
        if not cancel(shell, number, CANCEL_OTHER_S):
            what = f"run {number} of an agent cannot be ended"
            raise ClusterError(str(shell.site), what, f"delete pod {pod}")

    def _task(
        self, loaded: LoadedStack, site: Site, access: ModelAccess, survey: Survey, told: Brief
    ) -> Task:
        request = self._request
        schema_text, schema = _schema(request.schema)
        invocation = self._invocation(loaded, site, told.choice, has_schema=schema is not None)
        self._result = replace(self._result, model=invocation.model, effort=invocation.effort)
        if is_codex(loaded.stack.codex.agent) and len(told.prompt) > MOST_CHARACTERS:
            what = f"has {len(told.prompt)} characters, and Codex takes {MOST_CHARACTERS}"
            raise ConfigurationError("prompt", what, "shorten it")
        made = self._configuration(loaded, site, access.base_url)
        self._console.hide([access.token, *made.environment.values()])
        return Task(
            agent=loaded.stack.codex.agent,
            prompt=told.prompt.encode(),
            invocation=invocation,
            configuration=made,
            schema=schema,
            schema_text=schema_text,
            model_url=access.base_url,
            model_token=access.token,
            retries=request.retries,
            limit_s=self._limit_s(loaded),
            used=survey.used,
        )

    def _configuration(self, loaded: LoadedStack, site: Site, model_url: str) -> Configuration:
        reviews = self._kind in (Kind.REVIEW, Kind.PLAN_REVIEW)
        has_servers = loaded.stack.codex.review_mcp_enabled or not reviews
        return configuration(
            loaded, model_url=model_url, folder=site.folder, has_servers=has_servers
        )

    def _invocation(
        self, loaded: LoadedStack, site: Site, choice: Choice, *, has_schema: bool
    ) -> Invocation:
        codex = loaded.stack.codex
        return Invocation(
            folder=site.folder,
            has_schema=has_schema,
            model=choice.model,
            effort=choice.effort,
            thread=self._request.thread if is_codex(codex.agent) else "",
        )

    def _limit_s(self, loaded: LoadedStack) -> float:
        said = loaded.stack.codex.timeouts.exec
        return self._request.timeout_s or (duration_s(said) if said else 0) or DEFAULT_LIMIT_S

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

    def _cancel(self, attempts: Attempts) -> None:
        """End what was started, as well as that can be done."""
        with suppress(CodexctlError):
            told = "has ended" if attempts.cancel() else "ends within the next seconds"
            self._console.step("agent", f"cancelled: run {attempts.number or 'begun'} {told}")

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

    def _tell(self) -> int:
        write_result(self._request.result, self._result)
        tell_end(self._result, self._request, self._outside)
        return self._result.status.exit_code

    def _show(self) -> int:
        """Print the prompt, the configuration and the exact command; nothing is changed."""
        place = SlotPlace(self._request, self._outside)
        record = wanted_record(place, self._request)
        self._name(record)
        loaded = self._load(record)
        site = self._site(place, loaded)
        _, schema = _schema(self._request.schema)
        made = self._configuration(loaded, site, self._request.model_url or "http://MODEL-PROXY/v1")
        self._console.hide(made.environment.values())
        told = brief(self._request, self._result, loaded, site, self._outside)
        invocation = self._invocation(loaded, site, told.choice, has_schema=schema is not None)
        words = arguments(loaded.stack.codex.agent, invocation)
        parts = {"prompt": told.prompt, "configuration": made.text, "command": as_shell(words)}
        if self._request.output == "json":
            self._console.result_as_json({"version": SCHEMA_VERSION, "exitCode": DONE, **parts})
        else:
            self._console.result(
                ("", line) for name, text in parts.items() for line in _section(name, text)
            )
        return DONE


def _section(name: str, text: str) -> list[str]:
    return [f"--- {name}", *text.rstrip("\n").split("\n")]


def _schema(path: Path | None) -> tuple[str, Mapping[str, Any] | None]:
    """Return a JSON Schema as text and data; raise `UsageError` if it is none."""
    if path is None:
        return "", None
    text = read_text(path, display(path), "name another with --output-schema")
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UsageError("--output-schema", f"{path} is no JSON: {error}", "mend it") from error
    if not isinstance(found, dict):
        raise UsageError("--output-schema", f"{path} is no JSON Schema", "write an object")
    return text, found
