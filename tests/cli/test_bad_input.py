"""What a person gets who makes a mistake: one line and the right exit code, never a traceback."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.support.shell import run

if TYPE_CHECKING:
    from pathlib import Path

STACK = """\
project: shop
environments:
  staging: {}
services:
  - name: web
    manifests:
      - path: web.yaml
"""
WEB = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n"
RENDER = ("render", "--env", "staging")

CASES = {
    "no services.yaml": (
        {},
        RENDER,
        3,
        "services.yaml: does not exist: run in the folder of services.yaml, or name it: --config",
    ),
    "broken YAML": (
        {"services.yaml": "project: shop\nservices: [\n"},
        RENDER,
        3,
        "services.yaml:3: is not valid YAML",
    ),
    "a manifest that does not exist": (
        {"services.yaml": STACK},
        RENDER,
        3,
        "services.yaml:7: services.web.manifests[0].path names 'web.yaml', which does not exist",
    ),
    "an undefined name in a template": (
        {"services.yaml": STACK, "web.yaml": WEB + "data: {env: '{{ Evn }}'}\n"},
        RENDER,
        3,
        "web.yaml:4: 'Evn' is undefined: did you mean 'Env'?",
    ),
    "an unknown environment": (
        {"services.yaml": STACK, "web.yaml": WEB},
        ("apply-wait", "--env", "stagin"),
        3,
        "services.yaml:2: environment 'stagin' is not defined: did you mean 'staging'?",
    ),
    "a manifest without a name": (
        {"services.yaml": STACK, "web.yaml": "apiVersion: v1\nkind: ConfigMap\n"},
        RENDER,
        3,
        "web.yaml:1: metadata.name is missing",
    ),
    "no environment": ({}, ("apply-wait",), 2, "--env: is required"),
    "an unknown flag": ({}, ("apply-wait", "--enviroment", "x"), 2, "--enviroment"),
    "an unknown task": ({}, ("aplly-wait",), 2, "aplly-wait"),
    "a bad duration": (
        {},
        ("apply-wait", "--env", "staging", "--wait-timeout", "soon"),
        2,
        "--wait-timeout: 'soon' is no duration: write 90, 90s, 10m or 1h30m",
    ),
    "a kubeconfig that does not exist": (
        {"services.yaml": STACK, "web.yaml": WEB},
        ("apply-wait", "--env", "staging", "--kubeconfig", "nowhere.conf"),
        4,
        "nowhere.conf: no usable cluster access",
    ),
}


@pytest.mark.parametrize(("files", "arguments", "code", "line"), CASES.values(), ids=CASES)
def test_a_mistake_is_one_line(
    tmp_path: Path, files: dict[str, str], arguments: tuple[str, ...], code: int, line: str
) -> None:
    """Where, what and how to mend it; the exit code of its class; nothing on stdout."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    result = run(*arguments, cwd=tmp_path, env={"HOME": str(tmp_path)})

    assert result.returncode == code
    assert line in result.stderr
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_all_problems_of_a_stack_are_reported_at_once(tmp_path: Path) -> None:
    """One run shows every mistake, a line each."""
    items = "".join(f"  - {{name: s{n}, manifests: [{{path: {n}.yaml}}]}}\n" for n in range(3))
    (tmp_path / "services.yaml").write_text(f"project: shop\nservices:\n{items}")
    (tmp_path / "0.yaml").write_text("- a list\n")
    (tmp_path / "1.yaml").write_text("{{ Nowhere }}\n")

    result = run(*RENDER, cwd=tmp_path)

    assert result.returncode == 3
    assert [line.split(":")[1].strip() for line in result.stderr.splitlines()] == [
        "0.yaml",
        "1.yaml",
        "services.yaml",
    ]


def test_an_unreachable_cluster_is_one_line_after_a_few_tries(tmp_path: Path) -> None:
    """The address is named, with exit code 4; the tries in between are told as they happen."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    cluster = f"{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}"
    (tmp_path / "kubeconfig").write_text(
        f"apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{cluster}]\n"
        "users: [{name: c, user: {}}]\ncontexts: [{name: c, context: {cluster: c, user: c}}]\n"
    )
    (tmp_path / "web.yaml").write_text(WEB)

    result = run(
        *("apply-wait", "--manifests", "web.yaml", "--namespace", "shop"),
        *("--kubeconfig", "kubeconfig"),
        cwd=tmp_path,
    )

    assert result.returncode == 4
    *tries, error = result.stderr.splitlines()
    assert len(tries) == 4
    assert all("attempt" in line for line in tries)
    assert error.startswith(f"error: http://127.0.0.1:{port}: cannot be reached: ")
    assert "refused" in error
