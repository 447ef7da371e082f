"""Whole builds with a real builder and a real registry: order, skipping, ignore files, failures."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.console import Console
from codexctl_tasks.errors import Location
from codexctl_tasks.images.backends.buildah import probe_buildah
from codexctl_tasks.images.building import BuildSettings, build_images
from codexctl_tasks.images.catalogue import Build
from codexctl_tasks.references import parse_reference
from codexctl_tasks.registry.client import connect
from codexctl_tasks.world.clock import SystemClock
from codexctl_tasks.world.process import run_program
from tests.support.builders import workshop
from tests.support.builds import Project
from tests.support.image_files import read_files

if TYPE_CHECKING:
    from pathlib import Path

    from codexctl_tasks.images.results import BuildResult

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts as root")


class Stack:
    """Images on disk, built as `codexctl images-build` builds them."""

    def __init__(self, folder: Path, host: str, prefix: str) -> None:
        self.host, self.prefix = host, prefix
        self.project = Project(folder / "project")
        self._folder = folder
        self._environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder)}

    def image(self, name: str, dockerfile: str, **more: Any) -> Build:
        """Return a build; ``HOST`` in its Dockerfile leads to the images of this stack."""
        file = self.project.write(
            f"{name}/Dockerfile", dockerfile.replace("HOST", f"{self.host}/{self.prefix}")
        )
        return Build(
            name=name,
            target=parse_reference(f"{self.host}/{self.prefix}/{name}:1"),
            dockerfile=file,
            context=file.parent,
            location=Location("services.yaml", 1),
            **more,
        )

    def run(self, *builds: Build, **settings: Any) -> dict[str, BuildResult]:
        """Build with a client and a builder of its own."""
        clock = SystemClock()
        client = connect(
            self._environ, plain_http_hosts=(), clock=clock, announce=print, run=run_program
        )
        try:
            results = build_images(
                builds,
                [],
                client,
                lambda: probe_buildah(workshop(**self._environ)),
                BuildSettings(
                    console=Console(io.StringIO()),
                    clock=clock,
                    logs=self._folder / "logs",
                    **{"caches_layers": False, **settings},
                ),
            )
        finally:
            client.close()
        return {result.name: result for result in results}

    def files(self, name: str) -> dict[str, bytes]:
        """Return the files of an image as the registry has it."""
        return read_files(self.host, f"{self.prefix}/{name}", "1")


@pytest.fixture
def stack(tmp_path: Path, host: str, request: pytest.FixtureRequest) -> Stack:
    """Return a stack whose images nobody else has."""
    return Stack(tmp_path, host, request.node.name.removeprefix("test_").replace("_", "-"))


def what(results: dict[str, BuildResult]) -> dict[str, str]:
    """Return what was done; failures show why."""
    return {name: str(each.error or each.done) for name, each in results.items()}


def test_one_needs_the_other(stack: Stack) -> None:
    """The base is built first; a change in it reaches what is built from it."""
    stack.project.write("common/text", "one")
    web = stack.image("web", "FROM HOST/common:1\nRUN cat /text > /copy")
    common = stack.image("common", f"FROM {stack.host}/base:1\nCOPY text /text")

    first = stack.run(web, common)
    assert what(first) == {"web": "built", "common": "built"}
    assert stack.files("web")["copy"] == b"one"
    again = stack.run(web, common)
    assert what(again) == {"web": "unchanged", "common": "unchanged"}
    assert [each.digest for each in again.values()] == [each.digest for each in first.values()]

    stack.project.write("common/text", "two")
    assert what(stack.run(web, common)) == {"web": "built", "common": "built"}
    assert stack.files("web")["copy"] == b"two"


def test_ignore_files_hold(stack: Stack) -> None:
    """In the context and in a named context nothing is seen that does not count."""
    project = stack.project
    for path in ("web/app", "web/noise.log", "assets/logo", "assets/noise.log", "assets/sub/x.log"):
        project.write(path, path)
    project.write("web/Dockerfile.dockerignore", "*.log\n.dockerignore\nDockerfile*\n")
    project.write("web/.dockerignore", "app\n")
    project.write("assets/.dockerignore", "**/*.log\n.dockerignore\n")
    web = stack.image(
        "web",
        "FROM scratch\nCOPY . /app/\nCOPY --from=assets . /assets/",
        contexts={"assets": project.root / "assets"},
    )

    assert what(stack.run(web)) == {"web": "built"}
    assert set(stack.files("web")) == {"app/app", "assets/logo"}


def test_a_failure_beside_a_success(stack: Stack) -> None:
    """Both run at once; the log has what the builder said, and what needs it is skipped."""
    bad = stack.image("bad", f"FROM {stack.host}/base:1\nRUN echo so far so good && false")
    good = stack.image("good", f"FROM {stack.host}/base:1\nRUN sleep 0.5 && echo yes > /yes")
    late = stack.image("late", "FROM HOST/bad:1")

    results = stack.run(bad, good, late, jobs=2)

    assert [str(each.done) for each in results.values()] == ["failed", "built", "skipped"]
    assert results["bad"].error is not None
    assert results["bad"].error.exit_code == 5
    assert any("so far so good" in line for line in results["bad"].tail)
    assert stack.files("good")["yes"] == b"yes\n"
