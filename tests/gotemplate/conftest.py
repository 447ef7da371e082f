"""Go's own text/template, where there is a Go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.gotemplate.go_process import Oracle, find_go

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    """Return a running oracle."""
    if (go := find_go()) is None:
        pytest.skip("no Go: neither on PATH nor fetched by the sandbox")
    with Oracle(go, tmp_path_factory.mktemp("oracle")) as running:
        yield running
