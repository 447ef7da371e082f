"""Ctrl-C while several builders run: all of them end, with everything they have started."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.console import Console
from codexctl_tasks.errors import Interrupted
from codexctl_tasks.images.building import BuildSettings, build_images
from codexctl_tasks.world.clock import SystemClock
from codexctl_tasks.world.process import run_program
from tests.support.builds import FakeRegistry, Project
from tests.support.processes import is_running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from codexctl_tasks.images.backend import BuildOrder


class Sleeper:
    """A builder that starts a real program, which starts a daemon and sleeps."""

    name = "sleeper"

    def __init__(self, mark: str, all_begun: threading.Barrier) -> None:
        self.begun: list[str] = []
        self._mark, self._all_begun = mark, all_begun

    def build(self, order: BuildOrder, *, tell: Callable[[str], None], deadline_s: float) -> str:
        """See `Backend.build`."""

        def heard(line: str) -> None:
            tell(line)
            self.begun.append(order.name)
            self._all_begun.wait()

        run_program(
            ["bash", "-c", f"(setsid sleep {self._mark} &); echo begun; sleep {self._mark}"],
            folder=Path(),
            environ={"PATH": os.environ["PATH"]},
            timeout_s=deadline_s - time.monotonic(),
            tell=heard,
        )
        raise AssertionError


@contextmanager
def sigint_as_interrupted() -> Iterator[None]:
    """Do what the command line does with the signal."""

    def interrupt(number: int, _: object) -> None:
        raise Interrupted(number)

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which orphans are whose")
def test_ctrl_c_ends_all_builders(tmp_path: Path) -> None:
    """Those that run end at once, and those that waited for room are not started."""
    project = Project(tmp_path)
    mark = f"765432.{os.getpid()}{time.monotonic_ns() % 10**9}"
    all_begun = threading.Barrier(3, timeout=30)
    backend = Sleeper(mark, all_begun)

    def press_ctrl_c() -> None:
        all_begun.wait()
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press_ctrl_c).start()
    with sigint_as_interrupted(), pytest.raises(Interrupted):
        build_images(
            [project.build(name) for name in "abcd"],
            [],
            FakeRegistry(),
            lambda: backend,
            BuildSettings(
                console=Console(io.StringIO()), clock=SystemClock(), logs=tmp_path / "logs", jobs=2
            ),
        )

    assert len(backend.begun) == 2
    assert not is_running(mark)
