"""Whether a builder can work on a machine, and the reason if it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.images.backends import rootless
from codexctl_tasks.images.backends.buildah import probe_buildah
from codexctl_tasks.images.backends.buildctl import probe_buildctl
from codexctl_tasks.images.backends.buildx import probe_buildx, probe_docker
from codexctl_tasks.images.backends.workshop import PROBE_TIMEOUT_S, RefusedError
from codexctl_tasks.world.process import Ended
from tests.support.builders import FakeRun, put_programs, workshop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ADDRESS = "tcp://buildkit.example:1234"
REMOTE = "Name:   codexctl\nDriver: remote\n\nNodes:\nName:     codexctl0\nStatus:   running\n"
DENIED = (1, "unshare: unshare failed: Operation not permitted")


class Machine:
    """Some programs, and what they answer."""

    def __init__(self, folder: Path, *programs: str, **environ: str) -> None:
        (folder / "room").mkdir()
        self.room = folder / "room"
        self.run = FakeRun()
        path = put_programs(folder / "bin", *programs)
        self.workshop = workshop(self.run, PATH=path, TMPDIR=str(self.room), **environ)

    def answers(self, **answers: tuple[int, str] | Ended | OSError) -> None:
        """Prepare answers by a part of the command, with ``_`` for a blank."""
        self.run.answers = {part.replace("_", " "): each for part, each in answers.items()}

    def refusal(self, probe: Callable[[Any], object]) -> str:
        """Return why a builder is refused; nothing is left behind."""
        with pytest.raises(RefusedError) as refused:
            probe(self.workshop)
        assert list(self.room.iterdir()) == []
        assert "\n" not in str(refused.value)
        return str(refused.value)


@pytest.mark.parametrize("probe", [probe_buildctl, probe_buildx])
def test_nobody_has_named_a_buildkit(tmp_path: Path, probe: Callable[[Any], object]) -> None:
    """It is not looked for at addresses that nobody has given."""
    machine = Machine(tmp_path, "buildctl", "docker")

    assert machine.refusal(probe) == "BUILDKIT_HOST is not set"
    assert machine.run.asked == []


def test_a_buildkit_without_its_client(tmp_path: Path) -> None:
    """The client is missing here, whatever runs there."""
    machine = Machine(tmp_path, BUILDKIT_HOST=ADDRESS)

    assert machine.refusal(probe_buildctl) == "buildctl is not on PATH"
    assert machine.refusal(probe_buildx) == "docker is not on PATH"


def test_a_buildkit_that_does_not_answer(tmp_path: Path) -> None:
    """What its client says, or that even that does not end."""
    machine = Machine(tmp_path, "buildctl", BUILDKIT_HOST=ADDRESS)

    machine.answers(debug_workers=(1, "\nerror: failed to list workers: connection refused\n\n"))
    said = "error: failed to list workers: connection refused"
    assert machine.refusal(probe_buildctl) == said

    machine.answers(debug_workers=Ended(143, is_over_time=True))
    assert machine.refusal(probe_buildctl) == "buildctl did not answer within 5 s"

    machine.answers(debug_workers=(7, ""))
    assert machine.refusal(probe_buildctl) == "buildctl ended with 7"

    machine.answers(debug_workers=OSError(8, "Exec format error"))
    assert machine.refusal(probe_buildctl) == "buildctl cannot be started: Exec format error"


def test_a_buildkit_that_answers(tmp_path: Path) -> None:
    """Each question has a limit of time."""
    machine = Machine(tmp_path, "buildctl", BUILDKIT_HOST=f" {ADDRESS} ")

    assert probe_buildctl(machine.workshop).address == ADDRESS
    assert machine.run.timeouts_s == [PROBE_TIMEOUT_S]


def test_buildx_for_a_remote_buildkit(tmp_path: Path) -> None:
    """A builder is made in a folder that does not stay, and asked for."""
    machine = Machine(tmp_path, "docker", BUILDKIT_HOST=ADDRESS)
    machine.answers(inspect=(0, REMOTE))

    backend = probe_buildx(machine.workshop)

    assert (backend.name, backend.address) == ("buildx", ADDRESS)
    assert backend.exports_cache
    assert backend.rewrites_times
    assert list(machine.room.iterdir()) == []


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"buildx_version": (1, "docker: unknown command")}, "docker has no buildx: install that"),
        ({"create": (1, "ERROR: invalid address")}, "ERROR: invalid address"),
        ({"inspect": (1, "ERROR: context deadline exceeded")}, "ERROR: context deadline exceeded"),
        (
            {"inspect": (0, "Status: inactive\nError: connection refused")},
            f"{ADDRESS}: connection refused",
        ),
        ({"inspect": (0, "Status: inactive")}, f"{ADDRESS}: does not answer"),
    ],
)
def test_buildx_that_cannot_reach_a_buildkit(
    tmp_path: Path, answers: dict[str, Any], reason: str
) -> None:
    """At whichever step; buildx ends with 0 although a builder does not answer."""
    machine = Machine(tmp_path, "docker", BUILDKIT_HOST=ADDRESS)
    machine.answers(**answers)

    assert machine.refusal(probe_buildx).startswith(reason)


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ((1, "Cannot connect to the Docker daemon"), "Cannot connect to the Docker daemon"),
        ((0, "20.10.24+dfsg1"), "the daemon's version is 20.10.24+dfsg1: 23 or newer is needed"),
        ((0, ""), "the daemon's version is unknown: 23 or newer is needed"),
        ((0, "dev"), "the daemon's version is dev: 23 or newer is needed"),
    ],
)
def test_a_docker_daemon_that_will_not_do(
    tmp_path: Path, version: tuple[int, str], reason: str
) -> None:
    """None, or one that is too old for named contexts."""
    machine = Machine(tmp_path, "docker")
    machine.answers(Server=version)

    assert machine.refusal(probe_docker) == reason


@pytest.mark.parametrize(
    ("driver", "status", "exports", "rewrites"),
    [
        ("docker", "[]", False, False),
        ("docker", '[["driver-type","io.containerd.snapshotter.v1"]]', True, False),
        ("docker-container", "[]", True, True),
        ("kubernetes", "[]", True, True),
    ],
)
def test_what_a_docker_daemon_can(
    tmp_path: Path, driver: str, status: str, *, exports: bool, rewrites: bool
) -> None:
    """That depends on the builder that was chosen there, and on its store."""
    machine = Machine(tmp_path, "docker")
    machine.answers(
        Server=(0, "23.0.1"), inspect=(0, f"Name: x\nDriver:   {driver}\n"), info=(0, status)
    )

    backend = probe_docker(machine.workshop)

    assert backend.name == "docker"
    assert (backend.exports_cache, backend.rewrites_times) == (exports, rewrites)


def _buildah(tmp_path: Path, **answers: Any) -> Machine:
    machine = Machine(tmp_path, "buildah", "unshare", HOME=str(tmp_path))
    machine.answers(**{**answers, "buildah_--version": (0, "buildah version 1.28.2 (image-spec)")})
    return machine


@pytest.mark.parametrize(
    ("answers", "is_root", "storage"),
    [
        ({}, True, "overlay"),
        ({"overlay": (32, "mount: wrong fs type")}, True, "vfs"),
        ({"unshare_--mount": DENIED}, False, "overlay"),
        ({"unshare_--mount": DENIED, "userxattr": (32, "mount: denied")}, False, "vfs"),
    ],
)
def test_buildah(tmp_path: Path, answers: dict[str, Any], *, is_root: bool, storage: str) -> None:
    """As root, or as the root of a user namespace; layers are copied only where they must be."""
    machine = _buildah(tmp_path, **answers)

    backend = probe_buildah(machine.workshop)

    assert (backend.is_root, backend.storage) == (is_root, storage)
    assert list(machine.room.iterdir()) == []


def test_buildah_for_a_user_who_may_not_mount(tmp_path: Path) -> None:
    """The reason is the one why a user namespace does not help either."""
    denied = (1, "unshare: write failed /proc/self/uid_map: Operation not permitted")
    machine = _buildah(tmp_path, **{"unshare_--mount": DENIED, "unshare_--user": denied})

    assert machine.refusal(probe_buildah) == denied[1]
    assert "--user --map-auto --map-root-user --mount mount -t tmpfs none" in machine.run.asked[-1]


def test_an_old_buildah(tmp_path: Path) -> None:
    """Without named contexts and caches in registries it cannot do what is ordered."""
    machine = Machine(tmp_path, "buildah", "unshare", HOME="/root")
    machine.answers(version=(0, "buildah version 1.23.1 (image-spec 1.0.1)"))

    reason = "buildah version 1.23.1 (image-spec 1.0.1): 1.28 or newer is needed"
    assert machine.refusal(probe_buildah) == reason


@pytest.mark.parametrize("missing", ["buildah", "unshare"])
def test_buildah_is_missing(tmp_path: Path, missing: str) -> None:
    """Or what makes its namespaces."""
    machine = Machine(tmp_path, *({"buildah", "unshare"} - {missing}))

    assert machine.refusal(probe_buildah) == f"{missing} is not on PATH"


def test_buildkit_without_root(tmp_path: Path) -> None:
    """Three programs are needed; root needs no such thing."""
    names = ("rootlesskit", "buildkitd", "buildctl")
    machine = Machine(tmp_path, *names)

    assert machine.refusal(lambda shop: rootless.probe_rootless(shop, uid=0)) == (
        "it is for users other than root"
    )
    assert rootless.probe_rootless(machine.workshop, uid=1000).name == "rootless"

    machine.answers(rootlesskit=(1, "[rootlesskit:parent] error: no subuid ranges found"))
    assert machine.refusal(lambda shop: rootless.probe_rootless(shop, uid=1000)) == (
        "[rootlesskit:parent] error: no subuid ranges found"
    )
    (tmp_path / "bin/buildkitd").unlink()
    assert machine.refusal(lambda shop: rootless.probe_rootless(shop, uid=1000)) == (
        "buildkitd is not on PATH"
    )
