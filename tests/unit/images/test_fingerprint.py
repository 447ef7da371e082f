"""The content hash of a build."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import CombinedError, ConfigurationError
from codexctl_tasks.images.fingerprint import (
    LARGE_CONTEXT,
    Digests,
    Fingerprints,
    images_of,
    native_platform,
)
from codexctl_tasks.references import parse_reference
from codexctl_tasks.registry.interface import RegistryError
from tests.support.builds import FakeRegistry, Project, manifest_of

if TYPE_CHECKING:
    from codexctl_tasks.images.catalogue import Build


class Bench:
    """Makes content hashes."""

    def __init__(self, registry: FakeRegistry) -> None:
        self.registry = registry
        self.warnings: list[str] = []

    def hash(self, build: Build, platform: str = "") -> str:
        """Return the hash of a build, everything looked up anew."""
        digests = Digests(self.registry).of(images_of(build, platform))
        return Fingerprints(self.warnings.append, platform).of(build, digests)


@pytest.fixture
def bench(registry: FakeRegistry) -> Bench:
    """Return a bench whose registry has some images."""
    for name in ("redis:7", "redis:8", "busybox:1"):
        registry.add(name)
    return Bench(registry)


FROM_REDIS = "ARG TAG=7\nFROM redis:$TAG\nCOPY . /\n"


def test_the_same_is_the_same(project: Project, bench: Bench) -> None:
    """32 hexadecimal digits, wherever the project lies and whatever the image is called."""
    one = bench.hash(project.build("web", FROM_REDIS))
    elsewhere = Project(project.root / "other")
    elsewhere.write("web/app", "this is web\n")
    again = elsewhere.build("web", FROM_REDIS, tag="other")

    assert bench.hash(again) == one
    assert re.fullmatch(r"[0-9a-f]{32}", one)


def test_everything_that_goes_in_counts(project: Project, bench: Bench) -> None:
    """Dockerfile, arguments, platform, files, named contexts and the images it pulls."""
    project.write("more/file", "1")
    plain = project.build("web", FROM_REDIS)
    more = project.root / "more"
    hashes = [
        bench.hash(plain),
        bench.hash(plain, "linux/riscv64"),
        bench.hash(replace(plain, arguments={"A": "1"})),
        bench.hash(replace(plain, arguments={"A": "2"})),
        bench.hash(replace(plain, arguments={"TAG": "8"})),
        bench.hash(replace(plain, contexts={"more": more})),
        bench.hash(replace(plain, contexts={"less": more})),
        bench.hash(replace(plain, contexts={"more": parse_reference("busybox:1")})),
    ]
    project.write("more/file", "2")
    hashes.append(bench.hash(replace(plain, contexts={"more": more})))
    bench.registry.add("redis:7", manifest_of("a new redis"))
    hashes.append(bench.hash(plain))
    project.write("web/app", "changed")
    hashes.append(bench.hash(plain))
    hashes.append(bench.hash(project.build("web", FROM_REDIS + "# a comment\n")))

    assert len(set(hashes)) == len(hashes)


def test_what_does_not_go_in_does_not_count(project: Project, bench: Bench) -> None:
    """What is left out, the order of arguments, and the tag of an image of the same content."""
    build = project.build("web", FROM_REDIS, arguments={"A": "1", "B": "2"})
    project.write("web/.dockerignore", "*.log\n.dockerignore\nDockerfile\n")
    before = bench.hash(build)
    project.write("web/x.log", "noise")
    project.write("web/.dockerignore", ".dockerignore\nDockerfile\n**/*.log\n")

    assert bench.hash(build) == before
    assert bench.hash(replace(build, arguments={"B": "2", "A": "1"})) == before

    base = manifest_of("base")
    named = []
    for tag in ("of-this-run", "of-the-last-run"):
        bench.registry.add(f"registry.test/base:{tag}", base)
        context = {"base": parse_reference(f"registry.test/base:{tag}")}
        named.append(bench.hash(replace(build, contexts=context)))
    assert len(set(named)) == 1


def test_a_named_context_has_rules_of_its_own(project: Project, bench: Bench) -> None:
    """Its own ignore file holds there, not that of the Dockerfile."""
    project.write("more/file", "1")
    project.write("more/noise", "1")
    project.write("more/.dockerignore", "noise")
    build = project.build("web", FROM_REDIS, contexts={"more": project.root / "more"})
    project.write("web/Dockerfile.dockerignore", "file")
    before = bench.hash(build)

    project.write("more/noise", "2")
    assert bench.hash(build) == before
    project.write("more/file", "2")
    assert bench.hash(build) != before


def test_the_platform_of_this_machine_is_the_usual_one(project: Project, bench: Bench) -> None:
    """A runner of another architecture builds another image."""
    build = project.build("web")
    assert bench.hash(build) == bench.hash(build, native_platform())


def test_pinned_images_are_not_looked_up(project: Project, bench: Bench) -> None:
    """A digest needs no registry."""
    build = project.build("web", f"FROM redis:7@sha256:{'a' * 64}")
    bench.hash(build)
    assert bench.registry.calls == []


def test_a_frontend_counts_where_it_can_be_had(project: Project, bench: Bench) -> None:
    """A runner that cannot reach its registry builds all the same: buildah needs none."""
    build = project.build("web", "# syntax=docker/dockerfile:1\nFROM redis:7")
    missing = bench.hash(build)
    bench.registry.broken["docker.io/docker/dockerfile"] = RegistryError("docker.io", "is away")
    assert bench.hash(build) == missing
    bench.registry.broken.clear()
    bench.registry.add("docker/dockerfile:1")
    assert bench.hash(build) != missing


def test_each_image_is_looked_up_once(project: Project, bench: Bench) -> None:
    """However many builds begin with it; registries count requests."""
    digests = Digests(bench.registry)
    for name in ("a", "b", "c"):
        digests.of(images_of(project.build(name, FROM_REDIS)))
    assert bench.registry.calls == [("find", parse_reference("redis:7"))]


def test_images_that_do_not_exist_are_named_with_their_line(project: Project, bench: Bench) -> None:
    """All of them at once; a registry that refuses is not taken for one that has no such image."""
    bench.registry.broken["registry.test/x"] = RegistryError("registry.test", "refuses", status=401)
    build = project.build(
        "web",
        "FROM redis:9 AS a\nFROM redis:7\nCOPY --from=nope a b\nCOPY --from=a a b\n"
        "COPY --from=registry.test/x a b",
    )

    with pytest.raises(CombinedError) as caught:
        bench.hash(build)

    messages = [str(problem) for problem in caught.value.problems]
    assert len(messages) == 3
    assert "web/Dockerfile:1: docker.io/library/redis:9 does not exist: check name" in messages[0]
    assert "web/Dockerfile:3: docker.io/library/nope:latest does not exist" in messages[1]
    assert messages[2] == "registry.test: refuses"
    assert caught.value.exit_code == 4


def test_the_image_of_a_named_context_that_does_not_exist(project: Project, bench: Bench) -> None:
    """It is named in services.yaml."""
    build = project.build("web", contexts={"base": parse_reference("nope:1")})
    with pytest.raises(CombinedError, match=r"^services.yaml:10: docker.io/library/nope:1 does"):
        bench.hash(build)


def test_a_context_by_mistake(project: Project, bench: Bench) -> None:
    """A warning names the largest folders, once; the build goes on."""
    build = project.build("web", "FROM scratch")
    project.write("web/data/set")
    with (project.root / "web/data/set").open("wb") as file:
        file.truncate(LARGE_CONTEXT + 1)  # sparse: it takes no room
    digests = Digests(bench.registry).of(images_of(build))
    fingerprints = Fingerprints(bench.warnings.append)
    fingerprints.of(build, digests)
    fingerprints.of(replace(build, name="again"), digests)

    (warning,) = bench.warnings
    assert warning.startswith("services.yaml:10: the build of web sees 500 MB in ")
    assert "(largest: data 500 MB, " in warning
    assert warning.endswith("leave out in .dockerignore what the image does not need")


def test_a_checkout_in_the_context(project: Project, bench: Bench) -> None:
    """Its .git is another one in every checkout: nothing would ever be unchanged."""
    build = project.build("web")
    project.write("web/.git/index", "times of files")
    bench.hash(build)
    (warning,) = bench.warnings
    assert warning.startswith(
        f"services.yaml:10: the build of web sees {build.context}/.git, which"
    )
    assert warning.endswith(": add .git to .dockerignore")
    bench.warnings.clear()
    project.write("web/.dockerignore", ".git\n")
    bench.hash(build)
    assert bench.warnings == []


def test_a_dockerfile_that_went_away(project: Project) -> None:
    """It was there when the stack was read."""
    build = project.build("web")
    build.dockerfile.unlink()
    with pytest.raises(ConfigurationError, match="web/Dockerfile: does not exist"):
        images_of(build)
