"""What a person reads while the sandbox works: one line per step, with the time."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_STARTED = time.monotonic()


def say(text: str) -> None:
    """Print one line with the seconds since the command began; goes to stderr."""
    sys.stderr.write(f"{time.monotonic() - _STARTED:6.1f} s  {text}\n")
    sys.stderr.flush()


@contextlib.contextmanager
def heartbeat(text: str, every_s: float = 15) -> Iterator[None]:
    """Repeat a line while a long step runs, so that nobody thinks it hangs."""
    done = threading.Event()
    began = time.monotonic()

    def beat() -> None:
        while not done.wait(every_s):
            say(f"  still {text} ({time.monotonic() - began:.0f} s)")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
