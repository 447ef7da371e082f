"""What a run hands on, and what is believed of it."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.agent.events import LONGEST_MESSAGE
from codexctl_tasks.agent.result import FILE, Result, Status, Usage, read_result, write_result
from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.requests.agents import Kind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RESULT = Result(
    status=Status.SUCCESS,
    kind=Kind.PLAN_REVIEW,
    run="r-1",
    repo="acme/shop",
    issue=7,
    slot=2,
    namespace="shop-dev-2",
    thread_id="0199-thread",
    base="a" * 40,
    final_message="Готово\n\x00\u202e",
    usage=Usage(100, 10, 20, 5),
    duration_s=12.5,
    attempts=1,
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Another job learns all that this one knew, also from a folder that is new."""
    write_result(tmp_path / "new", RESULT)
    assert read_result(tmp_path / "new") == RESULT
    assert {path.name for path in (tmp_path / "new").iterdir()} == {FILE, ".gitignore"}


def test_a_folder_of_somebody_else_is_left_as_it_is(tmp_path: Path) -> None:
    """A result beside other files does not hide these from git."""
    (tmp_path / "main.py").touch()
    write_result(tmp_path, RESULT)
    assert {path.name for path in tmp_path.iterdir()} == {FILE, "main.py"}
    own, text = tmp_path / "own", "*.log\n"
    own.mkdir()
    (own / ".gitignore").write_text(text)
    write_result(own, RESULT)
    assert (own / ".gitignore").read_text() == text


@pytest.mark.parametrize(
    "change",
    [
        {"status": "wonderful"},
        {"kind": "rm"},
        {"issue": "7"},
        {"issue": True},
        {"slot": -1},
        {"base": "HEAD; rm -rf /"},
        {"command": "sh"},
        {"final_message": ["text"]},
        {"final_message": "half of \ud83d"},
        {"usage": {"input": "many"}},
        {"usage": {"input": -1}},
        {"usage": {"input": 10**4000}},
        {"duration_s": float("inf")},
        {"usage": {"money": 1}},
        {"usage": 5},
        {"duration_s": "long"},
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    """A job that was taken over cannot hand on what nobody expects."""
    write_result(tmp_path, RESULT)
    data = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps({**data, **change}))
    with pytest.raises(ConfigurationError, match="is no result of a run"):
        read_result(tmp_path)


NAMES = [field.name for field in fields(Result)]
COUNTS = [f"usage.{field.name}" for field in fields(Usage)]


def read_changed(folder: Path, name: str, change: Callable[[dict[str, Any], str], Any]) -> Result:
    """Read a result of which one key was changed; ``usage.input`` is a key inside of another."""
    write_result(folder, RESULT)
    data = json.loads((folder / FILE).read_text())
    *outer, inner = name.split(".")
    change(data[outer[0]] if outer else data, inner)
    (folder / FILE).write_text(json.dumps(data))
    return read_result(folder)


@pytest.mark.parametrize("name", [*NAMES, *COUNTS])
@pytest.mark.parametrize("value", [-1, 0.5, [], [{}], None, {}, {"a": 1}, True, "\x00", "x", 2**64])
def test_a_value_of_another_type_is_no_defect_of_ours(
    tmp_path: Path, name: str, value: object
) -> None:
    """Whatever stands where, it is read or refused with the file's name."""
    with suppress(ConfigurationError):
        read_changed(tmp_path, name, lambda data, key: data.update({key: value}))
        assert isinstance(value, str) or (name, value) in (("duration_s", 0.5), ("usage", {}))


@pytest.mark.parametrize("name", [*NAMES, *COUNTS])
def test_a_key_that_is_missing(tmp_path: Path, name: str) -> None:
    """Without status, kind or usage it is no result; what else is missing is not known."""
    if name in ("status", "kind", "usage"):
        with pytest.raises(ConfigurationError, match=f"is no result of a run: {name} is missing"):
            read_changed(tmp_path, name, dict.pop)
    else:
        result = read_changed(tmp_path, name, dict.pop)
        *outer, inner = name.split(".")
        known = getattr(result, outer[0]) if outer else result
        assert not getattr(known, inner)


def test_the_longest_message_is_handed_on(tmp_path: Path) -> None:
    """A megabyte of it has room in the file, however much of it has to be escaped."""
    longest = replace(RESULT, final_message="\x01" * LONGEST_MESSAGE)
    write_result(tmp_path, longest)
    assert read_result(tmp_path) == longest


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 10**5, " " * (2**23 + 1)])
def test_what_is_no_result_is_refused(tmp_path: Path, text: str) -> None:
    """Also what would keep a reader busy."""
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ConfigurationError, match="is no result of a run"):
        read_result(tmp_path)


def test_a_missing_result_says_who_makes_it(tmp_path: Path) -> None:
    """Whoever gave the wrong folder reads which task writes it."""
    with pytest.raises(ConfigurationError, match="codexctl prompt-run"):
        read_result(tmp_path)


def test_every_status_has_its_exit_code() -> None:
    """Workflows branch on them; a refusal is no failure."""
    codes = {status: status.exit_code for status in Status}
    assert {s for s, code in codes.items() if code == 0} == {
        Status.SUCCESS,
        Status.NO_CHANGES,
        Status.DENIED,
    }
    assert codes[Status.TIMEOUT] == codes[Status.SLOT_TIMEOUT] == 70
    assert codes[Status.CANCELLED] == 130
    assert codes[Status.AGENT_FAILED] == codes[Status.PUBLISH_BLOCKED] == 1
