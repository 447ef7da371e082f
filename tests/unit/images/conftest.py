"""Fixtures of tests of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.builds import FakeBackend, FakeRegistry, Project

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return an empty project."""
    return Project(tmp_path / "project")


@pytest.fixture
def registry() -> FakeRegistry:
    """Return empty registries."""
    return FakeRegistry()


@pytest.fixture
def backend(registry: FakeRegistry) -> FakeBackend:
    """Return a builder that pushes to them."""
    return FakeBackend(registry)
