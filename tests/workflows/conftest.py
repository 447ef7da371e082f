"""One runner's tool cache, so that codexctl is installed once; the shop on a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.act import Forge
from tests.support.session import sandbox
from tests.workflows.shop import BASES, Shop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.act import Run


@pytest.fixture(scope="session")
def tool_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tool-cache")


@pytest.fixture
def forge(tmp_path: Path, tool_cache: Path) -> Forge:
    """Give repositories and a runner."""
    return Forge(tmp_path / "forge", tool_cache)


@pytest.fixture(scope="module")
def shop(
    cluster_environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
    tool_cache: Path,
) -> Iterator[Shop]:
    """Give the shop's repository and a cluster."""
    for image, program in BASES.items():
        pushed = sandbox("push", f"upstream/{image}", "--", program)
        assert pushed.returncode == 0, pushed.stderr
    place = Shop(tmp_path_factory.mktemp("shop"), tool_cache, cluster_environment)
    yield place
    place.close()


@pytest.fixture(scope="module")
def deployed(shop: Shop) -> Run:
    """Give the run after which the shop is open."""
    run = shop.push()
    assert run.exit_code == 0, run.tail
    return run
