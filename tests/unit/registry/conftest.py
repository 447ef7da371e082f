"""A scripted web server that plays a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.api_server import ApiServer, api_server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """Run a server that answers as it is told."""
    with api_server() as running:
        yield running
