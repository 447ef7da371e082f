"""buildah at work, as root: what it makes of a Dockerfile, and what it leaves behind."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from codexctl_tasks.errors import DeadlineError, Interrupted
from codexctl_tasks.images.backend import BuildError
from codexctl_tasks.images.backends.buildah import Buildah, probe_buildah
from codexctl_tasks.images.backends.workshop import RefusedError
from codexctl_tasks.references import parse_reference
from codexctl_tasks.world.process import Crew, run_program
from tests.support.builders import Project, workshop
from tests.support.image_files import find_digest, read_config, read_files
from tests.support.images import Pusher, digest_of
from tests.support.processes import command_lines, is_running
from tests.support.registries import PASSWORD, USER, registry
from tests.support.shell import QUICK_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from codexctl_tasks.world.process import Ended

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts as root")
DOCKERFILE = """
FROM {host}/base:1
COPY page /page
RUN mkdir -p /made && cat /page > /made/copy
CMD ["cat", "/made/copy"]
"""


@pytest.fixture
def project(tmp_path: Path, host: str) -> Project:
    """Return a project that pushes to that registry."""
    (tmp_path / "project").mkdir()
    return Project(tmp_path / "project", host)


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """Return the folder for temporary files of the builder."""
    folder = tmp_path / "room"
    folder.mkdir()
    return folder


@pytest.fixture
def ground() -> Iterator[Path]:
    """Give a folder that every user may come to; pytest's own ones are for their owner alone."""
    folder = Path(tempfile.mkdtemp(prefix="ground-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def buildah(room: Path) -> Iterator[Buildah]:
    """Return a builder; whatever has happened, nothing of it stays."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(room.parent), "TMPDIR": str(room)}
    yield probe_buildah(workshop(**environ))
    assert list(room.iterdir()) == []
    assert str(room) not in Path("/proc/self/mountinfo").read_text()
    assert not is_running(str(room))


def test_an_image_is_built_and_pushed(project: Project, buildah: Buildah) -> None:
    """What was copied and what was run is in it; the digest is the registry's."""
    project.write("page", "hello")

    digest = project.build(buildah, project.order(DOCKERFILE.format(host=project.host)))

    assert digest == find_digest(project.host, "app", "1")
    files = read_files(project.host, "app", "1")
    assert files["page"] == files["made/copy"] == b"hello"
    assert read_config(project.host, "app", "1")["config"]["Cmd"] == ["cat", "/made/copy"]
    assert any(line.startswith("STEP 2/4") for line in project.said)


def test_the_same_content_is_the_same_image(project: Project, buildah: Buildah) -> None:
    """Built later, from files that were written later: the digest does not change."""
    order = project.order(DOCKERFILE.format(host=project.host))
    file = project.write("page", "hello")
    first = project.build(buildah, order)
    os.utime(file, (1, 1))

    assert project.build(buildah, order) == first


def test_arguments_are_in_no_command_line(project: Project, buildah: Buildah) -> None:
    """Others on the machine cannot read them; quotes, blanks and no value arrive whole."""
    value = 'it\'s  "quoted" $HOME'
    order = project.order(
        f"FROM {project.host}/base:1\nARG GREETING\nARG EMPTY=full\nARG PATH_TO=/x\n"
        'RUN echo now && sleep 0.3 && echo "$GREETING,$EMPTY,$PATH_TO" > /greeting',
        arguments={"GREETING": value, "EMPTY": "", "UNUSED": "never"},
    )
    seen: list[str] = []

    project.build(
        buildah, order, tell=lambda line: seen.extend(command_lines()) if line == "now" else None
    )

    assert read_files(project.host, "app", "1")["greeting"] == f"{value},,/x\n".encode()
    builders = [line for line in seen if "buildah" in line and "--build-arg GREETING " in line]
    assert builders
    assert "quoted" not in "".join(builders)


def test_named_contexts(project: Project, buildah: Buildah) -> None:
    """Folders and images under names of their own."""
    project.write("assets/logo", "a logo")
    contexts = {
        "assets": project.folder / "assets",
        "shell": parse_reference(f"{project.host}/base:1"),
    }
    order = project.order("FROM shell\nCOPY --from=assets logo /logo\nRUN true", contexts=contexts)

    project.build(buildah, order)

    assert read_files(project.host, "app", "1")["logo"] == b"a logo"


def test_what_is_ignored_is_not_copied(project: Project, buildah: Buildah) -> None:
    """The rules that were found hold, no others: the tool's own file is not looked at."""
    for name in ("page", "secret", "kept"):
        project.write(f"site/{name}", name)
    project.write("site/.containerignore", "kept\n")
    ignore = project.write("my.dockerignore", "secret\n")
    order = project.order("FROM scratch\nCOPY . /", context=project.folder / "site")

    project.build(buildah, replace(order, ignore_file=ignore))
    assert {"page", "kept"} <= set(some := read_files(project.host, "app", "1"))
    assert "secret" not in some

    project.build(buildah, order)
    assert {"page", "kept", "secret"} <= set(read_files(project.host, "app", "1"))


def test_a_step_that_fails(project: Project, buildah: Buildah) -> None:
    """What it wrote is told; nothing is pushed."""
    order = project.order(
        f"FROM {project.host}/base:1\nRUN echo 'no such package' && false",
        target=parse_reference(f"{project.host}/app:never"),
    )

    with pytest.raises(BuildError, match=r"app: buildah failed with exit code \d+: its log says"):
        project.build(buildah, order)

    assert "no such package" in project.said
    assert find_digest(project.host, "app", "never") == ""


def test_a_dockerfile_that_is_gone(project: Project, buildah: Buildah) -> None:
    """Removed since the stack was read: the builder names it."""
    order = project.order("FROM scratch")
    order.dockerfile.unlink()

    with pytest.raises(BuildError, match="buildah failed"):
        project.build(buildah, order)

    assert any("Dockerfile" in line for line in project.said)


def test_nothing_is_pushed_without_push(project: Project, buildah: Buildah) -> None:
    """The build is tried, and that is all."""
    project.write("page", "hello")
    order = project.order(
        DOCKERFILE.format(host=project.host),
        target=parse_reference(f"{project.host}/app:dry"),
        push=False,
        cache=parse_reference(f"{project.host}/dry-cache:layers"),
    )

    assert project.build(buildah, order) == ""

    assert find_digest(project.host, "app", "dry") == ""
    assert not [line for line in project.said if "Pushing cache" in line]


def test_layers_of_an_earlier_build(project: Project, buildah: Buildah) -> None:
    """A machine that has never built it gets its layers from the registry."""
    project.write("page", "hello")
    order = project.order(
        DOCKERFILE.format(host=project.host),
        cache=parse_reference(f"{project.host}/app-cache:layers"),
    )
    first = project.build(buildah, order)
    project.said.clear()

    assert project.build(buildah, order) == first

    assert [line for line in project.said if "Cache pulled from remote" in line]


def test_several_at_once(project: Project, buildah: Buildah) -> None:
    """Each with a storage of its own: none waits for, or harms, another one."""
    project.write("page", "hello")
    order = project.order(DOCKERFILE.format(host=project.host))
    digests: dict[str, str] = {}

    def work(tag: str) -> None:
        target = parse_reference(f"{project.host}/app:{tag}")
        digests[tag] = project.build(buildah, replace(order, target=target))

    threads = [threading.Thread(target=work, args=(tag,)) for tag in ("left", "right")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(digests.values())) == 1
    assert {tag: find_digest(project.host, "app", tag) for tag in digests} == digests


def test_ctrl_c(project: Project, buildah: Buildah) -> None:
    """While a step runs: it ends, and nothing is pushed."""
    order = project.order(f"FROM {project.host}/base:1\nRUN echo begun && sleep 31536001")

    def interrupt(line: str) -> None:
        if line == "begun":
            raise Interrupted(2)

    with pytest.raises(Interrupted):
        project.build(buildah, order, tell=interrupt)

    assert not is_running("sleep 31536001")


def test_ctrl_c_while_several_are_built(project: Project, buildah: Buildah) -> None:
    """Builders in other threads end as well, and tidy up before the run is over."""
    order = project.order(f"FROM {project.host}/base:1\nRUN echo begun && sleep 31536003")
    begun = threading.Barrier(3, timeout=QUICK_S)

    def wait(line: str) -> None:
        if line == "begun":
            begun.wait()

    def work(crew: Crew) -> None:
        with crew.joined(), suppress(Interrupted):
            project.build(buildah, order, tell=wait)

    def run() -> NoReturn:
        with Crew() as crew:
            for _ in range(2):
                threading.Thread(target=work, args=(crew,), daemon=True).start()
            begun.wait()
            raise Interrupted(2)

    with pytest.raises(Interrupted):
        run()

    assert not is_running("sleep 31536003")
    assert not list(Path(buildah.workshop.environ["TMPDIR"]).iterdir())


def test_a_build_that_is_over_its_time(project: Project, buildah: Buildah) -> None:
    """It is ended as well, and that is another failure than a broken build."""
    order = project.order(f"FROM {project.host}/base:1\nRUN echo begun && sleep 31536002")

    with pytest.raises(DeadlineError, match="app: the build was not done in time"):
        project.build(buildah, order, timeout_s=4)

    assert not is_running("sleep 31536002")


def test_where_layers_cannot_be_laid_over_each_other(project: Project, buildah: Buildah) -> None:
    """They are copied: slower, and the same image."""
    project.write("page", "hello")
    order = project.order(DOCKERFILE.format(host=project.host))
    assert buildah.storage == "overlay"

    assert project.build(replace(buildah, storage="vfs"), order) == project.build(buildah, order)


def test_a_registry_that_wants_a_password(project: Project, tmp_path: Path, room: Path) -> None:
    """It is where Docker keeps it; without it the registry's answer is told."""
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    order = project.order("FROM scratch\nCOPY Dockerfile /")
    environ = {"PATH": os.environ["PATH"], "HOME": str(room), "TMPDIR": str(room)}
    stranger = probe_buildah(workshop(**environ))
    backend = probe_buildah(workshop(**environ, DOCKER_CONFIG=str(tmp_path / "docker")))

    with registry(tmp_path / "closed", passwords=True) as closed:
        login = {"auths": {closed.host: {"auth": auth}}}
        (tmp_path / "docker").mkdir()
        (tmp_path / "docker/config.json").write_text(json.dumps(login))
        order = replace(order, target=parse_reference(f"{closed.host}/app:1"))
        digest = project.build(backend, order)
        with pytest.raises(BuildError):
            project.build(stranger, order)

        assert digest_of(Pusher(closed.host, USER, PASSWORD).raw("app", "1")) == digest
    assert "authentication required" in project.said[-1]


def test_a_disk_that_is_full(project: Project, tmp_path: Path) -> None:
    """One failure among others, and the room is given back."""
    small = tmp_path / "small"
    small.mkdir()
    order = project.order(f"FROM {project.host}/base:1\nRUN true")
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(small)}
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", small], check=True)
    try:
        with pytest.raises(BuildError, match="buildah failed with exit code"):
            project.build(probe_buildah(workshop(**environ)), order)
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)
    assert any("no space left on device" in line for line in project.said)


def test_a_user_who_may_not_mount(ground: Path) -> None:
    """The reason is what the system says."""

    def run_as_nobody(command: Sequence[str], **more: Any) -> Ended:
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        return run_program([*nobody, *command], **more)

    environ = {"PATH": os.environ["PATH"], "HOME": str(ground), "TMPDIR": str(ground)}
    with pytest.raises(RefusedError, match=r"^unshare: .*nobody"):
        probe_buildah(workshop(run_as_nobody, **environ))
    assert not list(ground.glob("codexctl-*"))
