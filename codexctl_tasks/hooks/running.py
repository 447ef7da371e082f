"""
Run the steps of a run at their points.

Each step is told while it runs, ended when its time is over, and remembered with how it ended.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import CodexctlError, DeadlineError, Interrupted
from codexctl_tasks.hooks.calling import call
from codexctl_tasks.hooks.contract import HookError
from codexctl_tasks.world.limits import OverTime

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from codexctl_tasks.hooks.contract import Hook, Parameters
    from codexctl_tasks.hooks.setting import Setting
    from codexctl_tasks.hooks.steps import Prepared
    from codexctl_tasks.stack.steps import Point, Step
    from codexctl_tasks.world.outside import Outside

BASH = ("bash", "--noprofile", "--norc", "-euo", "pipefail")
"""No login shell: profiles differ from machine to machine, and some set PATH anew."""
TAIL_LINES = 10
"""Repeated outside of the folded group when a step has failed."""
READY = "ready"
"""Outcome of a run so far, for steps of `afterAll`."""
INTERRUPTED = "interrupted"
"""Outcome of a run, and of the step that it was at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """How a step ended."""

    step: Step
    outcome: str
    """``done``, ``failed``, ``timed out`` or ``interrupted``."""
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
        Run the steps marked ``always`` that have not ended, after a failure of which they are told.

        What goes wrong in them is a warning: the failure before matters more.
        """
        done = {id(each.step) for each in self.records if each.outcome != INTERRUPTED}
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
            except Interrupted:
                self._record(step, INTERRUPTED, begun_s)
                raise
        if error and self._console.folds:
            for line in tail:
                self._console.output(line)
        self._note(step, begun_s, error)
        if error is not None and not step.continues_on_error:
            raise StepError(step, error) from error

    def _note(self, step: Step, begun_s: float, error: CodexctlError | None) -> None:
        is_over_time = isinstance(error, DeadlineError | _StepOverTimeError)
        how = "timed out" if is_over_time else "failed" if error else "done"
        placed = str(StepError(step, error)) if error else ""
        self._record(step, how, begun_s, placed)
        if error and step.continues_on_error:
            self._console.warn(f"{placed}: going on, as continueOnError says")

    def _record(self, step: Step, outcome: str, begun_s: float, error: str = "") -> None:
        took_s = self._outside.clock.now() - begun_s
        self.records.append(Record(step=step, outcome=outcome, duration_s=took_s, error=error))
        self._console.step("hook", f"{step} {outcome} after {took_s:.1f} s")

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
        try:
            call(hook, given, self._setting, self._outside, timeout_s=step.timeout_s)
        except OverTime:
            raise _StepOverTimeError(step, ()) from None


class _StepOverTimeError(HookError):
    """A step was ended because its time was over."""

    def __init__(self, step: Step, tail: Sequence[str]) -> None:
        what = _with_last(f"ended by force, as its time of {step.timeout_s:g} s was over", tail)
        super().__init__("", what, "give it a longer timeout, or mend what hangs")


def _with_last(text: str, tail: Sequence[str]) -> str:
    """Return a text with the last line of a program's output, if there is one."""
    return f"{text}: {tail[-1].strip()}" if tail else text
