"""Builds: what is done, in which order, and what becomes of failures."""

from __future__ import annotations

import io
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.console import Console
from codexctl_tasks.errors import DeadlineError, Interrupted
from codexctl_tasks.images.backend import BuildError
from codexctl_tasks.images.building import BuildSettings, build_images, jobs_of
from codexctl_tasks.images.results import BuildResult, Done
from codexctl_tasks.references import Reference, parse_reference
from codexctl_tasks.registry.interface import RegistryError
from codexctl_tasks.world.clock import SystemClock
from tests.support.builds import FakeBackend, FakeRegistry, Project, index_of, manifest_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codexctl_tasks.images.catalogue import Build, External
    from tests.support.fakes import FakeClock


class Bench:
    """Runs builds."""

    def __init__(self, registry: FakeRegistry, backend: FakeBackend, logs: Path) -> None:
        self.registry, self.backend, self.logs = registry, backend, logs
        self.looked_for = 0
        self.told = io.StringIO()
        self.console = Console(self.told)
        self.no_backend: BuildError | None = None
        self.announced: list[BuildResult] = []

    def run(
        self, *builds: Build, externals: Sequence[External] = (), **settings: Any
    ) -> dict[str, BuildResult]:
        """Build and return the results by name."""
        self.announced.clear()
        results = build_images(
            builds,
            externals,
            self.registry,
            self._backend,
            BuildSettings(
                console=self.console,
                clock=settings.pop("clock", SystemClock()),
                logs=self.logs,
                **settings,
            ),
            announce=self.announced.append,
        )
        assert sorted(results, key=id) == sorted(self.announced, key=id)
        return {result.name: result for result in results}

    def what(self, *builds: Build, **settings: Any) -> dict[str, str]:
        """Build and return what was done."""
        return {name: str(each.done) for name, each in self.run(*builds, **settings).items()}

    def content_tag(self, name: str) -> Reference:
        """Return the one tag of a repository that remembers a content hash."""
        (found,) = (
            reference
            for reference in self.registry.tags_on
            if reference.repository == name and reference.tag.startswith("c-")
        )
        return found

    def _backend(self) -> FakeBackend:
        self.looked_for += 1
        if self.no_backend:
            raise self.no_backend
        return self.backend


@pytest.fixture
def bench(registry: FakeRegistry, backend: FakeBackend, tmp_path: Path) -> Bench:
    """Return a bench with empty registries."""
    return Bench(registry, backend, tmp_path / "logs")


def test_what_is_nowhere_is_built_and_remembered(project: Project, bench: Bench) -> None:
    """Under the tag that is wanted and under its content; the result says what to deploy."""
    build = project.build("web")

    result = bench.run(build)["web"]

    assert result.done is Done.BUILT
    assert result.digest == bench.registry.tags_on[build.target]
    assert bench.registry.tags_on[bench.content_tag("web")] == result.digest
    assert result.size == 1000
    assert result.error is None
    (order,) = bench.backend.orders
    assert order.target == build.target
    assert order.push


def test_nothing_changed_starts_nothing(project: Project, bench: Bench) -> None:
    """Two HEAD requests for the image, one for what it is built from; no builder is looked for."""
    bench.registry.add("redis:7")
    build = project.build("web", "FROM redis:7\nCOPY . /")
    bench.run(build)
    bench.registry.calls.clear()
    bench.looked_for = 0

    result = bench.run(build)["web"]

    assert result.done is Done.UNCHANGED
    assert result.digest == bench.registry.tags_on[build.target]
    assert bench.looked_for == 0
    assert sorted(str(reference) for _, reference in bench.registry.calls) == sorted(
        ["docker.io/library/redis:7", "registry.test/web:1", str(bench.content_tag("web"))]
    )
    assert {call for call, _ in bench.registry.calls} == {"find"}


