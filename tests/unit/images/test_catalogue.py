"""The images of a stack: what is mirrored from where, what is built from what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import CombinedError
from codexctl_tasks.images.catalogue import Catalogue, catalogue_of
from tests.support.project import Project

if TYPE_CHECKING:
    from pathlib import Path

STACK = """\
project: shop
versions: { web: "2.0", python: "3.12" }
images:
  redis:
    type: external
    from: redis:7.4
    local: localhost:5000/redis:7.4
  web:
    type: build
    repository: localhost:5000/web
    tagTemplate: '{{ index .Versions "web" }}'
    dockerfile: web/Dockerfile
    context: web
    buildArgs: { PYTHON: '{{ index .Versions "python" }}' }
    buildContexts: { shared: shared, base: docker-image://python:3.12 }
  noted: { repository: somewhere }
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return an empty project folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def catalogue(project: Project, stack: str = STACK) -> Catalogue:
    """Return the images of a stack whose files are there."""
    project.write_file("web/Dockerfile", "FROM scratch\n")
    project.write_file("shared/a", "")
    return catalogue_of(project.load(stack))


def test_what_is_mirrored(project: Project) -> None:
    """Source and target in full, with the place in the file."""
    [redis] = catalogue(project).externals

    assert (redis.name, str(redis.source)) == ("redis", "docker.io/library/redis:7.4")
    assert str(redis.target) == "localhost:5000/redis:7.4"
    assert str(redis.location) == "services.yaml:4"


def test_what_is_built(project: Project) -> None:
    """Every path is absolute, every template rendered."""
    [web] = catalogue(project).builds

    assert str(web.target) == "localhost:5000/web:2.0"
    assert web.dockerfile == project.folder / "web" / "Dockerfile"
    assert web.context == project.folder / "web"
    assert web.arguments == {"PYTHON": "3.12"}
    assert web.contexts["shared"] == project.folder / "shared"
    assert str(web.contexts["base"]) == "docker.io/library/python:3.12"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "redis:7.4\n    local",
            "RE DIS\n    local",
            "services.yaml:6: images.redis.from is no",
        ),
        ("localhost:5000/redis:7.4", "localhost:5000/redis", "local names no tag to push to"),
        ("5000/redis:7.4", f"5000/redis:7@sha256:{'a' * 64}", "local names no tag to push to"),
        ("web/Dockerfile", "web/Nosuch", "images.web.dockerfile names a file that does not exist"),
        ("web/Dockerfile", "../x", "images.web.dockerfile leads out of the project: keep it below"),
        ("context: web", "context: nosuch", "context names a folder that does not exist"),
        ("context: web", "context: /", "images.web.context leads out of the project"),
        ("shared: shared", "shared: nosuch", "buildContexts.shared names a folder that does not"),
        ("docker-image://python:3.12", "docker-image://", "buildContexts is no reference"),
        ("localhost:5000/web", "local host/web", "images.web.repository is no reference"),
    ],
)
def test_mistakes(project: Project, old: str, new: str, line: str) -> None:
    """One line each, with the place, before any registry is asked."""
    assert old in STACK

    with pytest.raises(CombinedError) as caught:
        catalogue(project, STACK.replace(old, new))

    assert caught.value.exit_code == 3
    assert line in str(caught.value)


def test_all_mistakes_at_once(project: Project) -> None:
    """Each image says what is wrong with it."""
    stack = STACK.replace("redis:7.4\n    local", "RE DIS\n    local").replace("web/Docker", "x/D")

    with pytest.raises(CombinedError) as caught:
        catalogue(project, stack)

    assert len(caught.value.problems) == 2
