"""
Removes from a repository what nobody needs: it reads, judges, deletes, and looks again.

Between looking and deleting somebody may begin to use an image, or give it a tag. Therefore no more
time is spent on deleting than was spent on looking; then everything is read and judged anew.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from codexctl_tasks.images.retention import (
    Stored,
    Verdict,
    decide,
    in_deletion_order,
    parts_to_delete,
)
from codexctl_tasks.registry.interface import MANIFEST_TYPES, Descriptor, RegistryError
from codexctl_tasks.world.parallel import in_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from codexctl_tasks.images.retention import Rules
    from codexctl_tasks.images.usage import Usage
    from codexctl_tasks.references import Reference
    from codexctl_tasks.registry.interface import Manifest, Registry
    from codexctl_tasks.world.clock import Clock

CONNECTIONS = 16
LONGEST_CONFIGURATION = 4 * 1024 * 1024
"""In bytes; what claims to be longer is none."""
CREATED = "org.opencontainers.image.created"
FIRST_CREDIBLE_YEAR = 1981
"""Reproducible builds name a time of 1970 or 1980, which says nothing about the age."""
_DEEPEST = 3
"""Indexes of indexes; nobody makes deeper ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Deleted:
    """What was done about one image that was to go."""

    verdict: Verdict
    was_there: bool
    """False: somebody else has deleted it."""
    parts: int = 0
    """How many parts of an index went with it."""


class Repository:
    """One repository; what was read of a digest is not read again."""

    def __init__(self, registry: Registry, reference: Reference, rules: Rules) -> None:
        """*reference*: of the repository; tag and digest mean nothing."""
        self.reference = reference
        self._registry, self._rules = registry, rules
        self._known: dict[str, Stored | None] = {}

    def judge(self, usage: Usage, now: datetime) -> list[Verdict]:
        """Read the repository and judge every image in it."""
        images = self._read(usage)
        existing = {digest for image in images for digest in (image.digest, *image.parts)}
        subjects = {image.subject for image in images} - existing - {""}
        absent = {subject for subject in subjects if not self._find(digest=subject)}
        return decide(
            images,
            self.reference.repository,
            usage=usage,
            rules=self._rules,
            now=now,
            absent=absent,
        )

    def collect(
        self,
        announced: Sequence[Verdict],
        look: Callable[[], Usage],
        *,
        clock: Clock,
        now: datetime,
    ) -> Iterator[Deleted]:
        """
        Delete what was announced to go and still may, and yield it as soon as it is gone.

        Args:
            announced: What `judge` has returned.
            look: Reads all clusters anew.
            clock: Tells how long looking took.
            now: The present, as before.

        Raises:
            RegistryError: The registry refuses; the rest was not tried.
            ClusterError: A cluster cannot be read any more; the rest was not tried.
        """
        waiting = {verdict.image.digest: verdict for verdict in in_deletion_order(announced)}
        while waiting:
            begun_s = clock.now()
            usage = look()
            current = self.judge(usage, now)
            going = [v for v in in_deletion_order(current) if _is_as_announced(v, waiting)]
            until_s = clock.now() + (clock.now() - begun_s)
            for verdict in going:
                images = [each.image for each in current if each.image.digest in self._known]
                yield self._delete(verdict, images, usage)
                del waiting[verdict.image.digest], self._known[verdict.image.digest]
                if clock.now() >= until_s:
                    break
            if not going:
                return

    def _delete(self, verdict: Verdict, images: Sequence[Stored], usage: Usage) -> Deleted:
        """Delete the index before its parts: without them it would be broken."""
        digest = verdict.image.digest
        was_there = self._registry.delete(self.reference.with_digest(digest))
        if not was_there and self._find(digest=digest):  # some say so when they do not delete
            what, status = (
                "says that an image which it has is not there",
                HTTPStatus.NOT_IMPLEMENTED,
            )
            raise RegistryError(self.reference.host, what, status=status)
        parts = parts_to_delete(verdict.image, images, usage)
        gone = [self._registry.delete(self.reference.with_digest(part)) for part in parts]
        return Deleted(verdict=verdict, was_there=was_there, parts=sum(gone))

    def _read(self, usage: Usage) -> list[Stored]:
        tags = defaultdict(list)
        listed = self._registry.tags(self.reference)
        for tag, digest in in_parallel(self._digest_of, listed, limit=CONNECTIONS):
            if digest:
                tags[digest].append(tag)
        # Pods may run what no tag leads to any more; nobody lists that, but it can be asked for.
        beside = usage.beside.get(self.reference.repository, set())
        digests = [*tags, *sorted(beside - tags.keys())]
        unknown = [digest for digest in digests if digest not in self._known]
        self._known.update(in_parallel(self._describe, unknown, limit=CONNECTIONS))
        return [
            replace(known, tags=tuple(sorted(tags.get(digest, ()))))
            for digest in digests
            if (known := self._known.get(digest))
        ]

    def _digest_of(self, tag: str) -> str:
        return self._find(tag=tag)

    def _find(self, *, tag: str = "", digest: str = "") -> str:
        """Return the digest of what is there; empty: nothing."""
        wanted = self.reference.with_tag(tag) if tag else self.reference.with_digest(digest)
        found = self._registry.find(wanted)
        return found.digest if found else ""

    def _describe(self, digest: str) -> Stored | None:
        """Read an image with all its parts; None: it is not there."""
        manifest = self._registry.fetch(self.reference.with_digest(digest))
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
            part = self._registry.fetch(self.reference.with_digest(digest))
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
            return _mapping(json.loads(b"".join(self._registry.read_blob(self.reference, blob))))
        except ValueError:  # no image's
            return {}
        except RegistryError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return {}
            raise


def _is_as_announced(verdict: Verdict, waiting: dict[str, Verdict]) -> bool:
    """Tell whether an image was to go, and nobody has given it a tag since."""
    announced = waiting.get(verdict.image.digest)
    return announced is not None and set(verdict.image.tags) <= set(announced.image.tags)


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
