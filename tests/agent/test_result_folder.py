"""The folder of a result in a checkout, seen by real git."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from codexctl_tasks.agent.result import Result, Status, write_result
from codexctl_tasks.slots.sync.checkout import read_sources
from tests.support.git_server import run_git

if TYPE_CHECKING:
    from pathlib import Path


def test_what_a_run_leaves_is_no_part_of_the_sources(tmp_path: Path) -> None:
    """The next run neither gets nor publishes what an earlier one has left in the checkout."""
    run_git(tmp_path, "init", "--quiet")
    (tmp_path / "app.py").touch()
    result = tmp_path / "result"
    write_result(result, Result(status=Status.SUCCESS))
    (result / "events.jsonl").write_text("{}\n")
    write_result(result, Result(status=Status.SUCCESS))

    named = run_git(tmp_path, "ls-files", "--cached", "--others", "--exclude-standard")
    assert named == "app.py"
    entries = read_sources(os.fsencode(tmp_path), os.environ).entries
    assert b"app.py" in entries
    assert not [path for path in entries if path.startswith(b"result")]
