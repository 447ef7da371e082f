"""
Clients of BuildKit, as they are called: programs in their place note it and push a real image.

What stands here has been compared with the documentation of buildctl and buildx.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import DeadlineError, Interrupted
from codexctl_tasks.images.backend import BuildError
from codexctl_tasks.images.backends.buildctl import probe_buildctl
from codexctl_tasks.images.backends.buildx import probe_buildx, probe_docker
from codexctl_tasks.images.backends.rootless import Rootless
from codexctl_tasks.references import parse_reference
from tests.support.builders import Project, StandIns, workshop
from tests.support.image_files import find_digest
from tests.support.processes import is_running
from tests.support.registries import registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codexctl_tasks.images.backend import BuildOrder

ADDRESS = "tcp://buildkit.example:1234"
CACHE = "type=registry,ref=registry.example.com/shop/app:cache"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give a registry."""
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running.host


@pytest.fixture
def project(tmp_path: Path, host: str) -> Project:
    """Return a project that pushes to that registry."""
    (tmp_path / "project").mkdir()
    return Project(tmp_path / "project", host)


@pytest.fixture
def stand_ins(tmp_path: Path) -> StandIns:
    """Return programs in place of builders."""
    return StandIns(tmp_path / "bin")


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Path]:
    """Give the folder for temporary files; whatever has happened, nothing stays in it."""
    folder = tmp_path / "room"
    folder.mkdir()
    yield folder
    assert list(folder.iterdir()) == []


def _everything(project: Project) -> BuildOrder:
    """Return an order that uses all there is."""
    return replace(
        project.order("FROM scratch"),
        dockerfile=project.write("deploy/web.Dockerfile", "FROM scratch"),
        contexts={
            "assets": project.folder / "assets",
            "base": parse_reference("registry.example.com/base:1"),
        },
        arguments={"VERSION": "1.2", "API_TOKEN": "hunter2-hunter2", "HTTP_PROXY": "http://proxy"},
        platform="linux/arm64",
        cache=parse_reference("registry.example.com/shop/app:cache"),
    )


def _image(project: Project) -> str:
    """Return the first words of where the image goes."""
    return f"type=image,name={project.host}/app:1,push=true,oci-mediatypes=true"


def _pairs(argv: list[str]) -> list[tuple[str, str]]:
    """Return flags with the word that follows each."""
    return [(word, argv[i + 1]) for i, word in enumerate(argv[:-1]) if word.startswith("--")]


def test_buildctl(project: Project, stand_ins: StandIns, room: Path) -> None:
    """All that was ordered, in the words of buildctl; the digest is the registry's."""
    path = stand_ins.put("buildctl")
    machine = workshop(PATH=path, BUILDKIT_HOST=ADDRESS, TMPDIR=str(room))
    backend = probe_buildctl(machine)

    digest = project.build(backend, _everything(project))

    assert digest == find_digest(project.host, "app", "1") != ""
    argv, environ = stand_ins.call("build")
    metadata = argv[-1]
    assert argv == [
        *("buildctl", "--addr", ADDRESS, "build", "--progress", "plain"),
        *("--frontend", "dockerfile.v0"),
        *("--local", f"context={project.folder}"),
        *("--local", f"dockerfile={project.folder}/deploy"),
        *("--opt", "filename=web.Dockerfile"),
        *("--opt", "platform=linux/arm64"),
        *("--opt", "build-arg:API_TOKEN=hunter2-hunter2"),
        *("--opt", "build-arg:HTTP_PROXY=http://proxy"),
        *("--opt", "build-arg:VERSION=1.2"),
        *("--local", f"named-0={project.folder}/assets"),
        *("--opt", "context:assets=local:named-0"),
        *("--opt", "context:base=docker-image://registry.example.com/base:1"),
        *("--import-cache", CACHE),
        "--export-cache",
        f"{CACHE},mode=max,image-manifest=true,oci-mediatypes=true,ignore-error=true",
        "--output",
        f"{_image(project)},rewrite-timestamp=true,registry.insecure=true",
        *("--metadata-file", metadata),
    ]
    assert environ["SOURCE_DATE_EPOCH"] == "0"
    warning = "warning: others on this machine can see the build arguments API_TOKEN"
    assert project.said == [warning, "building"]


def test_buildctl_asks_a_daemon_first(stand_ins: StandIns, room: Path) -> None:
    """The probe: a list of its workers, which comes from the daemon."""
    path = stand_ins.put("buildctl")

    probe_buildctl(workshop(PATH=path, BUILDKIT_HOST=ADDRESS, TMPDIR=str(room)))

    (asked,) = [argv for argv, _ in stand_ins.calls]
    assert asked == ["buildctl", "--addr", ADDRESS, "--timeout", "4", "debug", "workers"]


