"""
Mirror images as codexctl does, and print the memory that this process took, in MB.

    python bench/mirroring.py SOURCE_HOST TARGET_HOST NAME...
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from codexctl_tasks.errors import Location
from codexctl_tasks.images.catalogue import External
from codexctl_tasks.images.mirror import mirror_images
from codexctl_tasks.references import parse_reference
from codexctl_tasks.registry.client import connect
from codexctl_tasks.world.clock import SystemClock
from codexctl_tasks.world.process import run_program

_MEGABYTE = 10**6


def mirror(source: str, target: str, names: list[str]) -> None:
    """Mirror the images, or say which one could not be."""
    clock = SystemClock()
    client = connect(
        dict(os.environ),
        plain_http_hosts=(),
        clock=clock,
        announce=lambda line: print(line, file=sys.stderr),
        run=run_program,
    )
    externals = [
        External(
            name=name,
            source=parse_reference(f"{source}/{name}:1"),
            target=parse_reference(f"{target}/{name}:1"),
            location=Location("bench"),
        )
        for name in names
    ]
    for result in mirror_images(externals, client, clock=clock, tell=lambda _: None):
        if result.error is not None:
            raise SystemExit(f"{result.name}: {result.error}")


def largest_size() -> float:
    """Return the largest size in memory, in MB; getrusage counts that of the parent, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kilobytes) * 1024 / _MEGABYTE


if __name__ == "__main__":
    mirror(sys.argv[1], sys.argv[2], sys.argv[3:])
    print(largest_size())
