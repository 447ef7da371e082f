"""Data directories that go: all of what is the slot's, and nothing beyond."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import DeadlineError
from codexctl_tasks.hooks.builtin.data_layout import Layout
from codexctl_tasks.hooks.builtin.data_removal import own_ways, remove_directories
from codexctl_tasks.hooks.contract import HookError

if TYPE_CHECKING:
    from pathlib import Path

WAYS = (("data", "slots", "3", "postgres"), ("data", "slots", "3", "redis"))
OTHERS = (("data", "slots", "4", "postgres"),)


def _layout(tmp_path: Path, *ways: tuple[str, ...]) -> Layout:
    layout = Layout(tmp_path, ways or WAYS)
    for way in layout.ways:
        folder = tmp_path.joinpath(*way)
        folder.mkdir(parents=True)
        (folder / "base").mkdir()
        (folder / "base" / "rows").write_text("1")
    return layout


def _remove(layout: Layout, *others: tuple[str, ...]) -> list[tuple[Path, bool]]:
    return list(remove_directories(layout, others, lambda: None))


def test_directories_go_with_the_folder_that_only_they_were_in(tmp_path: Path) -> None:
    """The data root and what leads to other slots stay; a second time is fine."""
    layout = _layout(tmp_path)

    assert [is_gone for _, is_gone in _remove(layout, *OTHERS)] == [True, True]
    assert [path.name for path in (tmp_path / "data").rglob("*")] == ["slots"]
    assert _remove(layout, *OTHERS) == []


def test_what_else_is_in_the_folder_stays(tmp_path: Path) -> None:
    """Only what was named is known to be the stack's."""
    layout = _layout(tmp_path)
    notes = tmp_path / "data" / "slots" / "3" / "notes.txt"
    notes.write_text("mine")

    _remove(layout, *OTHERS)

    assert [path.name for path in notes.parent.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    "other",
    [
        ("data", "slots", "3", "postgres"),
        ("data", "slots", "3", "postgres", "base"),
        ("data", "slots", "3"),
    ],
    ids=["the same", "inside", "around"],
)
def test_what_others_have_as_well_stays(tmp_path: Path, other: tuple[str, ...]) -> None:
    """Emptying a directory would take away what another slot keeps inside of it."""
    layout = _layout(tmp_path, WAYS[0])

    assert own_ways(layout, [other]) == []
    assert _remove(layout, other) == []
    assert (tmp_path.joinpath(*WAYS[0]) / "base" / "rows").exists()


def test_a_link_inside_goes_and_not_where_it_leads(tmp_path: Path) -> None:
    """A slot's agent may have made it."""
    layout = _layout(tmp_path, WAYS[0])
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("1")
    (tmp_path.joinpath(*WAYS[0]) / "link").symlink_to(precious)

    _remove(layout)

    assert (precious / "file").exists()


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_a_link_on_the_way_is_refused(tmp_path: Path, depth: int) -> None:
    """Nothing outside of the data root is ever touched."""
    way = WAYS[0]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.joinpath(*way[depth:]).mkdir(parents=True)
    elsewhere.joinpath(*way[depth:], "file").write_text("1")
    link = tmp_path.joinpath(*way[:depth])
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(elsewhere)

    with pytest.raises(HookError, match="is a symbolic link"):
        _remove(Layout(tmp_path, (way,)))

    assert elsewhere.joinpath(*way[depth:], "file").exists()


def test_the_end_of_the_time_is_heeded(tmp_path: Path) -> None:
    """What is left is found again by the next cleanup."""
    layout = _layout(tmp_path)

    def is_over() -> None:
        raise DeadlineError("cleanup", "the time ran out")

    with pytest.raises(DeadlineError):
        list(remove_directories(layout, OTHERS, is_over))

    assert len(_remove(layout, *OTHERS)) == len(WAYS)
