"""Fixtures that every kind of test may use."""

from __future__ import annotations

import pytest

from tests.support.fakes import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock whose time passes only when somebody sleeps or waits."""
    return FakeClock()
