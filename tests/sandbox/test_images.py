"""Images that are made on this machine."""

from __future__ import annotations

import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from sandbox import images
from sandbox.errors import SandboxError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_same_files_make_the_same_layer(tmp_path: Path) -> None:
    """Pushing again uploads nothing when only times have changed."""
    (tmp_path / "a.py").write_text("print(1)")
    first = images.pack([(tmp_path, "/app")])
    os.utime(tmp_path / "a.py", (1, 1))
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/a.pyc").write_text("")
    assert images.pack([(tmp_path, "/app")]) == first


def test_a_layer_holds_files_folders_and_links(tmp_path: Path) -> None:
    """Programs stay executable, links stay links, and parents are made."""
    (tmp_path / "run").write_text("#!/bin/sh\n")
    (tmp_path / "run").chmod(0o755)
    (tmp_path / "data").write_text("x")
    (tmp_path / "data").chmod(0o600)
    (tmp_path / "link").symlink_to("run")
    with tarfile.open(fileobj=io.BytesIO(images.pack([(tmp_path, "/srv/app")]))) as layer:
        modes = {entry.name: (entry.type, entry.mode) for entry in layer}
    assert modes == {
        "srv": (tarfile.DIRTYPE, 0o755),
        "srv/app": (tarfile.DIRTYPE, 0o755),
        "srv/app/data": (tarfile.REGTYPE, 0o644),
        "srv/app/link": (tarfile.SYMTYPE, 0o777),
        "srv/app/run": (tarfile.REGTYPE, 0o755),
    }


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    """A wrong path is named."""
    with pytest.raises(SandboxError, match=r"nowhere: is not there: check the --add options"):
        images.pack([(tmp_path / "nowhere", "/app")])


@pytest.mark.parametrize(
    ("reference", "expected"), [("web:2", ("web", "2")), ("shop/web", ("shop/web", "latest"))]
)
def test_references(reference: str, expected: tuple[str, str]) -> None:
    """A reference without a tag means ``latest``."""
    assert images.split_reference(reference) == expected
