"""
Run the steps of a run at their points.

Each step is told while it runs, ended when its time is over, and remembered with how it ended.
"""

from __future__ import annotations

import traceback
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import CodexctlError, DeadlineError
from codexctl_tasks.hooks.contract import HookContext, HookError
from codexctl_tasks.settings import debugging
from codexctl_tasks.world.limits import OverTime, time_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from codexctl_tasks.hooks.contract import Hook, Parameters
    from codexctl_tasks.hooks.steps import Prepared
    from codexctl_tasks.stack.manifests import Manifest
    from codexctl_tasks.stack.model import Stack
    from codexctl_tasks.stack.steps import Point, Step
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.outside import Outside

BASH = ("bash", "--noprofile", "--norc", "-euo", "pipefail")
"""No login shell: profiles differ from machine to machine, and some set PATH anew."""
FORCE_AFTER_S = 1.0
"""A hook that watches its time itself says better what it was waiting for."""
TAIL_LINES = 10
"""Repeated outside of the folded group when a step has failed."""
READY = "ready"
"""Outcome of a run so far, for steps of `afterAll`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What all steps of a run are told."""

    env: str
    slot: int
    project: str
    namespace: str
    folder: Path
    """That of ``services.yaml``, absolute."""
    stack: Stack
    variables: Mapping[str, str] = field(repr=False)
    kubeconfig: str = ""
    """Path that the run uses; empty: what the programs themselves find."""
    manifests: tuple[Manifest, ...] = field(default=(), repr=False)
    stack_name: str = ""
    """Under which the objects are remembered; empty: they are not."""
    steps: tuple[Step, ...] = field(default=(), repr=False)
    """All steps of the run."""
    connect: Callable[[], Cluster] = field(repr=False)

    @property
    def environ(self) -> dict[str, str]:
        """The environment of scripts: all variables, and what a script asks for first."""
        own = {
            "CODEXCTL_ENV": self.env,
            "CODEXCTL_SLOT": str(self.slot) if self.slot else "",
            "CODEXCTL_NAMESPACE": self.namespace,
            "CODEXCTL_PROJECT": self.project,
            "CODEXCTL_PROJECT_ROOT": str(self.folder),
            "KUBECONFIG": self.kubeconfig,
        }
        return {**self.variables, **{name: value for name, value in own.items() if value}}

    def context(
        self,
        hook: str,
        outside: Outside,
        connect: Callable[[], Cluster],
        deadline_s: float,
    ) -> HookContext:
        """Return what a hook is told that has until *deadline_s* of the clock."""
        return HookContext(
            hook=hook,
            env=self.env,
            slot=self.slot,
            project=self.project,
            namespace=self.namespace,
            folder=self.folder,
            stack=self.stack,
            variables=self.variables,
            manifests=self.manifests,
            stack_name=self.stack_name,
            steps=self.steps,
            outside=outside,
            connect=connect,
            deadline_s=deadline_s,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """How a step ended."""

    step: Step
    outcome: str
    """``done``, ``failed`` or ``timed out``."""
    duration_s: float
    error: str = ""
    """What went wrong, in one line; empty: nothing did."""


class StepError(CodexctlError):
    """A step has failed; the exit code is that of its failure."""

    def __init__(self, step: Step, error: CodexctlError) -> None:
        """Say which step failed, in front of what went wrong."""
        self._causes = error.problems
        self._step = step
        cause = self._causes[0]
        what = ": ".join(filter(None, (str(step), cause.where, cause.what)))
        super().__init__(step.location, what, cause.fix)
        self.exit_code = error.exit_code

    @property
    def problems(self) -> tuple[CodexctlError, ...]:
        """One line for each thing that went wrong in the step."""
        if len(self._causes) == 1:
            return (self,)
        return tuple(StepError(self._step, cause) for cause in self._causes)


class Hooks:
    """The steps of one run."""

    def __init__(
        self,
        steps: Sequence[Prepared],
        setting: Setting,
        outside: Outside,
        *,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Remember what there is to run.

        Args:
            steps: In the order of the file.
            setting: What they are told.
            outside: The outside.
            check: Called before each step; raises if the run must not go on.
        """
        self._steps, self._setting, self._outside = steps, setting, outside
        self._console, self._check = outside.console, check
        self.records: list[Record] = []

    @property
    def items(self) -> list[str]:
        """The items that have steps, in the order of the file."""
        return list(dict.fromkeys(each.step.item for each in self._steps if each.step.item))

    def count(self, *points: Point) -> int:
        """Return how many steps there are at these points."""
        return sum(each.step.point in points for each in self._steps)

    def run(self, point: Point, item: str = "") -> None:
        """
        Run the steps of a point, of the stack or of one item, until one fails.

        Raises:
            CodexctlError: How the step failed, with its place in the file.
        """
        for prepared in self._steps:
            if (prepared.step.point, prepared.step.item) == (point, item):
                self._run(prepared)

    def finish(self, outcome: str) -> None:
        """
        Run the steps marked ``always`` that have not run, after a failure of which they are told.

        What goes wrong in them is a warning: the failure before matters more.
        """
        done = {id(record.step) for record in self.records}
        for prepared in self._steps:
            if prepared.step.is_always and id(prepared.step) not in done:
                try:
                    self._run(prepared, outcome)
                except CodexctlError as error:
                    self._console.warn(str(error))

    def _run(self, prepared: Prepared, outcome: str = READY) -> None:
        step, begun_s = prepared.step, self._outside.clock.now()
        self._console.stop_live()
        if outcome == READY:
            self._check()
        error: CodexctlError | None = None
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        with self._console.group(f"hook {step}"):
            self._console.step("hook", str(step))
            try:
                if prepared.hook is None:
                    self._run_script(step, outcome, tail)
                else:
                    self._call(step, prepared.hook, prepared.given)
            except CodexctlError as found:
                error = found
        if error and self._console.folds:
            for line in tail:
                self._console.output(line)
        self._note(step, self._outside.clock.now() - begun_s, error)
        if error is not None and not step.continues_on_error:
            raise StepError(step, error) from error

    def _note(self, step: Step, duration_s: float, error: CodexctlError | None) -> None:
        is_over_time = isinstance(error, DeadlineError | _StepOverTimeError)
        how = "timed out" if is_over_time else "failed" if error else "done"
        placed = str(StepError(step, error)) if error else ""
        self.records.append(Record(step=step, outcome=how, duration_s=duration_s, error=placed))
        self._console.step("hook", f"{step} {how} after {duration_s:.1f} s")
        if error and step.continues_on_error:
            self._console.warn(f"{placed}: going on, as continueOnError says")

    def _run_script(self, step: Step, outcome: str, tail: deque[str]) -> None:
        def tell(line: str) -> None:
            self._console.output(line)
            if line.strip():
                tail.append(line)

        environ = {
            **self._setting.environ,
            "CODEXCTL_HOOK": step.point.value,
            "CODEXCTL_ITEM": step.item.partition(" ")[2],
            "CODEXCTL_OUTCOME": outcome,
        }
        try:
            ended = self._outside.run(
                BASH,
                script=step.script,
                folder=Path(),
                environ=environ,
                timeout_s=step.timeout_s,
                tell=tell,
            )
        except OSError as error:
            what = f"bash cannot be started: {error.strerror}"
            raise HookError("", what, "install it, and look at PATH") from error
        if ended.is_over_time:
            raise _StepOverTimeError(step, tail)
        if ended.exit_code:
            raise HookError("", _with_last(f"ended with exit code {ended.exit_code}", tail))

    def _call(self, step: Step, hook: Hook[Any], given: Parameters | None) -> None:
        """Call a hook; whatever a foreign one raises is a failure of the step."""
        deadline_s = self._outside.clock.now() + step.timeout_s
        limited: list[tuple[Cluster, float]] = []

        def connect() -> Cluster:
            cluster = self._setting.connect()
            limited.append((cluster, cluster.deadline_s))
            cluster.deadline_s = deadline_s
            return cluster

        context = self._setting.context(hook.name, self._outside, connect, deadline_s)
        try:
            with time_limit(step.timeout_s + FORCE_AFTER_S):
                hook(given, context)
        except OverTime:
            raise _StepOverTimeError(step, ()) from None
        except CodexctlError:
            raise
        except Exception as error:
            raise self._defect(hook, error) from error
        finally:
            for cluster, before_s in reversed(limited):
                cluster.deadline_s = before_s

    def _defect(self, hook: Hook[Any], error: Exception) -> HookError:
        for line in traceback.format_exception(error) if debugging() else ():
            for each in line.rstrip().splitlines():
                self._console.output(each)
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return HookError(hook.name, what, "a defect of the hook; CODEXCTL_DEBUG=1 shows where")


class _StepOverTimeError(HookError):
    """A step was ended because its time was over."""

    def __init__(self, step: Step, tail: Sequence[str]) -> None:
        what = _with_last(f"ended by force, as its time of {step.timeout_s:g} s was over", tail)
        super().__init__("", what, "give it a longer timeout, or mend what hangs")


def _with_last(text: str, tail: Sequence[str]) -> str:
    """Return a text with the last line of a program's output, if there is one."""
    return f"{text}: {tail[-1].strip()}" if tail else text
