"""
The console script, and ``python -m codexctl_tasks`` where it is not on PATH.

Signals are taken care of before anything large is imported: Ctrl-C in the first moments is no
traceback either.
"""

from __future__ import annotations

import gc
import io
import os
import signal
import sys


def main() -> None:
    """Run ``sys.argv``."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os._exit(128 + number))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # whatever the locale: YAML and JSON are UTF-8
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    # What is read and imported are many small objects that stay: looking for cycles among them, as
    # often as Python does by itself, takes a sixth of a large rendering.
    gc.set_threshold(100_000, 20, 20)
    from codexctl_tasks import program

    try:
        program.main()
    finally:
        # What is left goes together with the process; Python would look for cycles in all of it
        # once more, which takes half a second after two thousand objects.
        gc.freeze()


if __name__ == "__main__":
    main()