def test_a_new_tag_of_the_same_content_needs_no_builder(project: Project, bench: Bench) -> None:
    """As in most runs: the tag is that of the commit, and only another service has changed."""
    first = bench.run(project.build("web", tag="commit-1"))["web"]
    bench.looked_for = 0
    second = project.build("web", tag="commit-2")

    result = bench.run(second)["web"]

    assert result.done is Done.RETAGGED
    assert result.digest == first.digest == bench.registry.tags_on[second.target]
    assert result.size == 1000
    assert bench.looked_for == 0


def test_a_tag_that_somebody_else_has_moved_is_set_right(project: Project, bench: Bench) -> None:
    """The tag says what the content is, not what it was pushed over with."""
    build = project.build("web")
    digest = bench.run(build)["web"].digest
    bench.registry.add(str(build.target), manifest_of("something else"))

    assert bench.run(build)["web"].done is Done.RETAGGED
    assert bench.registry.tags_on[build.target] == digest


def test_changed_content_is_built(project: Project, bench: Bench) -> None:
    """And going back to what was there before is not."""
    build = project.build("web")
    first = bench.run(build)["web"].digest
    project.write("web/app", "changed")
    assert bench.run(build)["web"].done is Done.BUILT
    project.write("web/app", "this is web\n")
    result = bench.run(build)["web"]

    assert (result.done, result.digest) == (Done.RETAGGED, first)


def test_a_new_base_image_builds_anew(project: Project, bench: Bench) -> None:
    """Its tag is the same, its digest is not: a security update arrives."""
    bench.registry.add("redis:7")
    build = project.build("web", "FROM redis:7")
    bench.run(build)
    bench.registry.add("redis:7", manifest_of("a new redis"))
    assert bench.what(build) == {"web": "built"}


def test_force_builds_what_is_there(project: Project, bench: Bench) -> None:
    """Such as for packages that a build fetches; the new image is what is remembered."""
    build = project.build("web")
    first = bench.run(build)["web"].digest
    forced = bench.run(build, force=True)["web"]

    assert forced.done is Done.BUILT
    assert forced.digest != first
    assert bench.registry.tags_on[bench.content_tag("web")] == forced.digest
    assert bench.what(build) == {"web": "unchanged"}


def test_an_index_is_only_there_with_all_its_manifests(project: Project, bench: Bench) -> None:
    """The garbage collection of some registries deletes manifests that an index still needs."""
    build = project.build("web")
    bench.run(build)
    child = manifest_of("amd64")
    for reference in (build.target, bench.content_tag("web")):
        bench.registry.add(str(reference), index_of(child))
    assert bench.what(build) == {"web": "built"}

    for reference in (build.target, bench.content_tag("web")):
        bench.registry.add(str(reference), index_of(child))
    bench.registry.add(str(build.target.with_digest(child.digest)), child)
    assert bench.what(build) == {"web": "unchanged"}


def test_the_first_of_two_runs_wins(project: Project, bench: Bench) -> None:
    """Both have built the same at the same time: both deploy the same digest in the end."""
    build = project.build("web")
    bench.run(build)
    memory = bench.content_tag("web")
    del bench.registry.tags_on[memory], bench.registry.tags_on[build.target]
    others = manifest_of("of the other run")
    bench.backend.during = lambda _: bench.registry.add(str(memory), others)

    result = bench.run(build)["web"]

    assert result.done is Done.BUILT
    assert result.digest == others.digest == bench.registry.tags_on[build.target]
    assert result.note == "another run was first, its image is used"


def test_what_is_needed_is_built_first(project: Project, bench: Bench) -> None:
    """The order of the file does not matter, and what was pushed need not be looked up."""
    web = project.build("web", "FROM registry.test/base:1")
    base = project.build("base", "FROM registry.test/root:1")
    root = project.build("root")

    assert set(bench.what(web, base, root).values()) == {"built"}
    assert bench.backend.built == ["root", "base", "web"]
    assert bench.what(web, base, root, only=("web",)) == dict.fromkeys(
        ("web", "base", "root"), "unchanged"
    )

    project.write("root/app", "changed")
    assert set(bench.what(web, base, root).values()) == {"built"}
    assert bench.backend.built == ["root", "base", "web"] * 2


