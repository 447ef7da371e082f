"""What a repository holds: every image with its parts, its size and its age."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from codexctl_tasks.images.backend import CREATED
from codexctl_tasks.images.retention import Stored
from codexctl_tasks.registry.interface import MANIFEST_TYPES, Descriptor, RegistryError
from codexctl_tasks.world.parallel import in_parallel

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from codexctl_tasks.references import Reference
    from codexctl_tasks.registry.interface import Manifest, Registry

CONNECTIONS = 16
LONGEST_CONFIGURATION = 4 * 1024 * 1024
"""In bytes; what claims to be longer is none."""
FIRST_CREDIBLE_YEAR = 1981
"""Reproducible builds name a time of 1970 or 1980, which says nothing about the age."""
_DEEPEST = 3
"""Indexes of indexes; nobody makes deeper ones."""


class Stock:
    """The images of one repository; what was read of a digest is not read again."""

    def __init__(self, registry: Registry, reference: Reference) -> None:
        """*reference*: of the repository; tag and digest mean nothing."""
        self._registry, self._reference = registry, reference
        self._known: dict[str, Stored] = {}

    def read(self, beside: Collection[str]) -> list[Stored]:
        """
        Return all images as they are now.

        *beside*: Digests that may be images of it; those that are come without a tag. Pods may run
        what no tag leads to any more: nobody lists that, but it can be asked for.
        """
        tags = defaultdict(list)
        listed = self._registry.tags(self._reference)
        for tag, digest in in_parallel(self._digest_of, listed, limit=CONNECTIONS):
            if digest:
                tags[digest].append(tag)
        digests = [*tags, *sorted(set(beside) - tags.keys())]
        unknown = [digest for digest in digests if digest not in self._known]
        for digest, found in in_parallel(self._describe, unknown, limit=CONNECTIONS):
            if found:
                self._known[digest] = found
        return [
            replace(known, tags=tuple(sorted(tags.get(digest, ()))))
            for digest in digests
            if (known := self._known.get(digest))
        ]

    def has(self, digest: str) -> bool:
        """Tell whether there is a manifest, with a tag or without."""
        return self._registry.find(self._reference.with_digest(digest)) is not None

    def _digest_of(self, tag: str) -> str:
        """Return what a tag leads to; empty: nothing."""
        found = self._registry.find(self._reference.with_tag(tag))
        return found.digest if found else ""

    def _describe(self, digest: str) -> Stored | None:
        """Read an image with all its parts; None: it is not there."""
        manifest = self._registry.fetch(self._reference.with_digest(digest))
        if manifest is None:
            return None
        manifests = {digest: manifest, **self._parts(manifest, _DEEPEST)}
        blobs: dict[str, int] = {}
        configurations: set[str] = set()
        for name, each in manifests.items():
            blobs[name] = len(each.raw)
            if not each.is_index:
                blobs.update({blob.digest: blob.size for blob in _blobs(each)})
                configurations |= {blob.digest for blob in _blobs(each)[:1]}
        return Stored(
            digest=digest,
            tags=(),
            parts=frozenset((*manifests, *_listed(manifest))) - {digest},
            configurations=frozenset(configurations),
            created=self._created(manifests.values()),
            blobs=blobs,
        )

    def _parts(self, manifest: Manifest, depth: int) -> dict[str, Manifest]:
        found: dict[str, Manifest] = {}
        for digest in _listed(manifest) if depth else ():
            part = self._registry.fetch(self._reference.with_digest(digest))
            if part is not None:
                found |= {digest: part, **self._parts(part, depth - 1)}
        return found

    def _created(self, manifests: Iterable[Manifest]) -> datetime | None:
        """Return when an image was made: the latest time that it or its first part tells."""
        known: list[datetime] = []
        for each in manifests:
            said = [_mapping(_content(each).get("annotations")).get(CREATED)]
            if not each.is_index:
                said.append(self._configuration(each).get("created"))
            known += filter(None, map(_moment, said))
            if known and not each.is_index:
                break
        return max(known, default=None)

    def _configuration(self, manifest: Manifest) -> dict[str, Any]:
        if manifest.media_type not in MANIFEST_TYPES:
            return {}
        [blob, *_] = _blobs(manifest) or [Descriptor("")]
        if not blob.digest or blob.size > LONGEST_CONFIGURATION:
            return {}
        try:
            return _mapping(json.loads(b"".join(self._registry.read_blob(self._reference, blob))))
        except ValueError:  # no image's
            return {}
        except RegistryError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return {}
            raise


def _content(manifest: Manifest) -> dict[str, Any]:
    try:
        return _mapping(manifest.content)
    except ValueError:
        return {}


def _listed(manifest: Manifest) -> list[str]:
    """Return the digests that an index lists."""
    entries = _content(manifest).get("manifests") if manifest.is_index else ()
    found = (_mapping(entry).get("digest") for entry in entries or ())
    return [digest for digest in found if isinstance(digest, str)]


def _blobs(manifest: Manifest) -> list[Descriptor]:
    """Return the configuration, if there is one, and the layers."""
    content = _content(manifest)
    entries = [content.get("config"), *(content.get("layers") or ())]
    return [
        Descriptor(entry["digest"], str(entry.get("mediaType", "")), int(entry.get("size") or 0))
        for entry in map(_mapping, entries)
        if isinstance(entry.get("digest"), str)
    ]


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _moment(text: Any) -> datetime | None:
    """Return a time in UTC; None: there is none that can be believed."""
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    if found is None or found.year < FIRST_CREDIBLE_YEAR:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
