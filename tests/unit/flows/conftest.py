"""Fixtures of the flows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.stage import Stage

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fakes import FakeClock


@pytest.fixture
def stage(tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Return an empty folder, which is the current one, and an empty cluster."""
    monkeypatch.chdir(tmp_path)
    return Stage(tmp_path, clock)
