"""Unit tests start no process, and see no settings of the person who runs them."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from tests.support.project import Project

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test that starts a process: what does so belongs to another folder of tests."""

    def refuse(*args: Any, **_: Any) -> NoReturn:
        pytest.fail(f"a unit test started a process: {args!r}")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(os, "system", refuse)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what would change a result: ``CODEXCTL_*``, GitHub, colours, a kubeconfig."""
    for name in list(os.environ):
        if name.startswith(("CODEXCTL_", "GITHUB_")) or name in ("NO_COLOR", "KUBECONFIG", "TERM"):
            monkeypatch.delenv(name)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return an empty project folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)
