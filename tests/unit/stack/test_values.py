"""What templates can refer to, and where each value came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.stack.values import values_of

if TYPE_CHECKING:
    from tests.support.project import Project

STACK = """\
project: shop
envFiles: [a.env]
namespace:
  patterns: {production: prod}
versions:
  go: "1.22"
  tag: "{{ envOr('TAG', 'latest') }}"
baseDomain: {staging: stage.example}
"""


def _values(project: Project, **given: str) -> dict[str, tuple[object, str]]:
    project.write(a_env="FROM_FILE=1\nDB_PASSWORD=hidden\n")
    loaded = project.load(STACK, **given)
    return {value.name: (value.value, value.origin) for value in values_of(loaded)}


def test_every_value_tells_its_origin(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flag, a file with its line, or the process environment."""
    monkeypatch.setenv("TAG", "exported")
    monkeypatch.setenv("NOT_ASKED_FOR", "x")
    project.write(vars_txt="# c\nB: 2\n")

    found = _values(project, vars="A=1", var_file="vars.txt", slot="2")

    assert "NOT_ASKED_FOR" not in str(found)
    assert found.pop("Now")[1] == "clock"
    assert found.pop("ProjectRoot")[0] == str(project.folder.resolve())
    assert found["Env"] == ("staging", "--env")
    assert found["Namespace"] == ("shop-staging", "built-in name")
    assert found["Project"] == ("shop", "services.yaml:1")
    assert found["Slot"] == (2, "--slot")
    assert found["Versions.go"] == ("1.22", "services.yaml:6")
    assert found["Versions.tag"] == ("exported", "services.yaml:7")
    assert found["BaseDomain.staging"] == ("stage.example", "services.yaml:8")
    assert found["Vars.A"] == ("1", "--vars")
    assert found["Vars.B"] == ("2", "vars.txt:2")
    assert "EnvMap.A" not in found  # it is the same value
    assert found["EnvMap.FROM_FILE"] == ("1", "a.env:1")
    assert found["EnvMap.TAG"] == ("exported", "process environment")


@pytest.mark.parametrize(
    ("given", "namespace", "origin"),
    [
        ({"env": "production"}, "prod", "services.yaml:4"),
        ({"namespace": "mine"}, "mine", "--namespace"),
        ({"env": "qa"}, "shop-qa", "built-in name"),
    ],
)
def test_the_origin_of_the_namespace(
    project: Project, given: dict[str, str], namespace: str, origin: str
) -> None:
    """A pattern, the flag, or a built-in name."""
    assert _values(project, **given)["Namespace"] == (namespace, origin)


def test_secrets_are_marked(project: Project) -> None:
    """Whoever shows the values knows which ones not to show."""
    project.write(a_env="FROM_FILE=1\nDB_PASSWORD=hidden\n")

    loaded = project.load(STACK, vars="API_TOKEN=x,A=1")

    assert {value.name for value in values_of(loaded) if value.is_secret} == {
        "Vars.API_TOKEN",
        "EnvMap.DB_PASSWORD",
    }
