"""The guard that keeps unit tests from starting processes."""

from __future__ import annotations

import subprocess

import pytest


def test_a_unit_test_cannot_start_a_process() -> None:
    """Whoever writes a slow test by accident learns it at once."""
    with pytest.raises(pytest.fail.Exception, match="started a process"):
        subprocess.run(["true"], check=True)
