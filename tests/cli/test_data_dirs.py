"""`codex.ensure-data-dirs` beside the shell that it replaces."""

from __future__ import annotations

import os
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.hooks.builtin.data_dirs import ensure_data_dirs
from tests.support.hooks import HookBench
from tests.support.shell import QUICK_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DIRS = ["postgres", "redis", "rabbitmq"]


def _by_shell(root: Path) -> None:
    script = ensure_data_dirs.replaces.replace("{{ $dataDir }}", str(root / "slots" / "3"))
    command = ["bash", "-euo", "pipefail", "-c", script]
    subprocess.run(command, check=True, timeout=QUICK_S)


def _by_hook(root: Path) -> None:
    stack = {"dataPaths": {"root": str(root), "dirs": DIRS}}
    HookBench(ensure_data_dirs, stack=stack).run()


def _prepare(root: Path, before: str) -> None:
    if before:
        (root / before).mkdir(parents=True, mode=0o700)
        (root / before / "file").write_text("data")
        (root / before).chmod(0o700)


def _state(root: Path) -> list[tuple[str, str, int, int]]:
    """Return everything below, with kind and mode and owner."""
    found = [(path, path.lstat()) for path in sorted([root, *root.rglob("*")])]
    return [
        (str(path.relative_to(root)), stat.filemode(was.st_mode), was.st_uid, was.st_gid)
        for path, was in found
    ]


@pytest.fixture(params=[0o022, 0o077, 0o000])
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_umask")
@pytest.mark.parametrize("before", ["", ".", "slots", "slots/3", "slots/3/redis", "slots/3/other"])
def test_the_same_is_there_as_after_the_shell(tmp_path: Path, before: str) -> None:
    """A stack may change from one form to the other at any time, also with data in place."""
    one, other = tmp_path / "shell", tmp_path / "hook"
    for root in (one, other):
        _prepare(root, before)

    _by_shell(one)
    _by_hook(other)

    assert _state(other) == _state(one)
    assert (other / "slots" / "3" / "rabbitmq").is_dir()
