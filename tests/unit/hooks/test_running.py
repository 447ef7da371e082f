"""Hooks that are called by steps: what they are told, and what becomes of whatever they raise."""

from __future__ import annotations

import io
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.console import Console
from codexctl_tasks.errors import (
    ClusterError,
    CodexctlError,
    CombinedError,
    DeadlineError,
    Interrupted,
    Location,
)
from codexctl_tasks.hooks.contract import HookContext, HookError, Parameters, hook
from codexctl_tasks.hooks.running import Hooks, StepError
from codexctl_tasks.hooks.setting import Setting
from codexctl_tasks.hooks.steps import Prepared
from codexctl_tasks.stack.model import Stack
from codexctl_tasks.stack.steps import Point, Step
from codexctl_tasks.world.clock import SystemClock
from codexctl_tasks.world.outside import Outside
from tests.support.fakes import FakeCluster, fake_outside
from tests.support.scripts import FakePrograms

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.fakes import FakeClock

    Act = Callable[[HookContext], None]


class Bench:
    """Runs hooks as steps, and keeps what was said."""

    def __init__(self, outside: Outside | None = None) -> None:
        self.stream, self.cluster = io.StringIO(), FakeCluster()
        self.outside = outside
        self.hooks: Hooks | None = None

    def run(
        self,
        act: Act,
        clock: FakeClock | None = None,
        check: Callable[[], None] = lambda: None,
        **of_step: Any,
    ) -> None:
        """Run *act* as the hook of a step on line 7."""

        @hook("acme.act", Parameters)
        def acting(given: Parameters, context: HookContext) -> None:
            """Do what the test wants."""
            del given
            act(context)

        step = Step(
            **{
                "point": Point.AFTER_APPLY,
                "item": "service web",
                "name": "it",
                "location": Location("services.yaml", 7),
                "timeout_s": 60.0,
                "use": "acme.act",
                "locate": lambda _: Location("services.yaml", 8),
                **of_step,
            }
        )
        outside = self.outside or fake_outside(self.cluster, clock, self.stream)  # type: ignore[arg-type]
        setting = Setting(
            env="staging",
            slot=0,
            project="shop",
            namespace="shop-staging",
            folder=Path("/project"),
            stack=Stack(project="shop"),
            variables={"A": "1"},
            connect=lambda: self.cluster,
        )
        prepared = Prepared(step) if step.script else Prepared(step, acting, Parameters())
        self.hooks = Hooks([prepared], setting, outside, check=check)
        self.hooks.run(Point.AFTER_APPLY, "service web")

    def failure(self, error: BaseException, clock: FakeClock, **of_step: Any) -> CodexctlError:
        """Return what a step ends with whose hook raises *error*."""

        def fail(_: HookContext) -> None:
            raise error

        with pytest.raises(StepError) as caught:
            self.run(fail, clock, **of_step)
        return caught.value


PLACE = "services.yaml:7: afterApply step 'it' of service web: "


def test_a_hook_is_told_about_the_run(clock: FakeClock) -> None:
    """Where it is, what the stack says, how much time it has; the cluster is bound to that time."""
    seen: list[HookContext] = []
    bench = Bench()

    def act(context: HookContext) -> None:
        seen.append(context)
        assert context.connect().deadline_s == context.deadline_s
        context.tell("done this")
        context.warn("odd")

    bench.cluster.deadline_s = 5.0
    bench.run(act, clock)

    [context] = seen
    assert (context.env, context.namespace, context.variables) == (
        "staging",
        "shop-staging",
        {"A": "1"},
    )
    assert context.left_s == 60.0
    assert bench.cluster.deadline_s == 5.0
    assert bench.stream.getvalue().splitlines() == [
        "hook     afterApply step 'it' of service web",
        "hook     done this",
        "warning: acme.act: odd",
        "hook     afterApply step 'it' of service web done after 0.0 s",
    ]


@pytest.mark.parametrize(
    ("error", "line", "exit_code", "outcome"),
    [
        (HookError("Secret a", "is odd", "mend it"), "Secret a: is odd: mend it", 5, "failed"),
        (ClusterError("Secret a", "forbidden"), "Secret a: forbidden", 4, "failed"),
        (DeadlineError("pod", "is not there"), "pod: is not there", 70, "timed out"),
        (
            ValueError("bad"),
            "acme.act: ValueError: bad: a defect of the hook; CODEXCTL_DEBUG=1 shows where",
            5,
            "failed",
        ),
        (
            SystemExit(0),
            "acme.act: SystemExit: 0: a defect of the hook; CODEXCTL_DEBUG=1 shows where",
            5,
            "failed",
        ),
        (
            CombinedError([]),
            "acme.act: CombinedError: a defect of the hook; CODEXCTL_DEBUG=1 shows where",
            5,
            "failed",
        ),
        (
            KeyboardInterrupt(),
            "acme.act: KeyboardInterrupt: a defect of the hook; CODEXCTL_DEBUG=1 shows where",
            5,
            "failed",
        ),
    ],
)
def test_what_a_hook_raises(
    clock: FakeClock, error: BaseException, line: str, exit_code: int, outcome: str
) -> None:
    """The line of the step first, the exit code of what went wrong; a defect is one line too."""
    bench = Bench()

    found = bench.failure(error, clock)

    assert (str(found), found.exit_code) == (PLACE + line, exit_code)
    assert bench.hooks is not None
    assert [record.outcome for record in bench.hooks.records] == [outcome]


