"""One runner's tool cache, so that codexctl is installed once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.act import Forge

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def tool_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tool-cache")


@pytest.fixture
def forge(tmp_path: Path, tool_cache: Path) -> Forge:
    """Give repositories and a runner."""
    return Forge(tmp_path / "forge", tool_cache)
