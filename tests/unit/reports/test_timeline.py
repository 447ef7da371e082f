"""A history as bars."""

from __future__ import annotations

import pytest

from codexctl_tasks.reports.timeline import MOST_TICKS, spans_of, ticks_of
from tests.support.stories import history


def _bars(*moments: tuple[float, str, str], end_s: float = 100.0) -> list[tuple[float, float, str]]:
    spans = spans_of(history((1, "applied", ""), *moments), end_s)
    return [(span.from_s, span.to_s, span.phase.value) for span in spans]


def test_bars_follow_the_rollout_without_gaps() -> None:
    """Waiting, in trouble, cured, ready: what a person wants to see at one glance."""
    bars = _bars(
        (2, "progress", "0 of 1"),
        (5, "symptom", "a"),
        (6, "symptom", "b"),
        (20, "cured", "b"),
        (30, "cured", "a"),
        (40, "ready", ""),
    )

    assert bars == [
        (1, 5, "waiting"),
        (5, 6, "trouble"),
        (6, 20, "trouble"),
        (20, 30, "trouble"),
        (30, 40, "waiting"),
        (40, 100, "ready"),
    ]


def test_a_failure_stays_one_whatever_else_is_found() -> None:
    """Further symptoms of a failed workload do not make it look undecided again."""
    bars = _bars((5, "symptom", "a"), (9, "failed", ""), (10, "symptom", "b"))

    assert bars == [(1, 5, "waiting"), (5, 9, "trouble"), (9, 100, "failed")]


def test_a_failure_that_heals_is_waited_for_again() -> None:
    """The bar shows the comeback."""
    bars = _bars((9, "failed", ""), (12, "progress", ""), (20, "ready", ""))

    assert [phase for _, _, phase in bars] == ["waiting", "failed", "waiting", "ready"]


def test_trouble_names_the_newest_cause() -> None:
    """What is told of a bar is what was wrong at that time."""
    spans = spans_of(history((1, "applied", ""), (2, "symptom", "a"), (3, "symptom", "b")), 9)

    assert [span.cause for span in spans] == ["", "a", "b"]


def test_what_ends_when_it_begins_still_has_a_bar() -> None:
    """An unchanged workload that is ready at once is not missing from the chart."""
    assert _bars((1, "ready", ""), end_s=1) == [(1, 1, "ready")]


@pytest.mark.parametrize("end_s", [0.1, 0.9, 5, 8.5, 61, 120.1, 599, 3600, 40000])
def test_an_axis_has_few_round_ticks(end_s: float) -> None:
    """Seconds can be read off, also on a phone, for every length of a rollout."""
    ticks = ticks_of(end_s)

    assert ticks[0] == 0
    assert 2 <= len(ticks) <= max(MOST_TICKS + 1, end_s / 3600 + 1)
    assert ticks[-1] <= end_s
