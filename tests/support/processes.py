"""What runs on this machine: how tests see that a program has begun, and that nothing is left."""

from __future__ import annotations

import time
from pathlib import Path

_PATIENCE_S = 30.0


def command_lines() -> list[str]:
    """Return the command lines of everything that runs, zombies not."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(entry.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
        except OSError:
            continue
    return found


def is_running(text: str) -> bool:
    """Tell whether any command line holds *text*."""
    return any(text in line for line in command_lines())


def wait_for(file: Path) -> None:
    """Return when a program has made this file."""
    end_s = time.monotonic() + _PATIENCE_S
    while not file.exists():
        assert time.monotonic() < end_s, f"{file} does not come"
        time.sleep(0.02)
