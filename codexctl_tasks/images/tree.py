"""What an image is made of: manifests below manifests, and the blobs that they name."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.images.platforms import Platform, read_platform
from codexctl_tasks.registry.interface import INDEX_TYPES, Descriptor, RegistryError
from codexctl_tasks.world.parallel import in_parallel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from codexctl_tasks.errors import Location
    from codexctl_tasks.references import Reference
    from codexctl_tasks.registry.interface import Manifest, Registry

_AT_ONCE = 8
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_DEEPEST = 4
"""Indexes below indexes; one is rare, and a loop is impossible, as digests are."""


@dataclass
class Tree:
    """An image, read from its registry."""

    levels: list[list[Manifest]] = field(default_factory=list)
    """The top one alone first, then what it lists, and so on."""

    @property
    def top(self) -> Manifest:
        """What the tag stands for."""
        return self.levels[0][0]

    def blobs(self) -> list[Descriptor]:
        """Return each blob once, the largest first; see `blobs_of`."""
        found = {blob.digest: blob for level in self.levels for m in level for blob in blobs_of(m)}
        return sorted(found.values(), key=lambda blob: -blob.size)


def children_of(manifest: Manifest) -> list[Descriptor]:
    """Return what an index lists, each once; nothing for any other manifest."""
    found = [_descriptor(each) for each in _entries(manifest)]
    return list({each.digest: each for each in found}.values())


def blobs_of(manifest: Manifest) -> Iterator[Descriptor]:
    """Yield configuration and layers; not those that have addresses of their own."""
    content = manifest.content
    layers = content.get("layers")
    for each in (content.get("config"), *(layers if isinstance(layers, list) else ())):
        if isinstance(each, dict) and not each.get("urls"):
            yield _descriptor(each)


def _entries(manifest: Manifest) -> list[dict[str, Any]]:
    entries = manifest.content.get("manifests") if manifest.is_index else ()
    entries = entries if isinstance(entries, list) else []
    return [each for each in entries if isinstance(each, dict)]


def read_tree(
    registry: Registry, source: Reference, top: Manifest, known: Iterable[str] = ()
) -> Tree:
    """
    Return an image.

    Args:
        registry: Where it is read.
        source: Its repository.
        top: The manifest at the top.
        known: Digests of manifests that need not be read: they are there already.
    """
    left_out = frozenset(known)
    tree = Tree([[top]])
    while listed := _listed(tree.levels[-1], left_out):
        if len(tree.levels) >= _DEEPEST:
            raise RegistryError(str(source), "has indexes in indexes without an end", "rebuild it")
        below = [source.with_digest(each.digest) for each in listed]
        found = in_parallel(lambda each: fetched(registry, each), below, limit=_AT_ONCE)
        by_name = {reference.digest: manifest for reference, manifest in found}
        tree.levels.append([by_name[each.digest] for each in below])
    return tree


def _listed(level: Iterable[Manifest], left_out: frozenset[str]) -> list[Descriptor]:
    found = {each.digest: each for manifest in level for each in children_of(manifest)}
    return [each for each in found.values() if each.digest not in left_out]


def fetched(registry: Registry, reference: Reference) -> Manifest:
    """
    Return a manifest that must be there.

    Raises:
        RegistryError: It is not: somebody has deleted part of an image.
    """
    manifest = registry.fetch(reference)
    if manifest is None:
        what = "is listed, and not there: somebody has deleted part of the image"
        raise RegistryError(str(reference), what, "push the image anew")
    return manifest


def leaves_there(registry: Registry, target: Reference, top: Manifest) -> set[str]:
    """Return which of the manifests that *top* lists a repository holds; no indexes."""
    leaves = [each for each in children_of(top) if each.media_type not in INDEX_TYPES]
    references = [target.with_digest(each.digest) for each in leaves]
    found = in_parallel(registry.find, references, limit=_AT_ONCE)
    return {reference.digest for reference, there in found if there is not None}


def is_whole(registry: Registry, target: Reference, held: Descriptor) -> bool:
    """
    Tell whether everything that a manifest lists is there.

    Registries that tidy up have been seen to delete what an index lists and to keep the index.
    """
    if held.media_type not in INDEX_TYPES:
        return True
    top = registry.fetch(target.with_digest(held.digest))
    if top is None:
        return False
    inner = [each for each in children_of(top) if each.media_type in INDEX_TYPES]
    leaves = len(children_of(top)) - len(inner)
    return len(leaves_there(registry, target, top)) == leaves and all(
        is_whole(registry, target, each) for each in inner
    )


def choose(
    registry: Registry, source: Reference, top: Manifest, platform: Platform, where: Location
) -> str:
    """
    Return the digest of the manifest for a platform.

    Raises:
        ConfigurationError: There is none.
    """
    offered = dict(_offered(registry, source, top))
    fitting = [digest for digest, each in offered.items() if platform.fits(each)]
    if fitting:
        exact = [digest for digest in fitting if offered[digest] == platform]
        return (exact or fitting)[0]
    names = sorted({str(each) for each in offered.values() if each.os != "unknown"})
    what = f"{source} does not exist for {platform}"
    raise ConfigurationError(where, what, f"it exists for {', '.join(names) or 'none'}")


def _offered(
    registry: Registry, source: Reference, top: Manifest
) -> Iterator[tuple[str, Platform]]:
    """Yield the manifests of single platforms, those in inner indexes included."""
    if not top.is_index:
        yield top.digest, _platform_of(registry, source, top)
        return
    for entry in _entries(top):
        each = _descriptor(entry)
        if each.media_type in INDEX_TYPES:
            inner = fetched(registry, source.with_digest(each.digest))
            yield from _offered(registry, source, inner)
        else:
            yield each.digest, read_platform(entry.get("platform") or {})


def _platform_of(registry: Registry, source: Reference, manifest: Manifest) -> Platform:
    """Return what the configuration of an image says, which is a blob of its own."""
    config = next(blobs_of(manifest))
    try:
        said: Any = json.loads(b"".join(registry.read_blob(source, config)))
        return read_platform(said)
    except (ValueError, AttributeError):
        return Platform("unknown", "unknown")


def _descriptor(said: Mapping[str, Any]) -> Descriptor:
    """
    Return what a manifest says about something that it is made of.

    Raises:
        RegistryError: It has no digest. What is written there becomes part of addresses.
    """
    digest, kind = str(said.get("digest") or ""), str(said.get("mediaType") or "")
    if not _DIGEST.fullmatch(digest):
        raise RegistryError("manifest", f"{digest[:80]!r} is no digest", "push the image anew")
    size = said.get("size")
    return Descriptor(digest, kind, size if isinstance(size, int) else 0)
