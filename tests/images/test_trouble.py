"""Registries that cannot be used at all, and runs that end early or meet each other."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.references import parse_reference
from tests.images.conftest import Bench, words
from tests.support.certificates import Authority
from tests.support.faulty_proxy import Fault, faulty_proxy
from tests.support.images import Layer, digest_of, layer
from tests.support.listeners import free_port
from tests.support.registries import registry
from tests.support.shell import QUICK_S, ROOT, clean_environment, run_program_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEGABYTE = 10**6
PROGRAM = """
import json, sys
from codexctl_tasks.errors import Location
from codexctl_tasks.images.catalogue import External
from codexctl_tasks.images.mirror import mirror_images
from codexctl_tasks.references import parse_reference
from codexctl_tasks.registry.client import connect
from codexctl_tasks.world.clock import SystemClock
from codexctl_tasks.world.process import run_program

source, target, *names = sys.argv[1:]
clock = SystemClock()
say = lambda line: print(line, file=sys.stderr, flush=True)
client = connect({}, plain_http_hosts=(), clock=clock, announce=say, run=run_program)
externals = [
    External(
        name=name,
        source=parse_reference(f"{source}/{name}:1"),
        target=parse_reference(f"{target}/mirror/{name}:1"),
        location=Location("services.yaml", 1),
    )
    for name in names
]
results = mirror_images(externals, client, clock=clock, tell=say)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({
    "done": [result.done.value for result in results],
    "errors": [str(result.error) for result in results if result.error],
    "memory": int(status["VmHWM"].split()[0]),  # what getrusage says counts the parent too
}))
"""


def _start(bench: Bench, *names: str) -> subprocess.Popen[str]:
    """Mirror images in a process of their own."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, bench.source.host, bench.target.host, *names],
        cwd=ROOT,
        env=clean_environment(PYTHONPATH=str(ROOT)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def _into(bench: Bench, folder: Path, **more: object) -> Iterator[Bench]:
    """Return a bench with another target."""
    with (
        registry(folder / "other", **more) as target,  # type: ignore[arg-type]
        faulty_proxy(target.host) as proxy,
    ):
        other = Bench(folder, bench.source, proxy)
        yield other
        other.close()


def test_a_registry_that_takes_nothing(bench: Bench, tmp_path: Path) -> None:
    """Its own words, once for each image."""
    bench.pusher.image("readonly", "1", [layer("readonly")])
    with _into(bench, tmp_path, readonly=True) as readonly:
        [result] = readonly.mirror("readonly:1")

        assert str(result.error).startswith(
            f"{readonly.target.host}/mirror/readonly: the registry answered 405: "
        )
        assert readonly.clock.sleeps == []
        assert words(readonly.mirror("readonly:1", dry_run=True)) == ["would copy"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_full_disk(bench: Bench, tmp_path: Path) -> None:
    """No tag for what is not there; a smaller image still finds its place."""
    bench.pusher.image("toolarge", "1", [layer("toolarge", 12 * MEGABYTE)])
    bench.pusher.image("small", "1", [layer("small", 10_000)])
    small = tmp_path / "other"
    small.mkdir()
    run_program_in(tmp_path, "mount", "-t", "tmpfs", "-o", "size=8m", "none", str(small))
    try:
        with _into(bench, tmp_path) as full:
            results = full.mirror("toolarge:1", "small:1", jobs=1)

            assert words(results)[0] == "failed"
            assert results[0].error is not None
            assert results[0].error.exit_code == 4
            assert f"{full.target.host}/mirror/toolarge" in str(results[0].error)
            assert full.arrived.tags("mirror/toolarge") == []
    finally:
        run_program_in(tmp_path, "umount", str(small))


def test_a_certificate_that_nobody_has_signed(bench: Bench, tmp_path: Path) -> None:
    """Said once, at once, and the other images are mirrored."""
    bench.pusher.image("signed", "1", [layer("signed")])
    pem = Authority().issue("127.0.0.1", self_signed=True).write(tmp_path)
    with registry(tmp_path / "tls", tls=pem) as server:
        external = bench.external("signed:1")
        untrusted = type(external)(
            name="untrusted",
            source=parse_reference(f"{server.host}/signed:1"),
            target=bench.external("untrusted:1").target,
            location=external.location,
        )

        results = bench.mirror(untrusted, external)

    assert words(results) == ["failed", "copied"]
    assert str(results[0].error).startswith(f"{server.host}: its certificate is not accepted: self")
    assert bench.clock.sleeps == []


def test_a_registry_that_does_not_know_of_its_tls(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a proxy it calls itself http: nothing is sent without TLS nevertheless."""
    bench.pusher.image("tls", "1", [layer("tls", 10_000)])
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    pem = authority.issue("127.0.0.1").write(tmp_path)
    with registry(tmp_path / "tls", tls=pem, says="http") as server:
        external = bench.external("tls:1")
        target = parse_reference(f"{server.host}/tls:1")
        behind = type(external)(
            name="tls", source=external.source, target=target, location=external.location
        )

        assert words(bench.mirror(behind)) == ["copied"]
        assert words(bench.mirror(behind)) == ["unchanged"]


def test_a_registry_that_is_away(bench: Bench) -> None:
    """A wrong address is told at once; a registry that goes away later is waited for."""
    host = f"127.0.0.1:{free_port()}"
    external = bench.external("away:1")
    away = type(external)(
        name="away",
        source=parse_reference(f"{host}/away:1"),
        target=external.target,
        location=external.location,
    )

    results = bench.mirror(away, away)

    assert words(results) == ["failed", "failed"]
    assert str(results[0].error) == (
        f"{host}: nothing listens there (refused): start it, or correct host and port"
    )
    assert bench.clock.sleeps == []


def test_a_connection_that_is_cut_before_the_answer(bench: Bench) -> None:
    """Whatever the request was, it is repeated."""
    bench.pusher.image("dropped", "1", [layer("dropped")])
    bench.source.will(Fault("HEAD", "/manifests/", reset_after=0))
    bench.target.will(
        *(Fault(method, "/v2/mirror", reset_after=0) for method in ("HEAD", "POST", "PUT"))
    )

    assert words(bench.mirror("dropped:1")) == ["copied"]


def test_four_runs_at_once(bench: Bench) -> None:
    """They do the same work; each of them is content, and all of it is there."""
    base = layer("crowd-base", 2 * MEGABYTE)
    names = [f"crowd-{number}" for number in range(5)]
    for name in names:
        bench.pusher.image(name, "1", [base, layer(name, 100_000)])

    with ThreadPoolExecutor() as pool:
        runs = [_start(bench, *names) for _ in range(4)]
        said = list(pool.map(lambda run: run.communicate(timeout=QUICK_S), runs))

    for out, err in said:
        report = json.loads(out or "{}")
        assert report.get("errors") == [], err
    for name in names:
        assert bench.arrived.raw(f"mirror/{name}", "1") == bench.pusher.raw(name, "1")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended(bench: Bench, number: signal.Signals) -> None:
    """There is no tag for what is not whole, and the next run does the rest."""
    name = f"ended-{number.name.lower()}"
    bench.pusher.image(name, "1", [layer(name, 8 * MEGABYTE), layer("other", 10)])
    bench.target.watch = lambda seen: time.sleep(0.5 if seen.method == "PUT" else 0)
    run = _start(bench, name)
    end_s = time.monotonic() + QUICK_S
    while not bench.target.lines("PUT") and time.monotonic() < end_s:
        time.sleep(0.01)

    run.send_signal(number)
    run.communicate(timeout=QUICK_S)

    assert run.returncode != 0
    assert bench.target.lines("PUT", "/manifests/") == []
    assert bench.arrived.tags(f"mirror/{name}") == []
    bench.target.watch = lambda _: None
    assert words(bench.mirror(f"{name}:1")) == ["copied"]


def test_memory_does_not_grow_with_the_layers(bench: Bench) -> None:
    """What moves is never in memory as a whole, and never on the disk."""
    block = random.Random("memory").randbytes(MEGABYTE)  # noqa: S311 - nobody guesses it
    large = Layer(block * 270, digest_of(block))
    bench.pusher.image("memory", "1", [large])
    bench.pusher.image("little", "1", [layer("little")])
    bench.source.host, bench.target.host = bench.source.upstream, bench.target.upstream

    memory = []
    for name in ("little", "memory"):
        out, err = _start(bench, name).communicate(timeout=QUICK_S)
        report = json.loads(out or "{}")
        assert report.get("done") == ["copied"], err
        memory.append(report["memory"] / 1024)

    assert memory[1] < memory[0] + 20, f"MiB: {memory}"
    assert memory[1] < 80, f"MiB: {memory}"
