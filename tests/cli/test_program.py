"""The command as a user meets it first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from codexctl_tasks import __version__
from tests.support.shell import ROOT, run

if TYPE_CHECKING:
    from pathlib import Path

TASKS = ("apply", "apply-wait", "destroy", "render", "wait")


@pytest.mark.parametrize("program", ["codexctl", "invoke"])
def test_list_names_every_task(program: str) -> None:
    """Both commands offer the same tasks."""
    result = run("--list", cwd=ROOT, program=program)

    assert result.returncode == 0
    assert all(f"  {task} " in result.stdout for task in TASKS)


@pytest.mark.parametrize("program", ["codexctl", "invoke"])
@pytest.mark.parametrize("task", TASKS)
def test_help_explains_flags_and_never_runs_the_task(program: str, task: str) -> None:
    """`TASK --help` is safe, whatever the task does."""
    result = run(task, "--help", cwd=ROOT, program=program)

    assert result.returncode == 0
    assert "--env=STRING" in result.stdout
    assert result.stderr == ""


def test_version() -> None:
    """The version is the package's."""
    assert run("--version", cwd=ROOT).stdout == f"codexctl {__version__}\n"


@pytest.mark.parametrize("program", ["codexctl", "invoke"])
def test_render_prints_manifests_and_nothing_else_on_stdout(tmp_path: Path, program: str) -> None:
    """The output can be piped into any other tool; values come from flags and variables."""
    (tmp_path / "tasks.py").write_text((ROOT / "tasks.py").read_text())
    (tmp_path / "services.yaml").write_text(
        "project: shop\nservices:\n  - {name: web, manifests: [{path: web.yaml}]}\n"
    )
    (tmp_path / "web.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n"
        "data: {tag: '{{ envOr(\"TAG\", \"none\") }}', in: '{{ Namespace }}'}\n"
    )

    result = run(
        "render", "--vars", "TAG=1.10", cwd=tmp_path, env={"CODEXCTL_ENV": "dev"}, program=program
    )

    assert result.returncode == 0, result.stderr
    [document] = yaml.safe_load_all(result.stdout)
    assert document["data"] == {"tag": "1.10", "in": "shop-dev"}
    assert document["metadata"] == {"name": "web", "namespace": "shop-dev"}
