"""Hooks on the command line, and packages that bring some."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.shell import QUICK_S, ROOT, clean_environment, run

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = ROOT / "examples" / "hooks-package"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Install the example package and return the environment in which it is found."""
    target = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "acme_hooks.py"):  # setuptools writes beside them
        (source / name).write_bytes((PACKAGE / name).read_bytes())
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"),
            *("--no-build-isolation", "--target", target, source),
        ],
        env=clean_environment(),
        check=True,
        timeout=QUICK_S,
    )
    return {"PYTHONPATH": str(target)}


def test_all_hooks_with_parameters_and_an_example(tmp_path: Path) -> None:
    """One list, on stdout."""
    listed = run("hooks", cwd=tmp_path)

    assert listed.returncode == 0
    lines = listed.stdout.splitlines()
    at = lines.index("sleep")
    assert lines[at : at + 5] == [
        "sleep",
        "    Wait for a while.",
        "    duration         How long, such as 10s. (duration, required)",
        "        - use: sleep",
        "          with: { duration: 10s }",
    ]
    assert "codex.ensure-data-dirs" in lines


def test_one_hook(tmp_path: Path) -> None:
    """By its name."""
    listed = run("hooks", "sleep", cwd=tmp_path)

    assert listed.stdout.splitlines()[0] == "sleep"
    assert "preflight" not in listed.stdout


def test_the_list_for_programs(tmp_path: Path) -> None:
    """With the schema of the parameters of each."""
    listed = run("hooks", "--output", "json", cwd=tmp_path)

    hooks = {each["name"]: each for each in json.loads(listed.stdout)}
    assert hooks["sleep"]["parameters"]["required"] == ["duration"]


def test_one_hook_alone(tmp_path: Path) -> None:
    """Without a stack, without a cluster; also as invoke writes it."""
    done = run("hooks", "run", "sleep", "--with", "duration=10ms", cwd=tmp_path)
    (tmp_path / "tasks.py").write_text("from codexctl_tasks.tasks import namespace\n")
    same = run(
        *("hooks", "--run", "sleep", "--with", "duration=10ms"), cwd=tmp_path, program="invoke"
    )

    for each in (done, same):
        assert each.returncode == 0
        assert "hook     sleeping for 0.01 s" in each.stderr


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (
            ("run", "sleap"),
            2,
            "hooks: there is no hook 'sleap': did you mean 'sleep'?",
        ),
        (("run",), 2, "hooks run: names no hook: known are codex.ensure-data-dirs, "),
        (("sleap",), 2, "hooks: there is no hook 'sleap': did you mean 'sleep'?"),
        (
            ("run", "sleep"),
            2,
            "--with: sleep: duration is missing: add duration: to with",
        ),
        (
            ("run", "sleep", "--with", "duration"),
            2,
            "--with: has no KEY=VALUE: write --with dirs='[postgres, redis]'",
        ),
        (
            ("run", "sleep", "--with", "duration=[1"),
            2,
            "--with: the value of duration is no YAML: put it in quotes",
        ),
        (
            ("--with", "a=b"),
            2,
            "--with: is for hooks run: write codexctl hooks run NAME --with KEY",
        ),
        (
            ("run", "sleep", "--with", "duration=20s", "--timeout", "1s"),
            70,
            "hooks run: hook sleep: sleep: 20 s are longer than the 1 s",
        ),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, words: tuple[str, ...], code: int, line: str
) -> None:
    """With the exit code for wrong usage."""
    done = run("hooks", *words, cwd=tmp_path)

    assert done.returncode == code
    assert f"error: {line}" in done.stderr
    assert done.stdout == ""


def test_a_package_brings_a_hook(tmp_path: Path, installed: dict[str, str]) -> None:
    """The example package: listed, run, and checked in a stack before anything is applied."""
    listed = run("hooks", "acme.announce", cwd=tmp_path, env=installed)
    done = run("hooks", "run", "acme.announce", "--with", "text=hi", cwd=tmp_path, env=installed)
    (tmp_path / "services.yaml").write_text(
        "project: shop\nhooks:\n  beforeAll:\n    - use: acme.announce\n      with: { txt: hi }\n"
    )
    refused = run("apply", "--env", "staging", cwd=tmp_path, env=installed)

    assert "urlVariable" in listed.stdout
    assert "warning: acme.announce: CHAT_WEBHOOK is not set: nothing is announced" in done.stderr
    assert refused.returncode == 3
    assert "services.yaml:5: acme.announce: txt is no parameter of it: did you mean 'text'?" in (
        refused.stderr
    )


def test_a_broken_package_is_named(tmp_path: Path, installed: dict[str, str]) -> None:
    """It takes nothing else down."""
    info = tmp_path / "broken_hooks-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-hooks\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text("[codexctl.hooks]\nbroken.tell = nosuch_module:tell\n")
    env = {"PYTHONPATH": f"{tmp_path}:{installed['PYTHONPATH']}"}

    listed = run("hooks", cwd=tmp_path, env=env)
    refused = run("hooks", "run", "broken.tell", cwd=tmp_path, env=env)
    fine = run("hooks", "run", "sleep", "--with", "duration=1ms", cwd=tmp_path, env=env)

    reason = (
        "package broken-hooks 2.0 cannot be imported: "
        "ModuleNotFoundError: No module named 'nosuch_module'"
    )
    assert f"broken.tell  cannot be used: {reason}" in listed.stdout
    assert "acme.announce" in listed.stdout
    assert refused.returncode == 2
    assert f"'broken.tell' cannot be used: {reason}: mend the package" in refused.stderr
    assert fine.returncode == 0


def test_the_package_has_tests_that_pass(installed: dict[str, str]) -> None:
    """What docs/writing-hooks.md shows works."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"),
            *("-c", "pyproject.toml", "--rootdir", ".", "--import-mode=importlib"),
        ],
        cwd=PACKAGE,
        env=clean_environment(**installed),
        capture_output=True,
        text=True,
        timeout=QUICK_S,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout
