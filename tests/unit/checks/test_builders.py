"""What doctor says of builders."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.checks.builders import check_builders
from codexctl_tasks.errors import UsageError
from codexctl_tasks.images.backends.workshop import RefusedError, Workshop
from tests.support.builders import FakeRun
from tests.support.checks import lines, subject

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STACK = {
    "images": {
        "redis": {"type": "external", "from": "redis:7", "local": "registry.example.com/redis:7"},
        "web": {"type": "build", "repository": "registry.example.com/web", "tag": "1"},
    }
}
FIX = "set BUILDKIT_HOST, start Docker, or install buildah"


def _refused(reason: str) -> Callable[[Workshop], Any]:
    def probe(_: Workshop) -> Any:
        raise RefusedError(reason)

    return probe


def _fit(_: Workshop) -> Any:
    return object()


def test_each_builder_with_its_reason(tmp_path: Path) -> None:
    """Which one is used, which ones would do, and why others would not."""
    backends = {"buildctl": _refused("BUILDKIT_HOST is not set"), "docker": _fit, "buildah": _fit}

    found = check_builders(subject(tmp_path, stack=STACK, run=FakeRun()), backends)

    assert lines(found) == [
        "skipped buildctl: refused: BUILDKIT_HOST is not set",
        "ok docker: is used for builds",
        "ok buildah: would do as well",
    ]


def test_none_can_work(tmp_path: Path) -> None:
    """That is a failure, and named is the first image that could not be built."""
    checked = subject(tmp_path, stack=STACK, run=FakeRun())

    found = list(check_builders(checked, {"docker": _refused("docker is not on PATH")}))

    assert lines(found) == [
        "skipped docker: refused: docker is not on PATH",
        f"failed images.web: no builder can work here: {FIX}",
    ]
    assert found[-1].exit_code == 5


def test_the_one_that_is_wanted(tmp_path: Path) -> None:
    """Others do not help who has chosen one."""
    backends = {"docker": _fit, "buildah": _refused("buildah is not on PATH")}
    checked = subject(tmp_path, stack=STACK, run=FakeRun(), build_backend="buildah")

    assert [line.partition(":")[0] for line in lines(check_builders(checked, backends))] == [
        "skipped buildah",
        "failed images.web",
    ]
    checked = subject(tmp_path, stack=STACK, run=FakeRun(), build_backend="kaniko")
    with pytest.raises(UsageError, match="there is no builder 'kaniko'"):
        list(check_builders(checked, backends))


def test_a_stack_that_builds_nothing(tmp_path: Path) -> None:
    """Nobody needs a builder then, and none is looked for."""
    run = FakeRun()
    external = {"images": {"redis": STACK["images"]["redis"]}}

    assert list(check_builders(subject(tmp_path, stack=external, run=run))) == []
    assert list(check_builders(subject(tmp_path, run=run))) == []
    assert run.asked == []


def test_one_that_is_late(tmp_path: Path) -> None:
    """When the time of all checks is over it is refused; the others have been told."""
    checked = subject(tmp_path, stack=STACK, run=FakeRun(), left_s=0.0)
    late = threading.Event()

    def wait(_: Workshop) -> Any:
        late.wait()

    found = lines(check_builders(checked, {"docker": wait}))
    late.set()

    assert found[0] == "skipped docker: refused: no answer in time"
    assert found[-1].startswith("failed images.web: no builder can work here")
