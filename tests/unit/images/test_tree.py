"""What images are made of, read from a registry that is a dictionary."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import ConfigurationError, Location
from codexctl_tasks.images.platforms import parse_platform
from codexctl_tasks.images.tree import blobs_of, children_of, choose, is_whole, read_tree
from codexctl_tasks.references import Reference
from codexctl_tasks.registry.interface import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    Descriptor,
    Manifest,
    RegistryError,
)

if TYPE_CHECKING:
    from codexctl_tasks.registry.interface import Registry

HERE = Reference("registry.example", "shop/web", "1")
DIGEST = f"sha256:{'0' * 64}"


class Shelf:
    """Plays a registry that holds manifests."""

    def __init__(self) -> None:
        self.held: dict[str, Manifest] = {}

    def add(self, kind: str, content: Any) -> Descriptor:
        """Put a manifest into it."""
        manifest = Manifest(json.dumps(content).encode(), kind)
        self.held[manifest.digest] = manifest
        return Descriptor(manifest.digest, kind, len(manifest.raw))

    def index(self, *entries: Descriptor, platforms: tuple[str, ...] = ()) -> Descriptor:
        """Put an index into it."""
        listed: list[dict[str, Any]] = [_entry(each) for each in entries]
        for entry, platform in zip(listed, platforms, strict=False):
            os, architecture = platform.split("/")
            entry["platform"] = {"os": os, "architecture": architecture}
        return self.add(INDEX_TYPES[0], {"manifests": listed})

    def image(self, name: str) -> Descriptor:
        """Put an image into it."""
        return self.add(MANIFEST_TYPES[0], {"layers": [], "annotations": {"name": name}})

    def fetch(self, reference: Reference) -> Manifest | None:
        """See `Registry.fetch`."""
        return self.held.get(reference.digest)

    def find(self, reference: Reference) -> Descriptor | None:
        """See `Registry.find`."""
        found = self.held.get(reference.digest)
        return found and Descriptor(found.digest, found.media_type)


def _entry(each: Descriptor) -> dict[str, Any]:
    return {"mediaType": each.media_type, "digest": each.digest, "size": each.size}


@pytest.fixture
def shelf() -> Any:
    """Return an empty registry."""
    return Shelf()


def test_levels(shelf: Any) -> None:
    """What is listed comes after what lists it; what two list comes once."""
    one, two = shelf.image("one"), shelf.image("two")
    inner = shelf.index(two, one)
    top = shelf.held[shelf.index(one, inner, one).digest]

    tree = read_tree(shelf, HERE, top)

    assert [[each.digest for each in level] for level in tree.levels] == [
        [top.digest],
        [one.digest, inner.digest],
        [two.digest, one.digest],
    ]
    left_out = read_tree(shelf, HERE, top, known=[one.digest])
    assert [[each.digest for each in level] for level in left_out.levels] == [
        [top.digest],
        [inner.digest],
        [two.digest],
    ]


def test_a_part_that_is_missing(shelf: Any) -> None:
    """Named, with its digest."""
    top = shelf.held[shelf.index(Descriptor(DIGEST, MANIFEST_TYPES[0])).digest]

    with pytest.raises(RegistryError, match=f"@{DIGEST}: is listed, and not there: somebody has"):
        read_tree(shelf, HERE, top)


def test_too_many_levels(shelf: Any) -> None:
    """Nobody needs them, and each costs a request."""
    top = shelf.image("deep")
    for _ in range(6):
        top = shelf.index(top)

    with pytest.raises(RegistryError, match="indexes in indexes without an end"):
        read_tree(shelf, HERE, shelf.held[top.digest])


@pytest.mark.parametrize("digest", ["", "sha256:12", f"{DIGEST}/../../x", f"{DIGEST}?x=y", "x"])
def test_digests_that_are_none(digest: str) -> None:
    """What an image says must not become part of an address."""
    manifest = Manifest(
        json.dumps({"config": {"digest": digest}, "layers": []}).encode(), MANIFEST_TYPES[0]
    )

    with pytest.raises(RegistryError, match="is no digest: push the image anew"):
        list(blobs_of(manifest))


@pytest.mark.parametrize(
    "content",
    [{}, {"layers": None, "config": []}, {"layers": 5}, {"manifests": 5}, {"manifests": [None]}],
)
def test_manifests_without_a_meaning(content: Any) -> None:
    """They are made of nothing; the registry that is to take them will say so."""
    raw = json.dumps(content).encode()

    assert list(blobs_of(Manifest(raw, MANIFEST_TYPES[0]))) == []
    assert children_of(Manifest(raw, INDEX_TYPES[0])) == []


def test_layers_that_are_somewhere_else() -> None:
    """They are not moved."""
    layers = [{"digest": DIGEST, "size": 5, "urls": ["https://x"]}, {"digest": DIGEST, "size": 7}]
    manifest = Manifest(json.dumps({"layers": layers}).encode(), MANIFEST_TYPES[1])

    assert [blob.size for blob in blobs_of(manifest)] == [7]


def test_whether_all_of_it_is_there(shelf: Any) -> None:
    """Down to what an inner index lists."""
    one, two = shelf.image("one"), shelf.image("two")
    top = shelf.index(one, shelf.index(two))
    assert is_whole(shelf, HERE, one)
    assert is_whole(shelf, HERE, top)

    del shelf.held[two.digest]
    assert not is_whole(shelf, HERE, top)
    assert not is_whole(shelf, HERE, Descriptor(DIGEST, INDEX_TYPES[1]))


def test_choosing(shelf: Any) -> None:
    """Also from an index inside; what was asked for to the letter comes first."""
    one, two, none = (shelf.image(name) for name in ("one", "two", "none"))
    inner = shelf.index(two, platforms=("linux/arm64",))
    top = shelf.held[
        shelf.index(none, one, inner, platforms=("unknown/unknown", "linux/amd64")).digest
    ]
    where = Location("services.yaml", 3)
    registry: Registry = shelf

    assert choose(registry, HERE, top, parse_platform("linux/amd64"), where) == one.digest
    assert choose(registry, HERE, top, parse_platform("linux/arm64"), where) == two.digest
    with pytest.raises(ConfigurationError) as caught:
        choose(registry, HERE, top, parse_platform("linux/s390x"), where)
    assert str(caught.value) == (
        "services.yaml:3: registry.example/shop/web:1 does not exist for linux/s390x: "
        "it exists for linux/amd64, linux/arm64"
    )
