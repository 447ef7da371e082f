"""What a run leaves in the folder of its result."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from codexctl_tasks.console import Console
from codexctl_tasks.flows.agent.ending import STDERR, forget_earlier, keep_stderr

if TYPE_CHECKING:
    from pathlib import Path


def test_what_a_program_said_on_stderr_is_kept_without_secrets(tmp_path: Path) -> None:
    """Masked, without control characters; and nothing of an earlier run stays."""
    console = Console(io.StringIO())
    console.hide(["run-token-1234"])
    file = tmp_path / STDERR
    keep_stderr(tmp_path, "Error: \x1b[31mrun-token-1234\nrefused\n", console)
    assert file.read_text() == "Error: [31m***\nrefused\n"
    forget_earlier(tmp_path)
    keep_stderr(tmp_path, " \n", console)
    assert not file.exists()
