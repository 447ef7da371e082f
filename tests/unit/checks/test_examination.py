"""All checks together."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, get_args

from codexctl_tasks.checks.examination import CHECKS, examine
from codexctl_tasks.checks.finding import Finding, ok
from codexctl_tasks.errors import ClusterError, CombinedError, UsageError
from codexctl_tasks.hooks.preflight import CheckName
from tests.support.checks import subject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from codexctl_tasks.checks.examination import Check
    from codexctl_tasks.checks.subject import Subject


def _fine(_: Subject) -> Iterator[Finding]:
    yield ok("here", "fine")


def _told(folder: Path, checks: dict[str, Check], *chosen: str, left_s: float = 30) -> list[str]:
    found = examine(subject(folder, left_s=left_s), chosen or tuple(checks), checks)
    return [f"{each.check} {each.finding.state.value} {each.finding}" for each in found]


def test_in_the_order_of_the_table(tmp_path: Path) -> None:
    """Whichever ends first; only what was asked for."""
    checks = dict.fromkeys(("disk", "programs", "cluster"), _fine)

    assert _told(tmp_path, checks) == [f"{name} ok here: fine" for name in checks]
    assert _told(tmp_path, checks, "cluster", "disk") == [
        "disk ok here: fine",
        "cluster ok here: fine",
    ]


def test_a_check_that_breaks_hides_neither_the_others_nor_what_it_found(tmp_path: Path) -> None:
    """Expected failures are one line for each problem; a defect is named as one."""

    def refused(_: Subject) -> Iterator[Finding]:
        yield ok("here", "fine")
        raise CombinedError([ClusterError("a", "no"), UsageError("b", "no", "do")])

    def defective(_: Subject) -> Iterator[Finding]:
        yield from {}["nothing"]

    told = _told(tmp_path, {"cluster": refused, "disk": defective, "programs": _fine})

    assert told[:3] == ["cluster ok here: fine", "cluster failed a: no", "cluster failed b: no: do"]
    assert told[3].startswith("disk failed defective: internal error: KeyError: 'nothing'")
    assert told[4:] == ["programs ok here: fine"]


def test_exit_codes_are_those_of_the_errors(tmp_path: Path) -> None:
    """Workflows branch on them."""

    def refused(_: Subject) -> Iterator[Finding]:
        yield from ()
        raise CombinedError([ClusterError("a", "no"), UsageError("b", "no")])

    found = examine(subject(tmp_path), ["cluster"], {"cluster": refused})

    assert [each.finding.error.exit_code for each in found] == [4, 2]


def test_permissions_are_not_asked_of_a_server_that_does_not_answer(tmp_path: Path) -> None:
    """The same trouble is told once."""
    asked: list[str] = []

    def down(_: Subject) -> Iterator[Finding]:
        yield from ()
        raise ClusterError("server", "down")

    def permissions(_: Subject) -> Iterator[Finding]:
        asked.append("permissions")
        yield from ()

    checks: dict[str, Check] = {"cluster": down, "permissions": permissions}

    assert _told(tmp_path, checks) == [
        "cluster failed server: down",
        "permissions skipped cluster: it cannot be asked",
    ]
    assert asked == []
    assert _told(tmp_path, checks, "permissions") == []
    assert asked == ["permissions"]


def test_a_check_that_hangs_is_told_at_the_deadline(tmp_path: Path) -> None:
    """With what it had found until then; the others are complete."""
    release = threading.Event()

    def stuck(_: Subject) -> Iterator[Finding]:
        yield ok("here", "fine")
        release.wait(5)

    told = _told(tmp_path, {"disk": stuck, "programs": _fine}, left_s=0.2)
    release.set()

    assert told == [
        "disk ok here: fine",
        "disk failed disk: the check was not done in time: run it once more, alone",
        "programs ok here: fine",
    ]


def test_the_hook_knows_all_checks() -> None:
    """A check that cannot be chosen would always run."""
    assert get_args(CheckName) == tuple(CHECKS)
