"""
Measure the mirror beside skopeo, interleaved in one run, between two registries on loopback.

    python bench/images.py [--runs 3] [--images 20] [--round-trip 40] [--layer 1024]

Both registries are 40 ms away. The images share a layer of 3 MB and have two of 0.5 MB of their
own. skopeo copies 8 images at a time. Prints a table in Markdown; quote the ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from compare import ROOT

sys.path.insert(0, str(ROOT))
from tests.support.images import Layer, Pusher, digest_of, layer
from tests.support.listeners import free_port
from tests.support.registries import registry, require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_AT_ONCE = 8
_LARGE = "large"
_MEGABYTE = 10**6
_PIECE = 2**20


def run_codexctl(source: str, target: str, names: list[str]) -> float:
    """Mirror images; return the memory that took, in MB."""
    program = str(Path(__file__).with_name("mirroring.py"))
    command = [sys.executable, program, source, target, *names]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def run_skopeo(source: str, target: str, names: list[str]) -> float:
    """Mirror images with as many processes as skopeo needs; return nothing to speak of."""

    def copy(name: str) -> None:
        insecure = ("--src-tls-verify=false", "--dest-tls-verify=false")
        where = (f"docker://{source}/{name}:1", f"docker://{target}/{name}:1")
        command = ["skopeo", "copy", "--quiet", "--all", *insecure, *where]
        subprocess.run(command, check=True, capture_output=True)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(copy, names))
    return 0.0


@contextlib.contextmanager
def far_away(host: str, round_trip_ms: float) -> Iterator[str]:
    """Return an address at which a host is further away."""
    port = free_port()
    program = str(Path(__file__).with_name("latency.py"))
    upstream = host.rpartition(":")[2]
    command = [sys.executable, program, str(port), upstream, str(round_trip_ms)]
    proxy = subprocess.Popen(command)
    try:
        time.sleep(0.5)
        yield f"127.0.0.1:{port}"
    finally:
        proxy.terminate()
        proxy.wait()


def push_images(host: str, count: int) -> list[str]:
    """Push images that share a layer; return their names."""
    push, base = Pusher(host), layer("base", 3 * _MEGABYTE)
    names = [f"image-{number:02}" for number in range(count)]
    for name in names:
        own = [layer(f"{name}-{which}", _MEGABYTE // 2) for which in ("a", "b")]
        push.image(name, "1", [base, *own])
    return names


def push_large(host: str, mebibytes: int) -> None:
    """Push an image with one large layer."""
    block = random.Random(_LARGE).randbytes(_PIECE)  # noqa: S311 - nobody guesses it
    Pusher(host).image(_LARGE, "1", [Layer(block * mebibytes, digest_of(block))])


def measure(
    folder: Path, source: str, names: list[str], runs: int, round_trip_ms: float
) -> dict[str, list[tuple[float, float]]]:
    """Return the seconds of each program, for the first time and for the second, run by run."""
    found: dict[str, list[tuple[float, float]]] = {"codexctl": [], "skopeo": []}
    programs: dict[str, Callable[[str, str, list[str]], float]] = {
        "codexctl": run_codexctl,
        "skopeo": run_skopeo,
    }
    for number in range(runs):
        for name, program in programs.items():
            with (
                registry(folder / f"{name}-{number}") as target,
                far_away(target.host, round_trip_ms) as there,
            ):
                first = _seconds(program, source, there, names)
                found[name].append((first, _seconds(program, source, there, names)))
            shutil.rmtree(folder / f"{name}-{number}")
    return found


def _seconds(
    program: Callable[[str, str, list[str]], float], source: str, target: str, names: list[str]
) -> float:
    begun = time.monotonic()
    program(source, target, names)
    return time.monotonic() - begun


def print_row(title: str, goal: str, ours: list[float], theirs: list[float]) -> None:
    """Print what was measured: medians, and their ratio."""
    our, their = statistics.median(ours), statistics.median(theirs)
    print(f"| {title} | {goal} | {our:.2f} | {their:.2f} | {their / our:.1f} |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=3, help="of each program (default: 3)")
    parser.add_argument("--images", type=int, default=20, help="images (default: 20)")
    parser.add_argument("--round-trip", type=float, default=40, help="in ms (default: 40)")
    parser.add_argument("--layer", type=int, default=1024, help="large layer, MiB (default: 1024)")
    options = parser.parse_args()
    require("docker-registry", "skopeo")
    with tempfile.TemporaryDirectory() as name, registry(Path(name) / "source") as source:
        folder, names = Path(name), push_images(source.host, options.images)
        with far_away(source.host, options.round_trip) as there:
            found = measure(folder, there, names, options.runs, options.round_trip)
        print("| | goal | codexctl | skopeo, 8 processes | ratio |\n|---|---|---|---|---|")
        for at, (title, goal) in enumerate((("first time", "3"), ("again", "5"))):
            ours, theirs = ([each[at] for each in found[tool]] for tool in ("codexctl", "skopeo"))
            print_row(f"{options.images} images, {title}, s", f"ratio {goal}", ours, theirs)
        push_large(source.host, options.layer)
        with registry(folder / "large") as target:
            memory = run_codexctl(source.host, target.host, [_LARGE])
        print(f"| memory, a layer of {options.layer} MiB, MB | 80 | {memory:.0f} | - | |")


if __name__ == "__main__":
    main()