def test_only_one_with_what_it_needs(project: Project, bench: Bench) -> None:
    """Which is told, as nobody has asked for it."""
    web = project.build("web", "FROM registry.test/base:1")
    builds = (web, project.build("base"), project.build("other"))

    assert bench.what(*builds, only=("web",)) == {"web": "built", "base": "built"}
    assert "base: looked at too, as what was chosen needs it" in bench.told.getvalue()


def test_a_failure_stops_only_what_needs_it(project: Project, bench: Bench) -> None:
    """Each result says why; the log is in a file, its end is shown."""
    bench.backend.fails["base"] = BuildError("image base", "make: Error 2")
    bench.backend.lines = [f"line {number}" for number in range(60)]
    results = bench.run(
        project.build("web", "FROM registry.test/base:1"),
        project.build("site", "FROM registry.test/web:1"),
        project.build("base"),
        project.build("other"),
    )

    assert {name: str(each.done) for name, each in results.items()} == {
        "web": "skipped",
        "site": "skipped",
        "base": "failed",
        "other": "built",
    }
    assert results["web"].note == "needs base, which failed"
    assert results["site"].note == "needs web, which was skipped"
    assert str(results["base"].error) == "image base: make: Error 2"
    assert results["base"].tail[0] == "line 10"
    assert results["base"].tail[-1] == "line 59"
    assert (bench.logs / "base.log").read_text().startswith("line 0\nline 1\n")
    assert results["base"].log == str(bench.logs / "base.log")
    assert "line 59" in bench.told.getvalue()
    assert "line 9\n" not in bench.told.getvalue()
    assert Reference("registry.test", "base", "1") not in bench.registry.tags_on


def test_a_mistake_in_one_dockerfile(project: Project, bench: Bench) -> None:
    """It is a failure of this image, with exit code 3; nothing is started for it."""
    results = bench.run(project.build("web", "FROM"), project.build("other"))
    assert results["web"].done is Done.FAILED
    assert results["web"].error.exit_code == 3
    assert results["web"].log == ""
    assert results["other"].done is Done.BUILT


def test_a_registry_that_refuses(project: Project, bench: Bench) -> None:
    """Exit code 4; images of other registries go on."""
    bench.registry.broken["registry.test/web"] = RegistryError("registry.test", "no entry")
    results = bench.run(project.build("web"), project.build("other"))
    assert results["web"].done is Done.FAILED
    assert results["web"].error.exit_code == 4
    assert bench.backend.built == ["other"]


def test_no_builder_is_told_once_per_image(project: Project, bench: Bench) -> None:
    """It is looked for once; what needs none is done."""
    there = project.build("there")
    bench.run(there)
    bench.looked_for = 0
    bench.no_backend = BuildError("builder", "none works here", "install buildah")

    results = bench.run(there, project.build("a"), project.build("b"))

    assert bench.looked_for == 1
    assert results["there"].done is Done.UNCHANGED
    assert {str(results[name].error) for name in "ab"} == {
        "builder: none works here: install buildah"
    }


def test_an_image_that_could_not_be_mirrored(project: Project, bench: Bench) -> None:
    """An older one may be there under its tag: it is not built upon."""
    redis = project.external("redis")
    bench.registry.add(str(redis.target))
    build = project.build("web", f"FROM {redis.target}")

    assert bench.what(build, externals=[redis], failed=["redis"]) == {"web": "skipped"}
    assert bench.announced[0].note == "needs redis, which could not be mirrored"
    assert bench.what(build, externals=[redis]) == {"web": "built"}


def test_without_a_push(project: Project, bench: Bench) -> None:
    """An image is built and is nowhere; what needs it cannot be built, and is told so."""
    results = bench.run(
        project.build("web", "FROM registry.test/base:1"), project.build("base"), push=False
    )
    assert results["base"].done is Done.BUILT
    assert not results["base"].digest
    assert results["web"].done is Done.SKIPPED
    assert results["web"].note == "needs base, which was not pushed"
    assert bench.registry.count("store") == 0


