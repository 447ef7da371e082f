"""
Measure what an unchanged build costs on a cold runner, beside buildah with its layers at hand.

    python bench/builds.py [--runs 5] [--images 3] [--files 5000]

Each image has a context of its own, of 95 MB by default, and a layer in a registry on this machine
(needs docker-registry). Every run of ours is a new process that knows nothing; that of buildah has
the storage of its last one, and looks up every layer there (needs buildah, as root). A builder that
is started in a run that has nothing to do ends the benchmark. Quote the ratio, not the seconds.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from compare import Commands, Run, measure, own_environment

from codexctl_tasks.console import Console
from codexctl_tasks.errors import Location
from codexctl_tasks.images.building import BuildSettings, build_images
from codexctl_tasks.images.catalogue import Build
from codexctl_tasks.images.results import Done
from codexctl_tasks.references import Reference
from codexctl_tasks.registry.client import RegistryClient, connect
from codexctl_tasks.registry.interface import MANIFEST_TYPES, Descriptor, Manifest
from codexctl_tasks.world.clock import SystemClock
from codexctl_tasks.world.process import run_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from codexctl_tasks.images.backend import BuildOrder

GOAL_S = 0.3
"""For each image."""
_SIZE = 19_000
"""Of a file, in bytes."""
_REGISTRY = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http: {{addr: {host}}}
log: {{level: error, accesslog: {{disabled: true}}}}
"""


