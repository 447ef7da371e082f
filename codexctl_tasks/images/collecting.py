"""
Removes from a repository what nobody needs: it reads, judges, deletes, and looks again.

Between looking and deleting somebody may begin to use an image, or give it a tag. Therefore no more
time is spent on deleting than was spent on looking; then everything is read and judged anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from codexctl_tasks.images.retention import decide, in_deletion_order, parts_to_delete
from codexctl_tasks.images.stock import Stock
from codexctl_tasks.registry.interface import RegistryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from codexctl_tasks.images.retention import Rules, Stored, Verdict
    from codexctl_tasks.images.usage import Usage
    from codexctl_tasks.references import Reference
    from codexctl_tasks.registry.interface import Registry
    from codexctl_tasks.world.clock import Clock


@dataclass(frozen=True, kw_only=True, slots=True)
class Deleted:
    """What was done about one image that was to go."""

    verdict: Verdict
    was_there: bool
    """False: somebody else has deleted it."""
    parts: int = 0
    """How many parts of an index went with it."""


class Repository:
    """One repository, and what stays of it."""

    def __init__(self, registry: Registry, reference: Reference, rules: Rules) -> None:
        """*reference*: of the repository; tag and digest mean nothing."""
        self.reference = reference
        self._registry, self._rules = registry, rules
        self._stock = Stock(registry, reference)

    def judge(self, usage: Usage, now: datetime) -> list[Verdict]:
        """Read the repository and judge every image in it."""
        images = self._stock.read(usage.beside.get(self.reference.repository, ()))
        existing = {digest for image in images for digest in (image.digest, *image.parts)}
        subjects = {image.subject for image in images} - existing - {""}
        absent = {subject for subject in subjects if not self._stock.has(subject)}
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
            there = {each.image.digest: each.image for each in current}
            for verdict in going:
                yield self._delete(verdict, list(there.values()), usage)
                del waiting[verdict.image.digest], there[verdict.image.digest]
                if clock.now() >= until_s:
                    break
            if not going:
                return

    def _delete(self, verdict: Verdict, images: Sequence[Stored], usage: Usage) -> Deleted:
        """Delete the index before its parts: without them it would be broken."""
        digest = verdict.image.digest
        was_there = self._registry.delete(self.reference.with_digest(digest))
        if not was_there and self._stock.has(digest):  # some say so when they do not delete
            what = "says that an image which it has is not there"
            raise RegistryError(self.reference.host, what, status=HTTPStatus.NOT_IMPLEMENTED)
        parts = parts_to_delete(verdict.image, images, usage)
        gone = [self._registry.delete(self.reference.with_digest(part)) for part in parts]
        return Deleted(verdict=verdict, was_there=was_there, parts=sum(gone))


def _is_as_announced(verdict: Verdict, waiting: dict[str, Verdict]) -> bool:
    """Tell whether an image was to go, and nobody has given it a tag since."""
    announced = waiting.get(verdict.image.digest)
    return announced is not None and set(verdict.image.tags) <= set(announced.image.tags)