def test_without_a_push_nothing_is_tagged(project: Project, bench: Bench) -> None:
    """What is there is not built again; as its tag is missing, nothing can be built upon it."""
    bench.run(project.build("base", tag="old"))
    stores = bench.registry.count("store")
    web = project.build("web", "FROM registry.test/base:new")
    results = bench.run(web, project.build("base", tag="new"), push=False)

    assert results["base"].done is Done.WOULD_RETAG
    assert results["web"].note == "needs base, which was not tagged"
    assert bench.registry.count("store") == stores


def test_force_is_for_what_was_chosen(project: Project, bench: Bench) -> None:
    """What it needs is there and stays as it is."""
    builds = (project.build("web", "FROM registry.test/base:1"), project.build("base"))
    bench.run(*builds)
    assert bench.what(*builds, only=("web",), force=True) == {"web": "built", "base": "unchanged"}
    assert bench.what(*builds, force=True) == {"web": "built", "base": "built"}


def test_a_dry_run_of_what_is_not_mirrored_yet(project: Project, bench: Bench) -> None:
    """An image that would be there by then is not missed."""
    redis = project.external("redis")
    build = project.build("web", f"FROM {redis.target}")
    settings = {"externals": [redis], "dry_run": True}
    assert bench.what(build, **settings, pending=["redis"]) == {"web": "would build"}
    assert bench.announced[0].note == "needs redis, which would be mirrored"
    assert bench.what(build, **settings) == {"web": "failed"}


def test_a_dry_run_changes_nothing(project: Project, bench: Bench) -> None:
    """It tells what would be done; no builder is looked for."""
    same, moved = project.build("same"), project.build("moved", tag="old")
    bench.run(same, moved)
    bench.registry.calls.clear()
    bench.looked_for = 0
    base = project.build("base")

    assert bench.what(
        same,
        project.build("moved", tag="new"),
        base,
        project.build("web", "FROM registry.test/base:1"),
        dry_run=True,
    ) == {"same": "unchanged", "moved": "would retag", "base": "would build", "web": "would build"}
    assert bench.registry.count("store") == bench.looked_for == 0


def test_ignore_files_of_named_contexts_hold_for_every_builder(
    project: Project, bench: Bench
) -> None:
    """Some builders do not read them; all get a copy without what is left out."""
    more = project.write("more/file", "1").parent
    project.write("more/sub/script").chmod(0o755)
    (more / "link").symlink_to("file")
    project.write("more/noise")
    project.write("more/.dockerignore", "noise\n.dockerignore\n")
    plain = project.write("plain/file").parent
    seen: dict[str, list[str]] = {}

    def during(order: Any) -> None:
        for name, folder in order.contexts.items():
            seen[name] = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
        assert order.contexts["plain"] == plain
        assert (order.contexts["more"] / "link").readlink() == Path("file")
        assert (order.contexts["more"] / "sub/script").stat().st_mode & 0o111

    bench.backend.during = during
    build = project.build("web", contexts={"more": more, "plain": plain})
    assert bench.what(build) == {"web": "built"}
    assert seen == {"more": ["file", "link", "sub", "sub/script"], "plain": ["file"]}
    assert not bench.backend.orders[0].contexts["more"].exists()


def test_secrets_are_masked_in_logs(project: Project, bench: Bench) -> None:
    """A builder that prints its arguments gives nothing away, neither in the file nor here."""
    bench.console.hide(["hunter22"])
    bench.backend.lines = ["ARG TOKEN=hunter22"]
    bench.backend.fails["web"] = BuildError("image web", "failed")
    result = bench.run(project.build("web", arguments={"TOKEN": "hunter22"}))["web"]

    assert "hunter22" not in (bench.logs / "web.log").read_text() + bench.told.getvalue()
    assert result.tail == ("ARG TOKEN=***",)


def test_odd_names_stay_in_the_folder_of_logs(project: Project, bench: Bench) -> None:
    """A name is a key in a file that anybody may write."""
    build = project.build("web")
    object.__setattr__(build, "name", "../../x y")
    result = bench.run(build)["../../x y"]
    assert result.log == str(bench.logs / "_.._x_y.log")


