"""Which builder is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import UsageError
from codexctl_tasks.images.backend import BuildError
from codexctl_tasks.images.backends.choosing import BACKENDS, Refused, choose_backend
from codexctl_tasks.images.backends.workshop import RefusedError
from tests.support.builders import FakeRun, put_programs, workshop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from codexctl_tasks.images.backend import BuildOrder
    from codexctl_tasks.images.backends.workshop import Workshop


@dataclass(frozen=True)
class Willing:
    """A builder that could work."""

    name: str

    def build(self, order: BuildOrder, *, tell: Callable[[str], None], deadline_s: float) -> str:
        """See `Backend`."""
        raise NotImplementedError


def _willing(name: str) -> Callable[[Workshop], Willing]:
    return lambda _: Willing(name)


def _unwilling(reason: str) -> Callable[[Workshop], Willing]:
    def probe(_: Workshop) -> Willing:
        raise RefusedError(reason)

    return probe


def test_the_first_that_can_work() -> None:
    """Those before it are remembered with their reasons; those after it are not asked."""
    asked: list[str] = []

    def third(_: Workshop) -> Willing:
        asked.append("third")
        return Willing("third")

    backends = {"first": _unwilling("is ill"), "second": _willing("second"), "third": third}

    choice = choose_backend(workshop(FakeRun()), backends=backends)

    assert choice.backend.name == "second"
    assert choice.refused == (Refused("first", "is ill"),)
    assert asked == []


def test_none_can_work() -> None:
    """All reasons in one line, exit code 5."""
    backends = {"one": _unwilling("is ill"), "two": _unwilling("is not on PATH")}

    with pytest.raises(BuildError) as failed:
        choose_backend(workshop(FakeRun()), backends=backends)

    assert str(failed.value) == (
        "builders: none can work here: one (is ill); two (is not on PATH): "
        "`codexctl doctor` looks at all of them"
    )
    assert failed.value.exit_code == 5


def test_the_one_that_is_wanted() -> None:
    """It and no other: a build must not silently go elsewhere."""
    backends = {"one": _willing("one"), "two": _willing("two"), "three": _unwilling("is ill")}

    assert choose_backend(workshop(FakeRun()), "two", backends).backend.name == "two"
    with pytest.raises(BuildError, match="builder three: cannot work here: is ill: `codexctl"):
        choose_backend(workshop(FakeRun()), "three", backends)


def test_one_that_does_not_exist() -> None:
    """A typing mistake is seen at once."""
    with pytest.raises(UsageError, match="--backend: there is no builder 'buidlah': did you mean"):
        choose_backend(workshop(FakeRun()), "buidlah")
    with pytest.raises(UsageError, match="choose one of buildctl, buildx, docker, buildah, root"):
        choose_backend(workshop(FakeRun()), "kaniko")


def test_a_machine_with_nothing() -> None:
    """Each of ours says in a few words what it lacks; nothing is started to find that out."""
    run = FakeRun()

    with pytest.raises(BuildError) as failed:
        choose_backend(workshop(run, PATH="/nowhere"))

    for name in BACKENDS:
        assert f"{name} (" in str(failed.value)
    assert "cluster (not supported yet: run BuildKit there, and name it in BUILDKIT_HOST)" in str(
        failed.value
    )
    assert run.asked == []


def test_a_machine_without_room(tmp_path: Path) -> None:
    """A folder for temporary files that does not exist is a reason like any other."""
    path = put_programs(tmp_path / "bin", "docker")
    shop = workshop(
        FakeRun(), PATH=path, TMPDIR=str(tmp_path / "nosuch"), BUILDKIT_HOST="tcp://127.0.0.1:1"
    )

    with pytest.raises(BuildError, match="nosuch: cannot be written to: No such file or directory"):
        choose_backend(shop, "buildx")