def test_buildx_for_a_remote_buildkit(project: Project, stand_ins: StandIns, room: Path) -> None:
    """A builder that Docker's own settings never hear of; values are in no command line."""
    path = stand_ins.put("docker")
    machine = workshop(
        PATH=path, BUILDKIT_HOST=ADDRESS, TMPDIR=str(room), DOCKER_CONFIG="/etc/docker-config"
    )
    backend = probe_buildx(machine)
    stand_ins.forget()

    digest = project.build(backend, _everything(project))

    assert digest == find_digest(project.host, "app", "1") != ""
    creation, _ = stand_ins.call("create")
    assert creation == [
        *("docker", "buildx", "create", "--name", "codexctl", "--driver", "remote", ADDRESS)
    ]
    argv, environ = stand_ins.call("build")
    assert argv == [
        *("docker", "buildx", "build", "--builder", "codexctl", "--progress", "plain"),
        *("--provenance=false", "--sbom=false", "--pull"),
        *("--file", f"{project.folder}/deploy/web.Dockerfile"),
        *("--platform", "linux/arm64"),
        *("--build-arg", "API_TOKEN"),
        *("--build-arg", "HTTP_PROXY=http://proxy"),
        *("--build-arg", "VERSION"),
        *("--build-context", f"assets={project.folder}/assets"),
        *("--build-context", "base=docker-image://registry.example.com/base:1"),
        *("--cache-from", CACHE),
        "--cache-to",
        f"{CACHE},mode=max,image-manifest=true,oci-mediatypes=true,ignore-error=true",
        "--output",
        f"{_image(project)},rewrite-timestamp=true,registry.insecure=true",
        *("--metadata-file", argv[-2]),
        str(project.folder),
    ]
    assert environ["API_TOKEN"] == "hunter2-hunter2"
    assert environ["SOURCE_DATE_EPOCH"] == "0"
    assert environ["BUILDX_CONFIG"].startswith(str(room))
    assert environ["DOCKER_CONFIG"] == "/etc/docker-config"
    assert "HTTP_PROXY" not in environ


def test_a_docker_daemon(project: Project, stand_ins: StandIns, room: Path) -> None:
    """Its own builder neither stores layers in a registry nor changes times, and that is said."""
    path = stand_ins.put("docker", inspect="Name: default\nDriver:   docker\n")
    backend = probe_docker(workshop(PATH=path, TMPDIR=str(room)))

    digest = project.build(backend, _everything(project))

    assert digest == find_digest(project.host, "app", "1") != ""
    argv, environ = stand_ins.call("build")
    flags = _pairs(argv)
    assert "--builder" not in argv
    assert "--cache-to" not in argv
    assert ("--cache-from", CACHE) in flags
    assert ("--output", f"{_image(project)},registry.insecure=true") in flags
    assert "BUILDX_CONFIG" not in environ
    assert project.said[0].startswith("this Docker daemon cannot store layers in a registry")


@pytest.mark.parametrize(
    ("driver", "status"),
    [("docker", '[["driver-type","io.containerd.snapshotter.v1"]]'), ("docker-container", "[]")],
)
def test_daemons_that_can_more(
    project: Project, stand_ins: StandIns, tmp_path: Path, driver: str, status: str
) -> None:
    """With containerd's store, or with a builder that was made for it, layers are kept."""
    path = stand_ins.put("docker", inspect=f"Driver: {driver}", info=status)
    backend = probe_docker(workshop(PATH=path, TMPDIR=str(tmp_path)))

    project.build(backend, _everything(project))

    argv, _ = stand_ins.call("build")
    assert "--cache-to" in argv
    assert ("rewrite-timestamp=true" in " ".join(argv)) is (driver != "docker")


def test_nothing_is_pushed_without_push(project: Project, stand_ins: StandIns, room: Path) -> None:
    """Neither the image nor its layers."""
    path = stand_ins.put("docker", "buildctl")
    machine = workshop(PATH=path, BUILDKIT_HOST=ADDRESS, TMPDIR=str(room))
    target = parse_reference(f"{project.host}/app:dry")
    order = replace(_everything(project), push=False, target=target)
    backends = [probe_buildctl(machine), probe_buildx(machine)]

    for backend in backends:
        stand_ins.forget()
        assert project.build(backend, order) == ""
        argv, _ = stand_ins.call("build")
        assert not {"--cache-to", "--export-cache"} & set(argv)
        assert "push=true" not in " ".join(argv)
    assert ("--output", "type=cacheonly") in _pairs(argv)
    assert find_digest(project.host, "app", "dry") == ""


