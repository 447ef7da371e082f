"""`sleep`: a pause that fits into the time of its step."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from codexctl_tasks.errors import DeadlineError
from codexctl_tasks.hooks.builtin.pause import sleep
from tests.support.hooks import HookBench


def test_it_waits_as_long_as_was_said() -> None:
    """A duration is written as everywhere in services.yaml."""
    bench = HookBench(sleep, timeout_s=120)

    said = bench.run(duration="1m30s")

    assert bench.clock.sleeps == [90.0]
    assert "sleeping for 90 s" in said


def test_a_pause_longer_than_the_step_is_refused_at_once() -> None:
    """Nobody waits for a minute only to be told that the minute was not there."""
    bench = HookBench(sleep, timeout_s=60)

    with pytest.raises(DeadlineError, match="90 s are longer than the 60 s"):
        bench.run(duration="90s")

    assert bench.clock.sleeps == []


@pytest.mark.parametrize("duration", ["", "0", "soon", "-1s", None])
def test_only_durations_above_zero(duration: str | None) -> None:
    """What is no duration is refused before anything happens."""
    with pytest.raises(ValidationError):
        HookBench(sleep).run(duration=duration)
