"""What counts of a context is what a real builder sees: buildah packs it, the files are listed."""

from __future__ import annotations

import os
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.images.contexts import Content
from codexctl_tasks.images.ignoring import parse_rules
from tests.support.builds import Project
from tests.support.registries import require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = """
    README.md x.md x.log logs/a.log logs/keep/b.log src/app.py src/app.pyc src/lib/util.py
    src/lib/node_modules/dep/index.js node_modules/dep/index.js docs/guide.md docs/api/ref.md
    data/set1 data/set2 .git/config .env d/f1 d/g [x]/y sp\u00e4t/z
""".split()  # noqa: SIM905 - a list of so many is read more easily so


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a context with all kinds of files, an empty folder and a link."""
    project = Project(tmp_path_factory.mktemp("context"))
    for path in FILES:
        project.write(path)
    (project.root / "empty").mkdir()
    (project.root / "link").symlink_to("x.md")
    return project


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder for buildah, which only root can give it everywhere."""
    if os.geteuid() != 0:
        pytest.skip("buildah without root needs user namespaces")
    require("buildah")
    yield (folder := tmp_path_factory.mktemp("buildah"))
    subprocess.run(["buildah", *_storage(folder), "rm", "--all"], check=True, capture_output=True)


def _storage(folder: Path) -> list[str]:
    storage = ["--root", f"{folder}/root", "--runroot", f"{folder}/run"]
    return [*storage, "--storage-driver", "vfs"]


def packed(context: Path, rules: str, folder: Path) -> set[str]:
    """Return what an image has into which everything is copied."""
    (folder / "rules").write_text(rules, encoding="utf-8")
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    words = ["--isolation", "chroot", "--ignorefile", f"{folder}/rules"]
    words += ["--file", f"{folder}/Dockerfile", "--output", f"type=tar,dest={folder}/image.tar"]
    subprocess.run(
        ["buildah", *_storage(folder), "build", *words, str(context)],
        check=True,
        capture_output=True,
        timeout=120,
    )
    with tarfile.open(folder / "image.tar") as archive:
        return {name.strip("/") for name in archive.getnames()}


@pytest.mark.parametrize(
    "rules",
    [
        "",
        "*.log\n.git\n**/node_modules\n**/*.pyc\n",
        "*\n!src\n!README.md\nsrc/lib/node_modules\n",
        "**/*.md\n!README.md\n!docs/api\n",
        "logs\n!logs/keep\n",
        "/data/set[1]\n?.md\nempty/\n",
        "sp\u00e4*\n\\[x\\]\n./docs/../.env\n",
        "d\n!d/nope\n",
        "link\n**log\n",
        "*\n!docs\n!data/*2\n",
    ],
)
def test_the_same_files(context: Project, storage: Path, rules: str) -> None:
    """Neither more, which would build needlessly, nor less, which would not build at all."""
    ours = {entry.path for entry in Content(context.root, parse_rules(rules, "x")).entries}
    assert ours == packed(context.root, rules, storage)


@pytest.mark.parametrize("rules", ["d\n!d/f1\nd\n", "d/f*\n!d\n", "**\n!**/*.py\n", "*\n!**log\n"])
def test_never_less(context: Project, storage: Path, rules: str) -> None:
    """Where builders differ, everything counts that one of them sees."""
    ours = {entry.path for entry in Content(context.root, parse_rules(rules, "x")).entries}
    assert ours >= packed(context.root, rules, storage)
