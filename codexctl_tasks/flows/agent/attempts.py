"""An agent at work in a container: started, followed, and tried again on the same thread."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from codexctl_tasks.agent.command import Invocation, arguments, is_codex, variables
from codexctl_tasks.agent.configuration import TOKEN
from codexctl_tasks.agent.events import Account, Verdict, judge, usage_since
from codexctl_tasks.agent.result import Status, Usage
from codexctl_tasks.agent.running import Order, Run
from codexctl_tasks.errors import ClusterError
from codexctl_tasks.flows.agent.telling import Telling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from codexctl_tasks.agent.configuration import Configuration
    from codexctl_tasks.agent.pod import Shell
    from codexctl_tasks.flows.agent.telling import Recording
    from codexctl_tasks.flows.agent.way import ModelAccess
    from codexctl_tasks.stack.model import Agent
    from codexctl_tasks.world.outside import Outside

PAUSES_S = (5.0, 20.0, 60.0)
"""Before each further attempt; Codex has repeated its requests by itself before."""
_SHORTEST_S = 10.0
"""With less time than this no further attempt is begun."""
GO_ON = b"The connection to the model broke. Look at what you have done, and go on with the task.\n"


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the agent is to do; nothing of it depends on the attempt."""

    agent: Agent
    prompt: bytes
    invocation: Invocation
    """Without its schema's text; the thread is the one to go on with."""
    configuration: Configuration
    schema: Mapping[str, Any] | None
    schema_text: str
    access: ModelAccess
    retries: int
    limit_s: float
    used: Usage
    """Of the thread, before this run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What all attempts came to."""

    verdict: Verdict
    thread: str
    last_message: str
    stderr: str
    """The end of what the last attempt wrote there."""
    usage: Usage
    attempts: int
    number: str
    """Of the last run's folder."""


class Attempts:
    """The attempts of one task."""

    def __init__(
        self,
        task: Task,
        shell: Shell,
        outside: Outside,
        *,
        recording: Recording,
        check: Callable[[], None],
    ) -> None:
        self._task, self._shell, self._outside = task, shell, outside
        self._recording, self._check = recording, check
        self._telling = Telling(outside)
        self._deadline_s = outside.clock.now() + task.limit_s
        self._run: Run | None = None
        self.attempts = 0
        self.thread = task.invocation.thread
        self._total: Usage | None = None
        self._noted: tuple[str, Usage | None] = ("", None)
        self._last_message = self._stderr = ""

    def work(self) -> Outcome:
        """
        Let the agent work until it is done, or nothing more can be hoped for.

        Raises:
            LostRunError, ClusterError, DeadlineError: It could not be started, or is lost.
        """
        prompt = self._task.prompt
        while True:
            verdict = self._attempt(prompt)
            if verdict.lacks_thread and self.thread and self.attempts == 1:
                what = f"thread {self.thread} is not known there: a new one begins"
                self._outside.console.warn(what)
                self.thread, self._task = "", replace(self._task, used=Usage())
                continue
            if not (verdict.may_pass and self._may_repeat(verdict)):
                return self._outcome(verdict)
            prompt = GO_ON if self.thread else self._task.prompt

    def cancel(self) -> bool:
        """End what runs; return whether nothing of it is left."""
        return self._run.cancel() if self._run else True

    @property
    def number(self) -> str:
        """Of the folder of the last attempt; empty: nothing was started."""
        return self._run.number if self._run else ""

    @property
    def usage(self) -> Usage:
        """What all attempts have used by now."""
        return usage_since(self._task.used, self._total)

    def _attempt(self, prompt: bytes) -> Verdict:
        outside, account = self._outside, Account()
        run = self._run = Run(self._shell, outside.clock)
        run.start(self._order(prompt))
        self.attempts += 1
        outside.console.step("agent", f"run {run.number} started in {self._shell.site}")
        ended = run.follow(
            account,
            deadline_s=self._deadline_s,
            hear=self._telling.hear,
            keep=self._recording.take,
            check=lambda: self._look(account),
        )
        self._note(account)
        self._telling.warn(account)
        self._last_message = ended.last_message.strip() or account.last_message or ""
        self._stderr = ended.stderr
        codex = is_codex(self._task.agent)
        return self._named(judge(account, ended, is_codex=codex, schema=self._task.schema))

    def _named(self, verdict: Verdict) -> Verdict:
        """Tell a key that was refused from a failure of the agent; no further attempt helps it."""
        if verdict.status is not Status.AGENT_FAILED:
            return verdict
        refused, access = verdict.refuses_key, self._task.access
        with suppress(ClusterError):
            refused = refused or access.is_key_refused()
        if not refused:
            return verdict
        reason = f"the model has refused the key: {access.key_fix}: {verdict.reason}"
        return Verdict(Status.INFRA_FAILED, reason, refuses_key=True)

    def _note(self, account: Account) -> None:
        """Note the thread in its container as soon as it is known: however this run ends."""
        self.thread = account.thread_id or self.thread
        self._total = account.total or self._total
        noted = (account.thread_id, self._total)
        if self._run and account.thread_id and noted != self._noted:
            self._noted = noted
            self._run.remember(self.thread, self._total or self._task.used)

    def _look(self, account: Account) -> None:
        self._check()
        self._note(account)
        self._telling.warn(account)
        self._telling.beat(account)

    def _order(self, prompt: bytes) -> Order:
        task = self._task
        invocation = replace(task.invocation, thread=self.thread)
        return Order(
            prompt=prompt,
            command=arguments(task.agent, invocation),
            configuration=task.configuration.text,
            variables=variables(invocation, model_url=task.access.base_url),
            secrets={**task.configuration.environment, TOKEN: task.access.token},
            schema=task.schema_text,
            limit_s=max(self._deadline_s - self._outside.clock.now(), 1.0),
        )

    def _may_repeat(self, verdict: Verdict) -> bool:
        """Pause before another attempt, if there is to be one."""
        number = self.attempts - 1
        if number >= self._task.retries:
            return False
        pause_s = PAUSES_S[min(number, len(PAUSES_S) - 1)]
        clock = self._outside.clock
        if clock.now() + pause_s + _SHORTEST_S > self._deadline_s:
            return False
        again = f"attempt {self.attempts + 1} of {self._task.retries + 1} in {pause_s:.0f} s"
        self._outside.console.retrying(f"agent: {verdict.reason}; {again}")
        clock.sleep(pause_s)
        return True

    def _outcome(self, verdict: Verdict) -> Outcome:
        return Outcome(
            verdict=verdict,
            thread=self.thread,
            last_message=self._last_message,
            stderr=self._stderr,
            usage=self.usage,
            attempts=self.attempts,
            number=self.number,
        )
