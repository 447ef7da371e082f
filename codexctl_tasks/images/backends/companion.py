"""
Runs a BuildKit daemon for as long as its client needs it.

A program of its own, run inside of the namespaces of rootlesskit; it knows nothing of this package.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress

_END = "--then--"
START_TIMEOUT_S = 20.0
_TICK_S = 0.1
_GRACE_S = 5.0


def join(daemon: list[str], client: list[str], words: list[str]) -> list[str]:
    """
    Return the arguments of this program.

    Args:
        daemon: The daemon's command.
        client: The client's command, up to where it says what is wanted.
        words: The client's command that does the work.
    """
    return [*daemon, _END, *client, _END, *words]


def run(arguments: list[str]) -> int:
    """Start the daemon, run the client, end the daemon; return the client's exit code."""
    first = arguments.index(_END)
    second = arguments.index(_END, first + 1)
    daemon = subprocess.Popen(arguments[:first])
    try:
        if not _answers(daemon, arguments[first + 1 : second]):
            sys.stderr.write("buildkitd did not start\n")
            return 1
        return subprocess.run(arguments[second + 1 :], check=False).returncode
    finally:
        daemon.terminate()
        with suppress(subprocess.TimeoutExpired):
            daemon.wait(_GRACE_S)
        daemon.kill()


def _answers(daemon: subprocess.Popen[bytes], client: list[str]) -> bool:
    """Wait until the daemon answers; False: it has ended, or does not."""
    end_s = time.monotonic() + START_TIMEOUT_S
    while daemon.poll() is None and time.monotonic() < end_s:
        asked = subprocess.run([*client, "debug", "workers"], check=False, capture_output=True)
        if asked.returncode == 0:
            return True
        time.sleep(_TICK_S)
    return False


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
