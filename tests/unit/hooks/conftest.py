"""Folders and users for hooks that work on the file system."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SOMEBODY = 65534
"""A user without rights, when the tests run as root."""


@contextmanager
def as_somebody() -> Iterator[None]:
    """Give up root's rights; whoever has none goes on as before."""
    if os.geteuid():
        yield
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(SOMEBODY)
    os.seteuid(SOMEBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.fixture
def ground() -> Iterator[Path]:
    """Give a folder that every user may come to; pytest's own ones are for their owner alone."""
    folder = Path(tempfile.mkdtemp(prefix="data-dirs-")).resolve()
    folder.chmod(0o777)
    yield folder
    for path, names, _ in os.walk(folder):
        for name in names:  # or a normal user could not remove what a test has closed
            if not Path(path, name).is_symlink():
                Path(path, name).chmod(0o700)
    shutil.rmtree(folder)


@pytest.fixture(params=["root", "somebody"])
def user(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test as root, if that is who runs it, and once more as a normal user."""
    if request.param == "root":
        yield "root"
        return
    with as_somebody():
        yield "somebody"
