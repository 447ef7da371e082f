"""The real Codex CLI, from npm, in an image with git."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.agent.command import TESTED_VERSION
from sandbox import images, prerequisites
from sandbox.places import exclusive, find_places
from sandbox.waiting import BASE_REFERENCE
from tests.support.shell import SLOW_S

if TYPE_CHECKING:
    from pathlib import Path

INTEGRITY = (
    "o05NyAOCDygSPRo1yinzxvkRSdmsZyBD9E7mbpmjRanSfM8lypqWtQgEo4XfNkwhuCR2aFu8mlGOsQGFXVbVww=="
)
"""SHA-512 of the package for x86_64."""
PACKAGE_FILE = f"openai-codex-{TESTED_VERSION}-linux-x64.tgz"
"""As npm calls it."""
_PACKAGE = f"@openai/codex@{TESTED_VERSION}-linux-x64"
_INSIDE = "package/vendor/x86_64-unknown-linux-musl/"
_WANTED = ("bin/codex", "bin/codex-code-mode-host", "codex-path/rg", "codex-resources/bwrap")
"""Codex's default model runs commands by way of the second one alone."""

PROCESS_1 = "while :; do sleep 100000 & wait; done"
"""Takes what has ended off the table, as that of ``examples/agent`` does."""


def push_agent_image(registry: str) -> str:
    """Push an image with Codex, git and Python; return its reference."""
    folder = codex_folder()
    recipe = images.Recipe(
        files=[(folder / name, f"/opt/codex/{name}") for name in _WANTED],
        command=["sh", "-c", PROCESS_1],
        user="1000",
        workdir="/",
        environment=["PATH=/opt/codex/bin:/opt/codex/codex-path:/usr/bin:/bin", "HOME=/tmp"],
    )
    made_of = hashlib.sha256(repr((_WANTED, recipe.command)).encode()).hexdigest()
    tag = f"{TESTED_VERSION}-{made_of[:8]}"  # a node keeps what it once pulled under a tag
    return images.push(registry, f"agent:{tag}", BASE_REFERENCE, recipe)


def codex_folder() -> Path:
    """Return a folder with Codex, which is fetched once for this machine."""
    if os.uname().machine != "x86_64":
        pytest.skip("the hash of Codex is known for x86_64 only")
    cache = find_places().cache
    folder = cache / f"codex-{TESTED_VERSION}"
    with exclusive(cache / "codex.lock", "fetching Codex"):
        if not folder.exists():
            _fetch(folder)
        _unpack(folder)
    return folder


def _fetch(folder: Path) -> None:
    if not shutil.which("npm"):
        prerequisites.install("npm")
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    command = ["npm", "pack", "--silent", "--pack-destination", str(partial), _PACKAGE]
    subprocess.run(command, check=True, timeout=SLOW_S, capture_output=True)
    (package,) = partial.glob("*.tgz")
    with package.open("rb") as file:
        found = base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
    assert found == INTEGRITY, f"{_PACKAGE} is not what was pinned: sha512-{found}"
    package.rename(partial / PACKAGE_FILE)
    partial.rename(folder)


def _unpack(folder: Path) -> None:
    """Take out of the package what is not there yet: the folder may be older than `_WANTED`."""
    missing = [name for name in _WANTED if not (folder / name).exists()]
    if not missing:
        return
    with tarfile.open(folder / PACKAGE_FILE) as archive:
        for name in missing:
            target = folder / name
            target.parent.mkdir(exist_ok=True)
            source = archive.extractfile(_INSIDE + name)
            assert source is not None
            partial = target.with_name(f"{target.name}.partial")
            with partial.open("wb") as file:
                shutil.copyfileobj(source, file)
            partial.chmod(0o755)
            partial.rename(target)
