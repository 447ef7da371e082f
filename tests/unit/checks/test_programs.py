"""Programs that the work needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.checks.programs import called_programs, check_programs
from codexctl_tasks.world.process import Ended
from tests.support.checks import lines, subject

if TYPE_CHECKING:
    from pathlib import Path


def _install(folder: Path, *names: str) -> dict[str, str]:
    """Return the variables of somebody who has these programs, and no others."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return {"PATH": str(folder)}


def test_what_is_named_must_be_there(tmp_path: Path) -> None:
    """Where each was found, and what is missing."""
    variables = _install(tmp_path / "bin", "jq")
    checked = subject(tmp_path, variables=variables, programs=("jq", "yq"))

    assert lines(check_programs(checked)) == [
        f"ok jq: {tmp_path}/bin/jq",
        "failed yq: is not on PATH; named as needed: install it, or correct PATH",
    ]


def test_a_program_of_the_project(tmp_path: Path) -> None:
    """A name with a slash is a path from the folder of services.yaml, not from the current one."""
    _install(tmp_path / "tools", "seed")
    checked = subject(tmp_path, programs=("tools/seed", "./tools/nosuch"))

    found = lines(check_programs(checked))

    assert found[0] == f"ok tools/seed: {tmp_path}/tools/seed"
    assert found[1].startswith("failed ./tools/nosuch")


def test_scripts_need_bash(tmp_path: Path) -> None:
    """The first script is named; without scripts nobody needs it."""
    variables = _install(tmp_path / "bin")
    checked = subject(tmp_path, scripts={"services.yaml:7": "echo"}, variables=variables)

    assert lines(check_programs(checked)) == [
        "failed bash: is not on PATH; it runs services.yaml:7: install it, or correct PATH"
    ]
    plain = subject(tmp_path, variables=variables)
    assert lines(check_programs(plain)) == ["ok scripts: none that would need a program"]


def test_what_a_script_seems_to_call_is_a_warning(tmp_path: Path) -> None:
    """Nobody can know what a script does; but who calls kubectl wants to have it."""
    scripts = {
        "services.yaml:7": "kubectl get pods | jq .items",
        "services.yaml:9": "kubectl get pods",
    }
    variables = _install(tmp_path / "bin", "bash", "jq")
    checked = subject(tmp_path, scripts=scripts, variables=variables)

    assert lines(check_programs(checked)) == [
        f"ok bash: {tmp_path}/bin/bash",
        "warning kubectl: is not on PATH; services.yaml:7 seems to call it: install it",
    ]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("kubectl get pods", ["kubectl"]),
        ("  kubectl get pods | jq . && curl -f x; gh pr list", ["kubectl", "jq", "curl", "gh"]),
        ('x="$(kubectl get pods)"\ny=`jq . f`', ["kubectl", "jq"]),
        ("if kubectl get ns; then helm list; else docker ps; fi", ["kubectl", "helm", "docker"]),
        ("if ! kubectl get ns; then exit 1; fi", ["kubectl"]),
        ("A=1 B='x y' kubectl get pods", ["kubectl"]),
        ("sudo kubectl x", ["kubectl"]),
        ("echo kubectl jq", []),
        ("# kubectl get pods\necho ok # jq", []),
        ("echo \\\n  kubectl", []),
        ("kubectl-neat x; ./kubectl y; jq.sh; jqx", []),
        ("echo 'a\n  jq .\n b'", []),
        ("command -v jq >/dev/null && jq . f", []),
        ("kubectl() { echo; }\nkubectl get", []),
        ("run kubectl", []),
        ("", []),
    ],
)
def test_words_where_commands_begin(script: str, expected: list[str]) -> None:
    """Not arguments, comments, texts; nor what the script looks for itself, or brings."""
    assert called_programs(script) == expected


@pytest.mark.parametrize(("version", "warned"), [("3", True), ("5", False), ("oh", False)])
def test_the_bash_of_macos(tmp_path: Path, version: str, warned: bool) -> None:
    """It is of 2007, and scripts of today break in it in strange ways."""
    asked: list[Any] = []

    def run(command: list[str], *, tell: Any, **_: Any) -> Ended:
        asked.append(command[0])
        tell(version)
        return Ended(0)

    variables = _install(tmp_path / "bin", "bash")
    checked = subject(tmp_path, scripts={"a": "true"}, variables=variables, run=run)
    found = lines(check_programs(checked))

    assert asked == [f"{tmp_path}/bin/bash"]
    assert [line.partition(":")[0] for line in found[1:]] == (["warning bash"] if warned else [])