def test_a_log_that_cannot_be_written(project: Project, bench: Bench) -> None:
    """One line, exit code 5."""
    bench.logs.write_text("a file")
    result = bench.run(project.build("web"))["web"]
    assert result.done is Done.FAILED
    assert result.error.exit_code == 5
    assert "web.log: cannot be written: " in str(result.error)


def test_time_that_is_over(project: Project, bench: Bench) -> None:
    """It is a failure of this image, with the exit code of time."""
    bench.backend.fails["web"] = DeadlineError("image web", "is not built after 3600 s")
    assert bench.run(project.build("web"))["web"].error.exit_code == 70


def test_jobs_side_by_side(project: Project, bench: Bench) -> None:
    """As many builders as asked for, never more, while others only look."""
    together = threading.Barrier(2, timeout=10)
    running: list[str] = []
    most: list[int] = []

    def during(order: Any) -> None:
        running.append(order.name)
        most.append(len(running))
        together.wait()
        running.remove(order.name)
        together.wait()

    bench.backend.during = during
    results = bench.what(*(project.build(name) for name in "abcd"), jobs=2)
    assert set(results.values()) == {"built"}
    assert max(most) == 2


def test_the_usual_number_of_jobs(bench: Bench) -> None:
    """Half of the cores, at least one, at most four."""
    settings = BuildSettings(console=bench.console, clock=SystemClock(), logs=bench.logs)
    assert 1 <= jobs_of(settings) <= 4


def test_a_long_build_says_where_it_is(project: Project, bench: Bench, clock: FakeClock) -> None:
    """Every half minute a line of the builder, the others are in the log."""
    bench.backend.lines = [f"step {number}" for number in range(10)]
    original = clock.now

    def now() -> float:
        clock.time += 4
        return original()

    clock.now = now
    bench.run(project.build("web"), clock=clock)

    told = [line for line in bench.told.getvalue().splitlines() if " s: step" in line]
    assert len(told) == 1
    assert told[0].startswith("build    web: 3")


def test_an_interruption_begins_nothing_more(project: Project, bench: Bench) -> None:
    """Ctrl-C while one builds: those that wait for room are not started."""
    begun = threading.Event()
    over = threading.Event()

    def during(_: Any) -> None:
        begun.set()
        assert over.wait(10)

    bench.backend.during = during
    quick = project.build("quick")
    bench.registry.add("registry.test/quick:1")

    def announce(_: BuildResult) -> None:
        assert begun.wait(10)
        threading.Timer(0.2, over.set).start()
        raise Interrupted(signal.SIGINT)

    with pytest.raises(Interrupted):
        build_images(
            [project.build("broken", "FROM"), quick, project.build("a"), project.build("b")],
            [],
            bench.registry,
            lambda: bench.backend,
            BuildSettings(console=bench.console, clock=SystemClock(), logs=bench.logs, jobs=1),
            announce=announce,
        )

    assert over.is_set()
    assert len(bench.backend.built) == 1


def test_the_builder_gets_everything(project: Project, bench: Bench) -> None:
    """Arguments, named contexts, the ignore file that holds, platform, where layers are kept."""
    ignore_file = project.write("web/Dockerfile.dockerignore", "x")
    more = project.write("more/file").parent
    build = project.build("web", arguments={"A": "1"}, contexts={"more": more})
    bench.run(build, platform="linux/arm64")
    bench.run(build, platform="linux/amd64", caches_layers=False)

    order, other = bench.backend.orders
    assert (order.dockerfile, order.context) == (build.dockerfile, build.context)
    assert order.ignore_file == ignore_file
    assert (order.arguments, order.contexts) == ({"A": "1"}, {"more": more})
    assert order.platform == "linux/arm64"
    assert order.cache == parse_reference("registry.test/web:buildcache")
    assert other.cache is None
    assert "'A'" not in repr(order)