def test_a_build_that_fails(project: Project, stand_ins: StandIns, room: Path) -> None:
    """What the builder says is told."""
    path = stand_ins.put("buildctl", fails="error: failed to solve: no such file")
    backend = probe_buildctl(workshop(PATH=path, BUILDKIT_HOST=ADDRESS, TMPDIR=str(room)))

    with pytest.raises(BuildError, match="app: buildctl failed with exit code 1: its log says why"):
        project.build(backend, project.order("FROM scratch"))

    assert project.said == ["building", "error: failed to solve: no such file"]


def test_a_builder_that_does_not_tell_the_digest(
    project: Project, stand_ins: StandIns, room: Path
) -> None:
    """Nobody can deploy what has no name: that is a failure."""
    path = stand_ins.put("buildctl", mute="yes")
    backend = probe_buildctl(workshop(PATH=path, BUILDKIT_HOST=ADDRESS, TMPDIR=str(room)))

    with pytest.raises(BuildError, match="does not say under which digest"):
        project.build(backend, project.order("FROM scratch"))


def _rootless(stand_ins: StandIns, room: Path, **answers: str) -> Rootless:
    path = stand_ins.put("rootlesskit", "buildkitd", "buildctl", **answers)
    return Rootless(
        workshop=workshop(PATH=path, TMPDIR=str(room)),
        rootlesskit=str(stand_ins.folder / "rootlesskit"),
        daemon=str(stand_ins.folder / "buildkitd"),
        client=str(stand_ins.folder / "buildctl"),
    )


def test_a_buildkit_for_one_build(project: Project, stand_ins: StandIns, room: Path) -> None:
    """The daemon is started in the namespaces of rootlesskit, asked, and ended."""
    digest = project.build(_rootless(stand_ins, room), _everything(project))

    assert digest == find_digest(project.host, "app", "1") != ""
    outer, _ = stand_ins.call("--net=host")
    folder = Path(outer[2].removeprefix("--state-dir=")).parent
    assert folder.parent == room
    daemon, served = next(call for call in stand_ins.calls if call[0][0] == "buildkitd")
    assert daemon == [
        *("buildkitd", "--addr", f"unix://{folder}/buildkitd.sock"),
        *("--root", f"{folder}/root", "--config", f"{folder}/buildkitd.toml"),
        "--containerd-worker=false",
    ]
    assert served["XDG_RUNTIME_DIR"] == str(folder)
    assert served["USER"] not in ("", "root")
    client, environ = stand_ins.calls[-1]
    assert client[:4] == ["buildctl", "--addr", f"unix://{folder}/buildkitd.sock", "build"]
    assert environ["SOURCE_DATE_EPOCH"] == "0"
    assert not is_running(str(room))


def test_a_buildkit_for_a_build_that_fails(
    project: Project, stand_ins: StandIns, room: Path
) -> None:
    """The daemon ends as well."""
    backend = _rootless(stand_ins, room, fails="error: no")

    with pytest.raises(BuildError, match="buildkitd failed with exit code 1"):
        project.build(backend, project.order("FROM scratch"))

    assert not is_running(str(room))


def test_a_buildkit_that_does_not_start(project: Project, stand_ins: StandIns, room: Path) -> None:
    """What it says is told, and that it did not start."""
    backend = replace(_rootless(stand_ins, room), daemon="/bin/false")

    with pytest.raises(BuildError):
        project.build(backend, project.order("FROM scratch"))

    assert project.said[-1] == "buildkitd did not start"


def test_ctrl_c_ends_the_daemon(project: Project, stand_ins: StandIns, room: Path) -> None:
    """While its client works."""

    def interrupt(line: str) -> None:
        if line == "building":
            raise Interrupted(2)

    with pytest.raises(Interrupted):
        project.build(_rootless(stand_ins, room), project.order("FROM scratch"), tell=interrupt)

    assert not is_running(str(room))


def test_a_build_that_is_over_its_time(project: Project, stand_ins: StandIns, room: Path) -> None:
    """That is another failure than a broken build."""
    path = stand_ins.put("buildctl", sleeps="60")
    backend = probe_buildctl(workshop(PATH=path, BUILDKIT_HOST=ADDRESS, TMPDIR=str(room)))

    with pytest.raises(DeadlineError, match="app: the build was not done in time"):
        project.build(backend, project.order("FROM scratch"), timeout_s=1)
