"""What is shipped."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

from codexctl_tasks import __version__
from tests.support.shell import QUICK_S, ROOT, clean_environment

if TYPE_CHECKING:
    from pathlib import Path


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    """Neither the sandbox nor tests or examples get onto a user's machine."""
    source = tmp_path / "source"
    source.mkdir()
    archive = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        capture_output=True,
        text=True,
        check=True,
    )
    for name in archive.stdout.split("\0"):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"),
            *("--no-index", "--wheel-dir", tmp_path, source),
        ],
        env=clean_environment(),
        check=True,
        timeout=QUICK_S,
    )

    [wheel] = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()

    assert wheel.name == f"codexctl_tasks-{__version__}-py3-none-any.whl"
    assert {name.split("/")[0] for name in names} == {
        "codexctl_tasks",
        f"codexctl_tasks-{__version__}.dist-info",
    }
    assert {
        "codexctl_tasks/world/kubernetes.py",
        "codexctl_tasks/reports/page.html.j2",
        "codexctl_tasks/reports/page.css",
    } <= set(names)


def test_what_makes_files_is_loaded_only_for_them(tmp_path: Path) -> None:
    """A run without --html starts as fast as before: no template engine for plain manifests."""
    (tmp_path / "a.yaml").write_text("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}")
    program = (
        "import sys; from codexctl_tasks.program import main\n"
        "try: main()\n"
        "finally: print([m for m in ('jinja2', 'xml', 'html.entities') if m in sys.modules])"
    )
    flags = ("--manifests", "a.yaml", "--namespace", "shop", "--kubeconfig", "none-such")

    result = subprocess.run(
        [sys.executable, "-c", program, "apply-wait", *flags],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=QUICK_S,
        check=False,
    )

    assert result.stdout == "[]\n", result.stderr
