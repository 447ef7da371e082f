"""Variables from everywhere: which value wins, and where it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import CombinedError, UsageError

if TYPE_CHECKING:
    from tests.support.project import Project

STACK = "project: shop\nenvFiles: [first.env, second.env]\n"


@pytest.fixture
def files(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    project.write(
        services_yaml=STACK,
        first_env="FIRST=1\nBOTH=1\nVAR=1\nALL=1\nEXPORTED=file\n",
        second_env="SECOND=2\nBOTH=2\nVAR=2\nALL=2\n",
        vars_txt="VAR: file\nALL: file\n",
    )
    monkeypatch.setenv("EXPORTED", "process")
    monkeypatch.setenv("ONLY_EXPORTED", "process")
    monkeypatch.setenv("ALL", "process")
    return project


def test_the_later_source_wins_and_is_remembered(files: Project) -> None:
    """Process environment, env files in order, --var-file, --vars; each value tells its origin."""
    variables = files.load(var_file="vars.txt", vars="ALL=flag").context.variables

    found = {
        name: (variables.env_map[name].value, variables.env_map[name].origin)
        for name in ("ONLY_EXPORTED", "EXPORTED", "FIRST", "SECOND", "BOTH", "VAR", "ALL")
    }
    assert found == {
        "ONLY_EXPORTED": ("process", "process environment"),
        "EXPORTED": ("file", "first.env:5"),
        "FIRST": ("1", "first.env:1"),
        "SECOND": ("2", "second.env:1"),
        "BOTH": ("2", "second.env:2"),
        "VAR": ("file", "vars.txt:1"),
        "ALL": ("flag", "--vars"),
    }
    assert {name: v.value for name, v in variables.vars.items()} == {"VAR": "file", "ALL": "flag"}
    assert {name: v.value for name, v in variables.user_vars.items()} == {"ALL": "flag"}


def test_values_are_not_in_the_representation(files: Project) -> None:
    """A variable may be a secret: an object in a traceback does not show it."""
    assert "process" not in repr(files.load().context.variables.env_map["ONLY_EXPORTED"]).replace(
        "process environment", ""
    )


def test_env_files_are_relative_to_services_yaml(
    files: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The current folder does not matter for env files; it does for --var-file."""
    (files.folder / "elsewhere").mkdir()
    monkeypatch.chdir(files.folder / "elsewhere")

    loaded = files.load(config="../services.yaml", var_file="../vars.txt")

    assert loaded.context.variables.env_map["FIRST"].value == "1"
    assert loaded.context.variables.env_map["VAR"].value == "file"


def test_flags_have_variables_in_their_stead(
    files: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CODEXCTL_VARS and CODEXCTL_VAR_FILE stand in for the flags, which win."""
    monkeypatch.setenv("CODEXCTL_VARS", "ALL=variable")
    monkeypatch.setenv("CODEXCTL_VAR_FILE", "vars.txt")
    assert {n: v.value for n, v in files.load().context.variables.vars.items()} == {
        "VAR": "file",
        "ALL": "variable",
    }

    assert files.load(vars="ALL=flag").context.variables.vars["ALL"].value == "flag"


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ("A=1,B=2", {"A": "1", "B": "2"}),
        (" A = 1 , B=2 ,,", {"A": "1", "B": "2"}),
        ("A=", {"A": ""}),
        ("A=b=c", {"A": "b=c"}),
        ("A=1,A=2", {"A": "2"}),
    ],
)
def test_vars_on_the_command_line(files: Project, given: str, values: dict[str, str]) -> None:
    """Commas part them, the first equals sign parts name and value, blanks are trimmed."""
    found = files.load(vars=given).context.variables.user_vars

    assert {name: variable.value for name, variable in found.items()} == values


@pytest.mark.parametrize("given", ["A", "A=1,b", "=1", " =1"])
def test_vars_that_are_none(files: Project, given: str) -> None:
    """A part without a name or a value is wrong usage; it is not repeated, it may be secret."""
    with pytest.raises(UsageError, match=r"--vars: a part has no NAME=VALUE") as caught:
        files.load(vars=given)
    assert caught.value.exit_code == 2


def test_all_broken_files_are_named_at_once(files: Project) -> None:
    """A missing env file and a broken one are two lines of the same error."""
    files.write(first_env="nonsense\n")
    (files.folder / "second.env").unlink()

    with pytest.raises(CombinedError) as caught:
        files.load(var_file="none.txt")
    assert [line.split(": ")[0] for line in str(caught.value).splitlines()] == [
        "first.env:1",
        "services.yaml:2",
        "none.txt",
    ]
