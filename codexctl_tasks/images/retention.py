"""Which images of a repository stay, and why (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from codexctl_tasks.images.backend import CACHE_TAG

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from codexctl_tasks.images.usage import Usage

_ACCESSORY = re.compile(r"(sha256|sha512)-([0-9a-f]{64,128})(?:\.[a-z]+)?")
"""The tag of a signature, attestation or bill of materials, which names what it belongs to."""


_LAYER_CACHE = re.compile(r"[0-9a-f]{64}")
"""The tag of a step of a build, which buildah keeps beside the image."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A manifest or index in a repository."""

    digest: str
    tags: tuple[str, ...]
    """Sorted; none: it is known because somebody uses it by its digest."""
    parts: frozenset[str] = frozenset()
    """Digests of what an index lists, at any depth."""
    configurations: frozenset[str] = frozenset()
    """Digests by which some runtimes name an image: of the configurations in it."""
    created: datetime | None = None
    """None: unknown."""
    blobs: Mapping[str, int] = field(default_factory=dict)
    """Sizes in bytes, by digest, of everything that it consists of."""

    @property
    def is_layer_cache(self) -> bool:
        """Whether it only makes the next build faster, which makes it anew."""
        return bool(self.tags) and all(_LAYER_CACHE.fullmatch(tag) for tag in self.tags)

    @property
    def subject(self) -> str:
        """Digest of the image that this one belongs to, a signature say; empty: none."""
        found = [_ACCESSORY.fullmatch(tag) for tag in self.tags]
        match = found[0] if found and all(found) else None
        return f"{match[1]}:{match[2]}" if match else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What stays of a repository although no cluster uses it."""

    newest: int
    """So many images, by the time when they were made."""
    protected: tuple[str, ...]
    """Patterns of tags, as a shell's."""
    younger_s: float
    """What was made within so many seconds."""
    desired: Mapping[str, str]
    """Tags that the stack names, and who it is that wants them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What is to become of one image."""

    image: Stored
    stays: bool
    why: str
    """Of the whole image."""
    tags: Mapping[str, str]
    """Reasons of single tags."""

    def why_tag(self, tag: str) -> str:
        """Return why a tag stays or goes."""
        return self.tags.get(tag) or self.why


def decide(
    images: Sequence[Stored],
    repository: str,
    *,
    usage: Usage,
    rules: Rules,
    now: datetime,
    absent: Collection[str] = (),
) -> list[Verdict]:
    """
    Judge all images of a repository.

    Args:
        images: All that have a tag, and those without that are used.
        repository: Its name without the host.
        usage: What clusters use.
        rules: What else stays.
        now: The present.
        absent: Digests that signatures belong to and that the repository does not have any more.
    """
    newest = _newest(images, rules.newest)
    tags = {image.digest: _tag_reasons(image, repository, usage, rules) for image in images}
    why: dict[str, str] = {}
    for image in images:
        reason = _reason(image, tags[image.digest], usage)
        if not reason and not image.subject and not image.is_layer_cache:
            reason = _reason_of_age(image, newest, rules, now)
        if reason:
            why[image.digest] = reason
    _add_dependents(why, images, absent)
    return [
        Verdict(
            image=image,
            stays=image.digest in why,
            why=why.get(image.digest) or _farewell(image, now),
            tags=tags[image.digest],
        )
        for image in images
    ]


def in_deletion_order(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Return what goes: an index before its parts, an image before its signatures."""
    going = [verdict for verdict in verdicts if not verdict.stays]
    return sorted(going, key=lambda v: (bool(v.image.subject), -len(v.image.parts)))


def parts_to_delete(image: Stored, images: Iterable[Stored], usage: Usage) -> list[str]:
    """Return the parts of an index that nothing else needs, once it is deleted itself."""
    needed = set(usage.digests)
    for other in images:
        if other.digest != image.digest:
            needed |= {other.digest, *other.parts}
    return sorted(image.parts - needed)


def freed_bytes(going: Iterable[Verdict], staying: Iterable[Verdict]) -> int:
    """Return the size of the content that only belongs to what goes."""
    sizes: dict[str, int] = {}
    for verdict in going:
        sizes.update(verdict.image.blobs)
    needed = {digest for verdict in staying for digest in verdict.image.blobs}
    return sum(size for digest, size in sizes.items() if digest not in needed)


def _tag_reasons(image: Stored, repository: str, usage: Usage, rules: Rules) -> dict[str, str]:
    found: dict[str, str] = {}
    for tag in image.tags:
        if who := usage.tags.get((repository, tag)):
            found[tag] = f"used by {who}"
        elif who := rules.desired.get(tag):
            found[tag] = f"desired by {who}"
        elif tag == CACHE_TAG:
            found[tag] = "layers for the next builds"
        elif pattern := next((p for p in rules.protected if fnmatchcase(tag, p)), ""):
            found[tag] = f"protected by {pattern!r}"
    return found


def _reason(image: Stored, tags: Mapping[str, str], usage: Usage) -> str:
    """Return why an image stays for its own sake; empty: nobody needs it."""
    if tags:
        return f"the same image as {next(iter(tags))}"
    for digest in (image.digest, *sorted(image.parts | image.configurations)):
        if who := usage.digests.get(digest):
            return f"used by {who}"
    return ""


def _reason_of_age(image: Stored, newest: Collection[str], rules: Rules, now: datetime) -> str:
    if image.created is None:
        return "its age is unknown"
    if now - image.created < timedelta(seconds=rules.younger_s):
        return f"young: {_age(image.created, now)}"
    if image.digest in newest:
        return f"one of the {rules.newest} newest"
    return ""


def _newest(images: Sequence[Stored], count: int) -> set[str]:
    """Return the digests of the newest images; of those made at the same time all or none."""
    inner = {part for image in images for part in image.parts}
    made = {
        image.digest: image.created
        for image in images
        if image.created
        and image.digest not in inner
        and not image.subject
        and not image.is_layer_cache
    }
    times = sorted(made.values(), reverse=True)[:count]
    return {digest for digest, created in made.items() if times and created >= times[-1]}


def _add_dependents(why: dict[str, str], images: Sequence[Stored], absent: Collection[str]) -> None:
    """Add to what stays what it needs: parts of an index, and what belongs to an image."""
    existing = {digest for image in images for digest in (image.digest, *image.parts)}
    while True:
        holders = {d: i for i in images if i.digest in why for d in (*i.parts, i.digest)}
        more = {}
        for image in images:
            if image.digest in why:
                continue
            if image.digest in holders:
                more[image.digest] = f"part of {_title(holders[image.digest])}"
            elif subject := image.subject:
                is_unknown = subject not in existing and subject not in absent
                if subject in holders or is_unknown:
                    more[image.digest] = f"belongs to {subject}"
        if not more:
            return
        why.update(more)


def _title(image: Stored) -> str:
    return image.tags[0] if image.tags else image.digest


def _farewell(image: Stored, now: datetime) -> str:
    if image.is_layer_cache:
        return "a step of a build, kept by buildah"
    if image.subject or image.created is None:  # nothing else of unknown age goes
        return "what it belongs to goes, or is gone"
    return f"unused, {_age(image.created, now)}"


def _age(created: datetime, now: datetime) -> str:
    age = max(now - created, timedelta())
    return f"{age.days} days old" if age.days > 1 else f"{age // timedelta(hours=1)} h old"
