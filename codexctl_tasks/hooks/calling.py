"""
Call the function of a hook: within its time, and whatever it does is a failure of its step alone.

The code may be anybody's. It can neither end the run nor write into the result on stdout.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import CodexctlError
from codexctl_tasks.hooks.contract import HookError
from codexctl_tasks.settings import debugging
from codexctl_tasks.world.limits import time_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from codexctl_tasks.console import Console
    from codexctl_tasks.hooks.contract import Hook, Parameters
    from codexctl_tasks.hooks.setting import Setting
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.outside import Outside

FORCE_AFTER_S = 1.0
"""A hook that watches its time itself says better what it was waiting for."""
_STDOUT, _STDERR = 1, 2


def call(
    hook: Hook[Any],
    given: Parameters | None,
    setting: Setting,
    outside: Outside,
    *,
    timeout_s: float,
) -> None:
    """
    Call a hook.

    Raises:
        OverTime: It went on when its time was over.
        CodexctlError: What it says itself; anything else that it raises is a `HookError`.
    """
    deadline_s = outside.clock.now() + timeout_s
    limited: list[tuple[Cluster, float]] = []

    def connect() -> Cluster:
        cluster = setting.connect()
        limited.append((cluster, cluster.deadline_s))
        cluster.deadline_s = deadline_s
        return cluster

    context = setting.context(hook.name, outside, connect, deadline_s)
    try:
        with _own_stdout(outside.console), time_limit(timeout_s + FORCE_AFTER_S):
            hook(given, context)
    except CodexctlError as error:
        if not error.problems:  # several, of which there is none
            raise _defect(hook.name, error, outside.console) from error
        raise
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        raise _defect(hook.name, error, outside.console) from error
    finally:
        for cluster, before_s in reversed(limited):
            cluster.deadline_s = before_s


def _defect(hook: str, error: BaseException, console: Console) -> HookError:
    for line in traceback.format_exception(error) if debugging() else ():
        for each in line.rstrip().splitlines():
            console.output(each)
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return HookError(hook, what, "a defect of the hook; CODEXCTL_DEBUG=1 shows where")


@contextmanager
def _own_stdout(console: Console) -> Iterator[None]:
    """Tell what a hook prints, and what its programs print: stdout is for the result alone."""
    printed = _Printed(console.output)
    with console.among_strangers(), redirect_stdout(printed), _programs_on_stderr():
        try:
            yield
        finally:
            printed.finish()
            console.stop_live()  # it puts back what stdout was when it began


@contextmanager
def _programs_on_stderr() -> Iterator[None]:
    if sys.__stdout__ is not None:
        sys.__stdout__.flush()
    try:
        kept = os.dup(_STDOUT)
    except OSError:  # closed: nobody reads it
        yield
        return
    try:
        os.dup2(_STDERR, _STDOUT)
        yield
    finally:
        os.dup2(kept, _STDOUT)
        os.close(kept)


class _Printed(io.TextIOBase):
    """Tells whole lines of what is written."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._rest = tell, ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._tell(line)
        return len(text)

    def finish(self) -> None:
        """Tell a last line that has no end."""
        if self._rest:
            self._tell(self._rest)
        self._rest = ""
