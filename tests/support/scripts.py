"""Scripts that only pretend to run: what they would have been told, and how they end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from codexctl_tasks.world.process import Ended

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tests.support.fakes import FakeClock


@dataclass
class FakePrograms:
    """Takes the place of `run_program`; a script's last word says how it ends."""

    clock: FakeClock
    calls: list[str]
    """What happened, in order: each script is added to it."""
    environs: list[Mapping[str, str]] = field(default_factory=list)
    on_script: Callable[[str], None] = lambda _: None
    """Called with each script; may raise."""

    def __call__(
        self,
        command: Sequence[str],
        *,
        script: str = "",
        folder: Path,
        environ: Mapping[str, str],
        timeout_s: float,
        tell: Callable[[str], None],
    ) -> Ended:
        """
        Note a script.

        `fail` ends it with 3, `slow` lets 100 s pass, `hang` its whole time.
        """
        del command, folder
        self.calls.append(f"script {script}")
        self.environs.append(environ)
        self.on_script(script)
        tell(f"this is {script}")
        word = script.rsplit(maxsplit=1)[-1]
        if word == "hang":
            self.clock.pass_time(timeout_s)
            return Ended(143, is_over_time=True)
        self.clock.pass_time(100.0 if word == "slow" else 1.0)
        return Ended(3 if word == "fail" else 0)