class Seed:
    """A builder that packs the Dockerfile alone: only the first run needs it."""

    name = "seed"

    def __init__(self, registry: RegistryClient) -> None:
        self._registry = registry

    def build(self, order: BuildOrder, *, tell: Callable[[str], None], deadline_s: float) -> str:
        """See `Backend.build`."""
        del tell, deadline_s
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(order.dockerfile, "Dockerfile")
        layer = self._push(order.target, gzip.compress(packed.getvalue(), mtime=0))
        diff = f"sha256:{hashlib.sha256(packed.getvalue()).hexdigest()}"
        rootfs = {"type": "layers", "diff_ids": [diff]}
        config = {"os": "linux", "architecture": "amd64", "config": {}, "rootfs": rootfs}
        content = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPES[0],
            "config": self._push(order.target, json.dumps(config).encode())
            | {"mediaType": "application/vnd.oci.image.config.v1+json"},
            "layers": [layer | {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip"}],
        }
        manifest = Manifest(json.dumps(content).encode(), MANIFEST_TYPES[0])
        self._registry.store(order.target, manifest)
        return manifest.digest

    def _push(self, target: Reference, data: bytes) -> dict[str, object]:
        blob = Descriptor(f"sha256:{hashlib.sha256(data).hexdigest()}", size=len(data))
        self._registry.write_blob(target, blob, [data])
        return {"digest": blob.digest, "size": blob.size}


def build_all(folder: Path, host: str, images: int, *, seed: bool) -> None:
    """Build all images, as `codexctl images-build` does; without *seed* all must be there."""
    builds = [
        Build(
            name=f"image{number}",
            target=Reference(host, f"image{number}", "1"),
            dockerfile=folder / f"image{number}/Dockerfile",
            context=folder / f"image{number}",
            location=Location("services.yaml", 1),
        )
        for number in range(images)
    ]
    clock, console = SystemClock(), Console(io.StringIO())
    registry = connect(
        os.environ, plain_http_hosts=(), clock=clock, announce=print, run=run_program
    )
    settings = BuildSettings(console=console, clock=clock, logs=folder / "logs")
    results = build_images(builds, [], registry, lambda: Seed(registry), settings)
    wanted = Done.BUILT if seed else Done.UNCHANGED
    if odd := [result for result in results if result.done is not wanted]:
        raise SystemExit(f"not {wanted}: {odd}")


def write_contexts(folder: Path, images: int, files: int) -> None:
    """Write the contexts, a hundred files to a folder."""
    noise = random.Random(1)  # noqa: S311 - the same files each time
    for image in range(images):
        context = folder / f"image{image}"
        for number in range(files):
            file = context / f"d{number // 100}" / f"f{number}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(noise.randbytes(_SIZE))
        (context / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
        (context / ".dockerignore").write_text(".git\n**/node_modules\n*.md\n!README.md\n")


@contextmanager
def registry_on_loopback(folder: Path) -> Iterator[str]:
    """Run a registry and return its host."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    config = folder / "registry.yml"
    config.write_text(_REGISTRY.format(folder=folder, host=host))
    server = subprocess.Popen(["docker-registry", "serve", config], stderr=subprocess.DEVNULL)
    try:
        address = (host.partition(":")[0], int(host.partition(":")[2]))
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(address) == 0:
                    break
            time.sleep(0.05)
        yield host
    finally:
        server.terminate()
        server.wait()


def buildah(folder: Path, host: str, images: int) -> Commands:
    """Return the commands that build and push every image with the layers of the last time."""
    storage = ["buildah", "--root", f"{folder}/storage", "--runroot", f"{folder}/run"]
    storage += ["--storage-driver", "vfs"]
    commands = []
    for number in range(images):
        target = f"{host}/peer{number}:1"
        words = ["build", "--layers", "--timestamp", "0", "--isolation", "chroot", "--quiet"]
        commands.append([*storage, *words, "--tag", target, f"{folder}/image{number}"])
        commands.append([*storage, "push", "--tls-verify=false", target, f"docker://{target}"])
    return Commands("buildah", commands)


def measure_all(folder: Path, host: str, images: int, runs: int) -> dict[str, list[Run]]:
    """Measure ours, with images and without, and buildah, after a run that is not counted."""
    programs = [
        Commands(name, [[sys.executable, __file__, "--once", str(folder), "--host", host, *more]])
        for name, more in (("codexctl", ["--images", str(images)]), (_START, ["--images", "0"]))
    ]
    if shutil.which("buildah") and os.geteuid() == 0:
        programs.append(buildah(folder, host, images))
    found: dict[str, list[Run]] = {program.name: [] for program in programs}
    for number in range(runs + 1):
        for program in programs:
            run = measure(program, own_environment(), folder)
            if number:
                found[program.name].append(run)
    return found


def print_table(found: dict[str, list[Run]], images: int) -> None:
    """Print the medians, and whether the goal is reached."""
    print(f"{'unchanged, ' + str(images) + ' images':<28} {'wall s':>8} {'CPU s':>8}")
    medians = {
        name: [statistics.median(getattr(run, key) for run in runs) for key in _KEYS]
        for name, runs in found.items()
    }
    for name, (wall_s, cpu_s) in medians.items():
        print(f"{name:<28} {wall_s:>8.3f} {cpu_s:>8.3f}")
    ours_s = medians["codexctl"][0]
    if "buildah" in medians:
        print(f"ratio to buildah: {ours_s / medians['buildah'][0]:.2f}")
    each_s = (ours_s - medians[_START][0]) / images
    verdict = "reached" if each_s < GOAL_S else "missed"
    print(f"each image, beyond the start of Python: {each_s:.3f} s, goal {GOAL_S} s: {verdict}")
    print(f"load {os.getloadavg()[0]:.1f}")


_KEYS = ("wall_s", "cpu_s")
_START = "codexctl, no images"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, or be measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each (default: 5)")
    parser.add_argument("--images", type=int, default=3)
    parser.add_argument("--files", type=int, default=5000, help="in each context")
    parser.add_argument("--once", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--host", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.once:
        build_all(given.once, given.host, given.images, seed=False)
        return
    with tempfile.TemporaryDirectory(prefix="bench-builds-") as name:
        folder = Path(name)
        write_contexts(folder, given.images, given.files)
        with registry_on_loopback(folder) as host:
            build_all(folder, host, given.images, seed=True)
            print_table(measure_all(folder, host, given.images, given.runs), given.images)


if __name__ == "__main__":
    main()
