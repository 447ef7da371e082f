"""Builds are skipped through a real registry; the builder is a stand-in that pushes real images."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.console import Console
from codexctl_tasks.images.building import BuildSettings, build_images
from codexctl_tasks.images.catalogue import Build
from codexctl_tasks.images.results import BuildResult, Done
from codexctl_tasks.references import parse_reference
from tests.support.builds import Project
from tests.support.faulty_proxy import Fault
from tests.support.images import Pusher, layer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from codexctl_tasks.images.backend import BuildOrder
    from tests.images.conftest import Bench


class PushingBackend:
    """A builder whose image differs each time, as that of many real ones does."""

    name = "pushing"

    def __init__(self, pusher: Pusher, *, as_index: bool = False) -> None:
        self.orders: list[BuildOrder] = []
        self.before_push: Callable[[], None] = lambda: None
        self._pusher, self._as_index = pusher, as_index

    def build(self, order: BuildOrder, *, tell: Callable[[str], None], deadline_s: float) -> str:
        """See `Backend.build`."""
        assert deadline_s
        self.orders.append(order)
        tell(f"building {order.name}")
        self.before_push()
        repository, tag = order.target.repository, order.target.tag
        content = layer(f"{order.name}-{id(self)}-{len(self.orders)}")
        if not self._as_index:
            return self._pusher.image(repository, tag, [content])["digest"]
        entry = self._pusher.image(repository, "", [content])
        statement = self._pusher.attestation(repository, entry["digest"])
        return self._pusher.index(repository, tag, [entry, statement])


class Builds:
    """Builds of one repository, each run with a client and a console of its own."""

    def __init__(self, bench: Bench, folder: Path, name: str) -> None:
        self.bench, self.name = bench, name
        self.project = Project(folder / "project")
        self.backend = PushingBackend(bench.arrived)
        self._logs = folder / "logs"

    def build(self, tag: str = "1", dockerfile: str = "FROM scratch\nCOPY . /\n") -> Build:
        """Return a build that pushes to the registry."""
        plain = self.project.build(self.name, dockerfile)
        return Build(
            name=plain.name,
            target=parse_reference(f"{self.bench.target.host}/{self.name}:{tag}"),
            dockerfile=plain.dockerfile,
            context=plain.context,
            location=plain.location,
        )

    def run(
        self, build: Build, backend: PushingBackend | None = None, **settings: Any
    ) -> BuildResult:
        """Build as on a runner that has never seen it; earlier requests are forgotten."""
        self.bench.target.seen.clear()
        (result,) = build_images(
            [build],
            [],
            self.bench.client(),
            lambda: backend or self.backend,
            BuildSettings(
                console=Console(io.StringIO()),
                clock=self.bench.clock,
                logs=self._logs,
                **settings,
            ),
        )
        return result

    @property
    def content_tags(self) -> list[str]:
        """The tags that remember content."""
        return [tag for tag in self.bench.arrived.tags(self.name) if tag.startswith("c-")]


@pytest.fixture
def builds(bench: Bench, tmp_path: Path, request: pytest.FixtureRequest) -> Builds:
    """Return builds of a repository that nobody else uses."""
    return Builds(bench, tmp_path, request.node.name.removeprefix("test_").replace("_", "-"))


def test_unchanged(builds: Builds) -> None:
    """Three HEAD requests from a cold runner, one of them for the image it begins with."""
    base = builds.bench.arrived.image(f"{builds.name}-base", "1", [layer("base")])
    dockerfile = f"FROM {builds.bench.target.host}/{builds.name}-base:1\nCOPY . /\n"
    first = builds.run(builds.build(dockerfile=dockerfile))
    assert first.done is Done.BUILT, first.error
    assert base["digest"] != first.digest
    assert builds.bench.arrived.tags(builds.name) == ["1", *builds.content_tags]
    assert first.size > 1000

    again = builds.run(builds.build(dockerfile=dockerfile))

    assert (again.done, again.digest) == (Done.UNCHANGED, first.digest)
    assert len(builds.backend.orders) == 1
    (memory,) = builds.content_tags
    assert sorted(builds.bench.target.lines()) == [
        f"HEAD /v2/{builds.name}-base/manifests/1",
        f"HEAD /v2/{builds.name}/manifests/1",
        f"HEAD /v2/{builds.name}/manifests/{memory}",
    ]


def test_another_tag(builds: Builds) -> None:
    """The same bytes get the tag of this run, without a builder; nothing else is sent."""
    first = builds.run(builds.build("commit-1"))
    again = builds.run(builds.build("commit-2"))

    assert (again.done, again.digest) == (Done.RETAGGED, first.digest)
    raw = builds.bench.arrived.raw
    assert raw(builds.name, "commit-2") == raw(builds.name, "commit-1") != b""
    assert again.size == first.size
    assert len(builds.backend.orders) == 1
    assert builds.bench.target.lines()[-1] == f"PUT /v2/{builds.name}/manifests/commit-2"


def test_an_index_with_attestations(builds: Builds) -> None:
    """It is tagged anew as a whole, and is not there when what it lists has been tidied away."""
    builds.backend = PushingBackend(builds.bench.arrived, as_index=True)
    first = builds.run(builds.build("commit-1"))
    again = builds.run(builds.build("commit-2"))
    assert (again.done, again.digest) == (Done.RETAGGED, first.digest)

    index = builds.bench.client().fetch(builds.build("commit-2").target)
    assert index is not None
    builds.bench.arrived.delete(builds.name, index.content["manifests"][0]["digest"])
    third = builds.run(builds.build("commit-3"))
    assert third.done is Done.BUILT
    assert third.digest != first.digest


def test_two_runs_at_once(builds: Builds) -> None:
    """The second to finish takes the image of the first: both deploy the same."""
    build = builds.build()
    slow = PushingBackend(builds.bench.arrived)
    results: dict[str, BuildResult] = {}

    def run_first() -> None:
        results["first"] = builds.run(build)

    def other_run() -> None:
        thread = threading.Thread(target=run_first)
        thread.start()
        thread.join(60)

    slow.before_push = other_run
    results["second"] = builds.run(build, slow)

    assert [result.done for result in results.values()] == [Done.BUILT, Done.BUILT]
    assert results["second"].digest == results["first"].digest
    assert results["second"].note == "another run was first, its image is used"
    raw = builds.bench.arrived.raw
    assert raw(builds.name, "1") == raw(builds.name, builds.content_tags[0])


def test_force(builds: Builds) -> None:
    """A build anew replaces what was remembered."""
    first = builds.run(builds.build())
    forced = builds.run(builds.build(), force=True)
    assert forced.done is Done.BUILT
    assert forced.digest != first.digest
    assert builds.run(builds.build()).digest == forced.digest
    assert len(builds.content_tags) == 1


def test_a_tag_that_the_registry_does_not_take(builds: Builds) -> None:
    """The image is there all the same; only the next run cannot know it."""
    builds.bench.target.will(Fault("PUT", "manifests/c-", status=403, times=9))
    result = builds.run(builds.build())
    assert result.done is Done.BUILT
    assert result.digest
    assert result.note.startswith("the next run will build it again, as c-")
    assert builds.content_tags == []


def test_a_registry_that_is_not_there(builds: Builds) -> None:
    """One line, exit code 4, and no builder is started that could not push."""
    build = builds.build()
    object.__setattr__(build, "target", parse_reference("127.0.0.1:1/web:1"))
    result = builds.run(build)
    assert result.done is Done.FAILED
    assert result.error is not None
    assert result.error.exit_code == 4
    assert builds.backend.orders == []