def test_several_failures_of_a_hook(clock: FakeClock) -> None:
    """Each gets a line, and the place in the file."""
    both = CombinedError([HookError("a", "is odd"), HookError("b", "is odd")])

    found = Bench().failure(both, clock)

    assert [str(each) for each in found.problems] == [PLACE + "a: is odd", PLACE + "b: is odd"]
    assert found.exit_code == 5


def test_where_a_defect_is(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes a hook sees the traceback on demand."""
    monkeypatch.setenv("CODEXCTL_DEBUG", "1")
    bench = Bench()

    bench.failure(ValueError("bad"), clock)

    assert "| ValueError: bad" in bench.stream.getvalue()
    assert "line " in bench.stream.getvalue()


def test_what_a_hook_prints_is_no_result(
    clock: FakeClock, capfd: pytest.CaptureFixture[str]
) -> None:
    """Stdout is for the JSON of the run: prints are told and masked, programs write on stderr."""
    bench = Bench()

    def act(context: HookContext) -> None:
        context.hide(["hunter22"])
        sys.stdout.write("the password is hunter22\nand so ")
        sys.stdout.write("on\n")
        os.write(1, b"as a program does\n")
        sys.stdout.write("without end")

    bench.run(act, clock)
    sys.stdout.write("the result\n")

    output, errors = capfd.readouterr()
    assert output == "the result\n"
    assert errors == "as a program does\n"
    told = [line for line in bench.stream.getvalue().splitlines() if "|" in line]
    assert [line.strip() for line in told] == [
        "| the password is ***",
        "| and so on",
        "| without end",
    ]


def test_programs_of_a_hook_command_no_runner(
    clock: FakeClock, capfd: pytest.CaptureFixture[str]
) -> None:
    """What they write on stderr is text to GitHub; what codexctl itself tells it still works."""
    fake = fake_outside(FakeCluster(), clock, io.StringIO())
    bench = Bench(replace(fake, console=Console(github=True)))

    def act(context: HookContext) -> None:
        os.write(2, b"::set-output name=url::x\n")
        context.warn("odd")
        os.write(2, b"::add-path::/evil\n")

    bench.run(act)

    assert _obeyed(capfd.readouterr().err) == [
        "::group::hook afterApply step 'it' of service web",
        "::warning::acme.act: odd",
        "::endgroup::",
    ]


def _obeyed(log: str) -> list[str]:
    """Return the commands that GitHub's runner obeys: none while it waits for a certain word."""
    found, word = list[str](), ""
    for line in log.splitlines():
        if word:
            word = "" if line == f"::{word}::" else word
        elif line.startswith("::stop-commands::"):
            word = line.removeprefix("::stop-commands::")
        elif line.startswith("::"):
            found.append(line)
    return found


def test_an_interrupted_step_is_told_of(clock: FakeClock) -> None:
    """How long it had been at work, and that it did not come to its end."""
    bench = Bench()

    def interrupt(_: HookContext) -> None:
        clock.pass_time(3.0)
        raise Interrupted(2)

    with pytest.raises(Interrupted):
        bench.run(interrupt, clock)

    assert bench.hooks is not None
    assert [record.outcome for record in bench.hooks.records] == ["interrupted"]
    assert "of service web interrupted after 3.0 s" in bench.stream.getvalue()


def test_a_failure_that_may_be(clock: FakeClock) -> None:
    """ContinueOnError makes a warning of it."""
    bench = Bench()

    def fail(_: HookContext) -> None:
        raise HookError("a", "is odd")

    bench.run(fail, clock, continues_on_error=True)

    assert f"warning: {PLACE}a: is odd: going on, as continueOnError" in bench.stream.getvalue()


def test_a_hook_that_does_not_look_at_the_clock_is_stopped() -> None:
    """Also one that catches every exception it knows."""
    stream = io.StringIO()
    fake = fake_outside(FakeCluster(), SystemClock(), stream)  # type: ignore[arg-type]
    bench = Bench(fake)
    turns: list[int] = []

    def hang(_: HookContext) -> None:
        while True:
            try:
                turns.append(1)
                time.sleep(0.01)
            except Exception:  # noqa: BLE001, S110 - what such hooks do
                pass

    with pytest.raises(StepError, match=r"ended by force, as its time of 0\.1 s was over"):
        bench.run(hang, timeout_s=0.1)

    count = len(turns)
    time.sleep(0.05)
    assert len(turns) == count


def test_output_of_a_failed_script_stands_outside_of_the_folded_group(clock: FakeClock) -> None:
    """In GitHub Actions groups are folded: the last lines are repeated below."""
    stream = io.StringIO()
    fake = fake_outside(FakeCluster(), clock, stream)
    github = Outside(
        console=Console(stream, github=True),
        clock=clock,
        connect=fake.connect,
        watch=fake.watch,
        run=FakePrograms(clock, []),
    )
    bench = Bench(github)

    with pytest.raises(StepError, match="ended with exit code 3: this is a fail"):
        bench.run(lambda _: None, script="a fail", use="")

    lines = stream.getvalue().splitlines()
    assert lines[0] == "::group::hook afterApply step 'it' of service web"
    assert lines[3] == "::endgroup::"
    assert lines[4].endswith("| this is a fail")


def test_a_run_that_must_not_go_on_runs_no_step(clock: FakeClock) -> None:
    """Who has lost the lease of a stack changes nothing any more, not even by a script."""

    def refuse() -> None:
        raise ClusterError("lease", "was lost")

    bench, acted = Bench(), list[HookContext]()
    with pytest.raises(ClusterError, match="was lost"):
        bench.run(acted.append, clock, check=refuse)

    assert acted == []
