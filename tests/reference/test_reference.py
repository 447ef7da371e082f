"""Stacks in the Go template dialect render as Go itself renders them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import CodexctlError
from codexctl_tasks.settings import deploy_request
from codexctl_tasks.stack.desired import load_desired
from codexctl_tasks.stack.manifests import CLUSTER_WIDE_KINDS
from sandbox.toolchain import GO_MINIMUM, read_version
from tests.reference.generate import CASES, EXPECTED, ROOT_MARK, Case, build, render

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

REFUSED_BY_US = {
    "anchor-redefined": "an anchor of this name exists already",
    "metadata-missing": "metadata.name is missing",
    "mounts-without-claim-ai": "claimName is missing",
}
"""What Go passes on although no cluster takes it, and what codexctl says instead."""

_EXACT = 2**53
_INTEGERS = range(-(2**63), 2**64)
"""Beyond them Go, as JSON's readers do, takes a number for a float."""


def _expected(case: Case) -> Any:
    text = case.expected.read_text(encoding="utf-8")
    return json.loads(text.replace(ROOT_MARK, str(case.folder)))


def _fails(case: Case) -> bool:
    return isinstance(_expected(case), dict) or case.name in REFUSED_BY_US


WORKING = [case for case in CASES if not _fails(case)]
FAILING = [case for case in CASES if _fails(case)]


@pytest.mark.parametrize("case", WORKING, ids=lambda case: case.name)
def test_objects_are_those_that_go_makes(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """A team with an existing stack deploys the same objects as before, to the last character."""
    assert _text(_ours(case, monkeypatch)) == _text(_expected(case))


@pytest.mark.parametrize("case", FAILING, ids=lambda case: case.name)
def test_mistakes_are_refused(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """What never worked does not deploy something unexpected now: it is named and refused."""
    with pytest.raises(CodexctlError, match=REFUSED_BY_US.get(case.name)):
        _ours(case, monkeypatch)


def test_every_expectation_belongs_to_a_case() -> None:
    """A case that is renamed or removed takes its file along."""
    assert len({case.name for case in CASES}) == len(CASES)
    assert {case.expected for case in CASES} == set(EXPECTED.iterdir())


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    go = shutil.which("go")
    if not go or read_version(go) < GO_MINIMUM:
        pytest.skip(f"needs Go {'.'.join(map(str, GO_MINIMUM))} or newer on PATH")
    folder = tmp_path_factory.mktemp("reference")
    try:
        return build(go, folder)
    except subprocess.CalledProcessError as error:
        if "dial tcp" in error.stderr or "module lookup disabled" in error.stderr:
            pytest.skip("the Go modules are neither here nor can they be fetched")
        raise AssertionError(error.stderr) from error


def test_expectations_are_what_go_says(program: Path) -> None:
    """The files were not bent to what codexctl does: Go writes the same ones again."""
    changed = [
        case.name
        for case in CASES
        if render(program, case) != case.expected.read_text(encoding="utf-8")
    ]
    assert not changed


def _ours(case: Case, monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, Any]]:
    for name in list(os.environ):
        if name != "PYTEST_CURRENT_TEST":
            monkeypatch.delenv(name)
    for name, value in case.environ.items():
        monkeypatch.setenv(name, value)
    if case.var_file:
        monkeypatch.setenv("CODEXCTL_VAR_FILE", str(case.folder / case.var_file))
    request = deploy_request(
        env=case.env,
        slot=str(case.slot),
        namespace=case.namespace,
        config=str(case.config),
        vars=case.vars,
    )
    return [dict(manifest.body) for manifest in load_desired(request.source).manifests]


def _text(objects: list[Mapping[str, Any]]) -> str:
    """Write objects as JSON, which keeps 1, 1.0, "1" and true apart and shows what differs."""
    return json.dumps([_plain(one) for one in _flat(objects)], indent=1, sort_keys=True)


def _flat(objects: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Leave out the two differences that are wanted: Lists, namespaces where there can be none."""
    for one in objects:
        if one.get("kind") == "List":
            yield from one["items"]
        elif one.get("kind") in CLUSTER_WIDE_KINDS:
            metadata = {k: v for k, v in one["metadata"].items() if k != "namespace"}
            yield {**one, "metadata": metadata}
        else:
            yield one


def _plain(value: Any) -> Any:
    """Give keys and numbers the one form they have in JSON."""
    if isinstance(value, dict):
        # json.dumps knows how keys that are no texts are written.
        return {next(iter(json.loads(json.dumps({k: 0})))): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and abs(value) > _EXACT and value.is_integer():
        value = int(value)
    if isinstance(value, int) and value not in _INTEGERS:
        return float(value)
    return value
