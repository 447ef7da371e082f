"""What a person is told while watches are broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.world.cluster import Resource
from codexctl_tasks.world.outage import TELL_AGAIN_S, WORTH_TELLING_S, Outage
from codexctl_tasks.world.watching import Scope

if TYPE_CHECKING:
    from tests.support.fakes import FakeClock

PODS = Scope(Resource("v1", "Pod", "pods", namespaced=True), "n")
JOBS = Scope(Resource("batch/v1", "Job", "jobs", namespaced=True), "n")


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def outage(clock: FakeClock, told: list[str]) -> Outage:
    return Outage(clock, told.append)


def test_trouble_of_many_watches_is_one_line_and_one_at_its_end(
    outage: Outage, clock: FakeClock, told: list[str]
) -> None:
    """A server that is away breaks all watches, and each attempt fails: that is one thing."""
    for _ in range(50):
        outage.begin(PODS, "cannot be reached")
        outage.begin(JOBS, "cannot be reached")
        clock.pass_time(3.0)
    outage.end(PODS)
    outage.end(PODS)
    assert told == ["watch on pods: cannot be reached; resuming"]

    clock.pass_time(2.0)
    outage.end(JOBS)
    assert told[1:] == ["all watches have resumed after 152 s"]


def test_what_passes_at_once_has_no_end_to_tell(
    outage: Outage, clock: FakeClock, told: list[str]
) -> None:
    """A connection that was cut is one line, not two."""
    outage.begin(PODS, "cut")
    clock.pass_time(WORTH_TELLING_S - 0.1)
    outage.end(PODS)

    assert told == ["watch on pods: cut; resuming"]


def test_watches_that_break_again_and_again_are_told_once_a_minute(
    outage: Outage, clock: FakeClock, told: list[str]
) -> None:
    """A proxy that cuts every watch after seconds does not fill the log."""
    for _ in range(100):
        outage.begin(PODS, "cut")
        outage.end(PODS)
        clock.pass_time(TELL_AGAIN_S / 40)

    assert len(told) == 3


def test_how_long_nothing_was_heard(outage: Outage, clock: FakeClock) -> None:
    """The watch that is broken for the longest time counts."""
    assert outage.lost_s == 0.0

    outage.begin(PODS, "cut")
    clock.pass_time(4.0)
    outage.begin(JOBS, "cut")
    clock.pass_time(1.0)
    assert outage.lost_s == 5.0
    outage.end(PODS)
    assert outage.lost_s == 1.0
    outage.forget(JOBS)
    assert outage.lost_s == 0.0


def test_after_the_report_nothing_is_told(outage: Outage, told: list[str]) -> None:
    """A watch that breaks when the run is over is nobody's business."""
    outage.close()
    outage.begin(PODS, "cut")

    assert told == []
