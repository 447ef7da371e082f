"""A git server with a small repository, and an agent's workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.git_server import GitServer, git_server, run_git
from tests.support.project import Project
from tests.support.workspaces import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "shop/web"
FILES = {
    "README.md": "# Shop\n",
    "src/app.py": "print('shop')\n",
    ".github/workflows/ci.yml": "on: push\n",
    "services.yaml": "project: shop\n",
}


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[GitServer]:
    """Run a server with a repository of two commits on main."""
    with git_server(tmp_path / "forge") as running:
        bare = running.create(NAME)
        clone = tmp_path / "developer"
        run_git(tmp_path, "clone", "--quiet", str(bare), str(clone))
        run_git(clone, "commit", "--quiet", "--allow-empty", "--message", "empty")
        for name, content in FILES.items():
            path = clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        run_git(clone, "add", "--all")
        run_git(clone, "commit", "--quiet", "--message", "first")
        run_git(clone, "push", "--quiet", "origin", "HEAD:main")
        yield running


@pytest.fixture
def workspace(tmp_path: Path, forge: GitServer) -> Workspace:
    """Give a clone of it."""
    return Workspace(tmp_path / "volume", forge.root / f"{NAME}.git")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return an empty project folder, which is the current one."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return Project(folder)
