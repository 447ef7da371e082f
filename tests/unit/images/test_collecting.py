"""Removing what nobody needs, from a registry in which others are at work as well."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.images.collecting import Deleted, Repository
from codexctl_tasks.images.retention import Rules
from codexctl_tasks.images.usage import Usage
from codexctl_tasks.references import Reference, parse_reference
from codexctl_tasks.registry.interface import Manifest, RegistryError
from tests.support.fake_registry import FakeRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.support.fakes import FakeClock

API = parse_reference("localhost:5001/shop/api")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLD, NEW = "2026-01-01T00:00:00.123456789Z", "2026-03-01T11:00:00Z"
RULES = Rules(newest=0, protected=(), younger_s=86400, desired={})
NOBODY = Usage()


def _repository(registry: FakeRegistry, rules: Rules = RULES) -> Repository:
    return Repository(registry, API, rules)


def _collect(
    registry: FakeRegistry,
    clock: FakeClock,
    look: Callable[[], Usage] = lambda: NOBODY,
    rules: Rules = RULES,
) -> list[Deleted]:
    repository = _repository(registry, rules)
    announced = repository.judge(look(), NOW)
    return list(repository.collect(announced, look, clock=clock, now=NOW))


def _tags(registry: FakeRegistry) -> set[str]:
    return set(registry.tagged[API.name])


@pytest.mark.parametrize(
    ("created", "why"),
    [
        (OLD, "unused, 59 days old"),
        (NEW, "young: 1 h old"),
        ("2026-01-01T00:00:00+05:00", "unused, 59 days old"),
        ("2026-01-01T00:00:00", "unused, 59 days old"),
        (None, "its age is unknown"),
        ("yesterday", "its age is unknown"),
        ("1970-01-01T00:00:00Z", "its age is unknown"),
        ("1980-01-01T00:00:01Z", "its age is unknown"),
        ("0001-01-01T00:00:00Z", "its age is unknown"),
    ],
)
def test_the_age_of_an_image(created: str | None, why: str) -> None:
    """The time in its configuration; that of a reproducible build says nothing."""
    registry = FakeRegistry()
    registry.push(API.with_tag("1"), created)

    [verdict] = _repository(registry).judge(NOBODY, NOW)

    assert verdict.why == why


def test_the_age_of_an_index() -> None:
    """That of its first part that tells it."""
    registry = FakeRegistry()
    parts = [registry.push(API, created, seed=str(created)) for created in (None, OLD, NEW)]
    registry.push_index(API.with_tag("1"), [f"sha256:{'0' * 64}", *parts])
    registry.push_index(API.with_tag("2"), [])

    first, second = _repository(registry).judge(NOBODY, NOW)

    assert (first.why, second.why) == ("unused, 59 days old", "its age is unknown")
    assert first.image.parts >= set(parts)
    assert sum(first.image.blobs.values()) > 3000


@pytest.mark.parametrize(
    "text",
    [
        '{"annotations": {"org.opencontainers.image.created": "2026-01-01T00:00:00Z"}}',
        '{"config": {"digest": "sha256:0", "size": 1e9}, "layers": null}',
        '{"config": {"digest": "sha256:0", "size": 10}, "layers": [{"digest": 7}, "x"]}',
        '{"config": null}',
        "[]",
        "no JSON",
    ],
)
def test_content_of_other_kinds(text: str) -> None:
    """Charts and broken manifests are no reason to stop; what has no age stays."""
    registry = FakeRegistry()
    registry.store(
        API.with_tag("1"), Manifest(text.encode(), "application/vnd.oci.image.manifest.v1+json")
    )

    [verdict] = _repository(registry).judge(NOBODY, NOW)

    assert verdict.why == ("unused, 59 days old" if "created" in text else "its age is unknown")


def test_what_no_tag_leads_to_but_a_pod_runs() -> None:
    """A tag that was moved leaves an image behind; its parts stay, though one has an old tag."""
    registry = FakeRegistry()
    part = registry.push(API.with_tag("part"), OLD)
    index = registry.push_index(API, [part])
    usage = Usage(digests={index: "Pod a"}, beside={"shop/api": {index, f"sha256:{'0' * 64}"}})

    verdicts = _repository(registry).judge(usage, NOW)

    assert {v.image.digest: v.why for v in verdicts} == {
        part: f"part of {index}",
        index: "used by Pod a",
    }


def test_everything_that_goes(clock: FakeClock) -> None:
    """Tags with their image, an index with its parts, a signature after its image."""
    registry = FakeRegistry()
    parts = [registry.push(API, OLD, seed=seed) for seed in "ab"]
    index = registry.push_index(API.with_tag("2"), parts)
    image = registry.push(API.with_tag("1"), OLD)
    registry.tag(API.with_tag("c-1"), image)
    signature = registry.push(API.with_tag(f"sha256-{image[7:]}.sig"), None)
    kept = registry.push(API.with_tag("3"), OLD)

    done = _collect(registry, clock, rules=replace(RULES, desired={"3": "images.api"}))

    assert registry.deleted[:3] == [index, *sorted(parts)]
    assert registry.deleted[3:] == [image, signature]
    assert [each.parts for each in done] == [2, 0, 0]
    assert list(registry.manifests[API.name]) == [kept]


def test_a_tag_that_is_moved_meanwhile(clock: FakeClock) -> None:
    """Somebody rolls back to an image that is about to go: it stays, the others still go."""
    registry = FakeRegistry()
    for tag in ("1", "2", "3"):
        registry.push(API.with_tag(tag), OLD)
    target = registry.tagged[API.name]["2"]
    rules = replace(RULES, protected=("latest",))

    def move(verb: str, _: Reference) -> None:
        if verb == "delete" and "latest" not in _tags(registry):
            registry.tag(API.with_tag("latest"), target)

    registry.before = move
    done = _collect(registry, clock, rules=rules)

    assert _tags(registry) == {"2", "latest"}
    assert len(done) == 2


def test_a_tag_that_is_new(clock: FakeClock) -> None:
    """Whoever gives an image a new tag needs it, though no rule says so."""
    registry = FakeRegistry()
    image = registry.push(API.with_tag("1"), OLD)
    looks = []

    def look() -> Usage:
        looks.append(None)
        if len(looks) == 2:
            registry.tag(API.with_tag("candidate"), image)
        return NOBODY

    assert _collect(registry, clock, look) == []
    assert _tags(registry) == {"1", "candidate"}


def test_an_image_that_begins_to_be_used(clock: FakeClock) -> None:
    """Clusters are read again before each deletion."""
    registry = FakeRegistry()
    for tag in ("1", "2"):
        registry.push(API.with_tag(tag), OLD)
    usage = Usage()
    registry.before = lambda verb, _: (
        usage.tags.update({("shop/api", "2"): "Pod a", ("shop/api", "1"): "Pod a"})
        if verb == "delete"
        else None
    )

    assert len(_collect(registry, clock, lambda: usage)) == 1
    assert len(_tags(registry)) == 1


def test_no_more_time_is_spent_on_deleting_than_on_looking(clock: FakeClock) -> None:
    """In a large registry not every deletion is worth a look at everything."""
    registry = FakeRegistry()
    for number in range(20):
        registry.push(API.with_tag(str(number)), OLD)
    looks = []

    def look() -> Usage:
        looks.append(None)
        clock.pass_time(4.5)
        return NOBODY

    registry.before = lambda verb, _: clock.pass_time(1) if verb == "delete" else None
    done = _collect(registry, clock, look)

    assert len(done) == 20
    assert len(looks) == 1 + 4  # five deletions after each look


def test_somebody_else_deletes_too(clock: FakeClock) -> None:
    """What is gone already is no failure."""
    registry = FakeRegistry()
    first = registry.push(API.with_tag("1"), OLD)

    def forget(verb: str, _: Reference) -> None:
        if verb == "delete":
            registry.manifests[API.name].pop(first, None)

    registry.before = forget
    [done] = _collect(registry, clock)

    assert not done.was_there


def test_a_registry_that_only_seems_to_delete(clock: FakeClock) -> None:
    """It says that the image is not there, and has it: this is no success."""
    registry = FakeRegistry()
    registry.push(API.with_tag("1"), OLD)
    registry.delete = lambda _: False  # type: ignore[method-assign]

    with pytest.raises(RegistryError, match="which it has"):
        _collect(registry, clock)


def test_a_registry_that_refuses(clock: FakeClock) -> None:
    """The first refusal ends it: nothing is tried again and again."""
    registry = FakeRegistry()
    for tag in ("1", "2"):
        registry.push(API.with_tag(tag), OLD)
    registry.refusals["delete", API.name] = RegistryError("x", "unsupported", status=405)

    with pytest.raises(RegistryError):
        _collect(registry, clock)
    assert _tags(registry) == {"1", "2"}


@pytest.mark.parametrize("seed", range(200))
def test_whatever_is_there(seed: int, clock: FakeClock) -> None:
    """What is used, protected or part of what stays is there afterwards; no part is left over."""
    world = _World(random.Random(seed))  # noqa: S311 - no secret
    before = dict(world.registry.tagged[API.name])
    reached_before = world.reached(before.values())

    def look() -> Usage:
        clock.pass_time(seed % 3 * 5)  # so many deletions follow, but one at least
        return world.usage

    world.registry.before = lambda verb, _: clock.pass_time(1) if verb == "delete" else None
    done = _collect(world.registry, clock, look, world.rules)

    manifests, tagged = world.registry.manifests[API.name], world.registry.tagged[API.name]
    assert {tag: before[tag] for tag in tagged} == tagged
    assert world.safe_tags <= tagged.keys()
    reached = world.reached([*tagged.values(), *world.safe_digests])
    assert reached <= manifests.keys()
    assert manifests.keys() & reached_before <= reached
    assert len(done) + len(set(tagged.values())) == len(set(before.values()))


class _World:
    """A random repository: images and indexes that share parts and tags, some of them in use."""

    def __init__(self, chance: random.Random) -> None:
        self.registry, self.usage = FakeRegistry(), Usage()
        self.safe_tags: set[str] = set()
        self.safe_digests: set[str] = set()
        self._parts: dict[str, list[str]] = {}
        created = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", None)
        images = [
            self.registry.push(API, chance.choices(created, (6, 6, 1))[0], seed=str(n))
            for n in range(chance.randint(1, 8))
        ]
        indexes: list[str] = []
        for _ in range(chance.randint(0, 4)):
            parts = chance.choices(images + indexes, k=chance.randint(1, 3))
            indexes.append(self.registry.push_index(API, parts))
            self._parts[indexes[-1]] = parts
        everything = list(dict.fromkeys(images + indexes))
        for number in range(chance.randint(0, 8)):
            tag = chance.choice(("v", "c-", "")) + str(number)
            self.registry.tag(API.with_tag(tag), chance.choice(everything))
        self._use(chance, everything, images)
        self.safe_tags |= {tag for tag in self.registry.tagged[API.name] if tag.startswith("v1")}
        self.rules = replace(RULES, newest=chance.randint(0, 2), protected=("v1*",))

    def reached(self, digests: Iterable[str]) -> set[str]:
        """Return these and everything that they list, as far as it ever was there."""
        found: set[str] = set()
        for digest in digests:
            found |= {digest, *self.reached(self._parts.get(digest, ()))}
        return found

    def _use(self, chance: random.Random, everything: list[str], images: list[str]) -> None:
        for tag in [t for t in self.registry.tagged[API.name] if chance.random() < 0.2]:
            self.usage.tags["shop/api", tag] = "Pod a"
            self.safe_tags.add(tag)
        for digest in [d for d in everything if chance.random() < 0.1]:
            self.usage.digests[digest] = "Pod a"
            self.usage.beside["shop/api"].add(digest)
            self.safe_digests.add(digest)
        for digest in [d for d in images if chance.random() < 0.1]:
            tags = self.registry.tagged[API.name]
            self.usage.digests[self.registry.configuration(API, digest)] = "Pod a"
            self.safe_tags |= {tag for tag, found in tags.items() if found == digest}
