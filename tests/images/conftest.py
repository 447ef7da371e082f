"""Registries on loopback, and a client that asks them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import Location
from codexctl_tasks.images.catalogue import External
from codexctl_tasks.images.mirror import mirror_images
from codexctl_tasks.references import parse_reference
from codexctl_tasks.registry.client import RegistryClient, connect
from codexctl_tasks.registry.uploads import PART
from codexctl_tasks.world.clock import SystemClock
from codexctl_tasks.world.process import run_program
from tests.support.builders import install_builders
from tests.support.faulty_proxy import FaultyProxy, faulty_proxy
from tests.support.image_files import push_base
from tests.support.images import Pusher
from tests.support.registries import Running, registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from codexctl_tasks.images.results import MirrorResult


class HastyClock(SystemClock):
    """The real clock; pauses are noted, and cut short."""

    def __init__(self) -> None:
        self.sleeps: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Note a pause."""
        self.sleeps.append(seconds)
        super().sleep(min(seconds, 0.01))


class Bench:
    """Mirrors between two registries; both are asked through proxies that count and break."""

    def __init__(self, folder: Path, source: FaultyProxy, target: FaultyProxy) -> None:
        self.folder, self.source, self.target = folder, source, target
        self.pusher = Pusher(source.upstream)
        self.arrived = Pusher(target.upstream)
        self.clock = HastyClock()
        self.told: list[str] = []
        self._clients: list[RegistryClient] = []

    def client(
        self, *, plain: Sequence[str] = (), part: int = PART, **variables: str
    ) -> RegistryClient:
        """Return a client as a new run has it, with these variables."""
        client = connect(
            {"HOME": str(self.folder), "PATH": "/usr/bin:/bin", **variables},
            plain_http_hosts=plain,
            clock=self.clock,
            announce=self.told.append,
            run=run_program,
            part=part,
        )
        self._clients.append(client)
        return client

    def external(self, source: str, target: str = "", name: str = "") -> External:
        """Return an image that is mirrored under its own name, or another one."""
        target = target or source.partition("@")[0]
        return External(
            name=name or source.partition(":")[0],
            source=parse_reference(f"{self.source.host}/{source}"),
            target=parse_reference(f"{self.target.host}/mirror/{target}"),
            location=Location("services.yaml", 7),
        )

    def mirror(self, *images: str | External, **more: Any) -> list[MirrorResult]:
        """Mirror images in a new run; the requests of earlier ones are forgotten."""
        for each in (self.source, self.target):
            each.seen.clear()
        externals = [self.external(each) if isinstance(each, str) else each for each in images]
        client = more.pop("client", None) or self.client()
        settings = {"clock": self.clock, "tell": self.told.append, **more}
        return mirror_images(externals, client, **settings)

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients:
            client.close()


def words(results: Sequence[MirrorResult]) -> list[str]:
    """Return what became of each image."""
    return [result.done.value for result in results]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Install the builders, and give a registry that holds ``base:1``."""
    install_builders()
    with registry(tmp_path_factory.mktemp("registry")) as running:
        push_base(running.host)
        yield running.host


@pytest.fixture(scope="session")
def _registries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Running]]:
    folder = tmp_path_factory.mktemp("registries")
    with registry(folder / "source") as source, registry(folder / "target") as target:
        yield source, target


@pytest.fixture
def bench(_registries: tuple[Running, Running], tmp_path: Path) -> Iterator[Bench]:
    """Return two open registries, shared by all tests: each test has image names of its own."""
    source, target = _registries
    with faulty_proxy(source.host) as before, faulty_proxy(target.host) as behind:
        bench = Bench(tmp_path, before, behind)
        yield bench
        bench.close()
