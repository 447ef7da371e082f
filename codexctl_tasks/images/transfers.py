"""
Blobs on their way to where they are wanted: all images of a run share one pool.

A blob that several images have is fetched once. Whoever wants it in another repository meanwhile
waits, and then has it mounted from the first one.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from codexctl_tasks.references import Reference
from codexctl_tasks.registry.uploads import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from codexctl_tasks.registry.interface import Descriptor, Registry
    from codexctl_tasks.world.clock import Clock

MOST_JOBS = 16
"""Each holds two connections at most, and a host has 32."""
_FIRST = -(2**63)
"""Before the largest blob."""
_TELL_EVERY_S = 10.0
_MEGABYTE = 10**6


class Way(Enum):
    """How a blob got where it is wanted."""

    MOVED = "moved"
    """From registry to registry."""
    MOUNTED = "mounted"
    """From another repository of the same registry."""
    PRESENT = "present"
    """It was there."""


@dataclass(frozen=True)
class Wanted:
    """A blob that a repository needs."""

    name: str
    """Of the image, for progress."""
    source: Reference
    target: Reference
    blob: Descriptor
    done: Future[Way] = field(default_factory=Future)

    @property
    def lane(self) -> tuple[str, str]:
        """Of those with the same one the first goes alone."""
        return self.target.host, self.blob.digest


class Transfers:
    """A pool of threads that move blobs, the largest first."""

    def __init__(
        self, registry: Registry, jobs: int, clock: Clock, tell: Callable[[str], None]
    ) -> None:
        """
        Start.

        Args:
            registry: All registries.
            jobs: How many blobs move at the same time; at most `MOST_JOBS`.
            clock: For progress.
            tell: Receives a line from time to time.
        """
        self._registry, self._clock, self._tell = registry, clock, tell
        self._waiting: queue.PriorityQueue[tuple[int, int, Wanted | None]] = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._lanes: dict[tuple[str, str], deque[Wanted]] = {}
        self._holders: dict[tuple[str, str], list[str]] = {}
        self._lock = threading.Lock()
        self._is_stopped = False
        self._jobs = max(1, min(jobs, MOST_JOBS))
        for _ in range(self._jobs):
            threading.Thread(target=self._work, daemon=True).start()

    def begin(self, wanted: Wanted) -> None:
        """Move a blob as soon as its turn has come; its future tells the end."""
        with self._lock:
            if self._is_stopped:
                _give_up(wanted)
            elif wanted.lane in self._lanes:
                self._lanes[wanted.lane].append(wanted)
            else:
                self._lanes[wanted.lane] = deque()
                self._waiting.put((-wanted.blob.size, next(self._numbers), wanted))

    def stop(self) -> None:
        """Begin nothing more; what is still waiting is cancelled."""
        with self._lock:
            self._is_stopped = True
            with suppress(queue.Empty):
                while wanted := self._waiting.get_nowait()[2]:
                    _give_up(wanted)
            for lane in self._lanes.values():
                for wanted in lane:
                    _give_up(wanted)
            for _ in range(self._jobs):
                self._waiting.put((0, next(self._numbers), None))

    def _work(self) -> None:
        while wanted := self._waiting.get()[2]:
            has_moved = False
            if wanted.done.set_running_or_notify_cancel():
                try:
                    way = self._move(wanted)
                except BaseException as error:  # noqa: BLE001 - carried to the image's thread
                    wanted.done.set_exception(error)
                else:
                    has_moved = True
                    wanted.done.set_result(way)
            self._free(wanted.lane, has_moved=has_moved)

    def _free(self, lane: tuple[str, str], *, has_moved: bool) -> None:
        """
        Let those who want the same blob begin, before all others: they are quick.

        As long as nobody has got it, only the next one.
        """
        with self._lock:
            following = self._lanes.get(lane)
            if self._is_stopped or following is None:
                return
            if has_moved or not following:
                del self._lanes[lane]
            for _ in range(len(following) if has_moved else min(len(following), 1)):
                self._waiting.put((_FIRST, next(self._numbers), following.popleft()))

    def _move(self, wanted: Wanted) -> Way:
        target, blob = wanted.target, wanted.blob
        holders = self._holders.setdefault(wanted.lane, [])
        if target.repository in holders:
            return Way.PRESENT
        way = self._moved(wanted, holders)
        holders.append(target.repository)
        if way is Way.MOVED and blob.size >= _MEGABYTE:
            self._tell(f"{wanted.name}: {_short(blob.digest)} is there, {_size(blob.size)}")
        return way

    def _moved(self, wanted: Wanted, holders: list[str]) -> Way:
        source, target, blob = wanted.source, wanted.target, wanted.blob
        if source.host == target.host:
            holders = [*holders, source.repository]
        if target.repository in holders:
            return Way.PRESENT
        if holders:
            holder = Reference(target.host, holders[0])
            if self._registry.mount_blob(target, blob.digest, holder):
                return Way.MOUNTED
        if self._registry.has_blob(target, blob.digest):
            return Way.PRESENT
        pieces = self._registry.read_blob(source, blob)
        counted = _Counted(pieces, wanted, self._clock, self._tell)
        self._registry.write_blob(target, blob, counted)
        return Way.MOVED


def _give_up(wanted: Wanted) -> None:
    """Cancel a blob that nobody moves yet, and wake up who waits for it."""
    if not wanted.done.cancelled() and wanted.done.cancel():
        wanted.done.set_running_or_notify_cancel()


class _Counted:
    """Pieces of a blob; tells now and then how many have come by."""

    def __init__(
        self, pieces: Iterable[bytes], wanted: Wanted, clock: Clock, tell: Callable[[str], None]
    ) -> None:
        self._pieces, self._wanted, self._clock, self._tell = pieces, wanted, clock, tell

    def __iter__(self) -> Iterator[bytes]:
        return self.since(0)

    def since(self, offset: int) -> Iterator[bytes]:
        """Yield what follows the first *offset* bytes."""
        told_s, blob, count = self._clock.now(), self._wanted.blob, offset
        with opened(self._pieces, offset) as pieces:
            for piece in pieces:
                yield piece
                count += len(piece)
                if self._clock.now() - told_s >= _TELL_EVERY_S and count < blob.size:
                    told_s = self._clock.now()
                    share = f"{_size(count)} of {_size(blob.size)}"
                    self._tell(f"{self._wanted.name}: {_short(blob.digest)}: {share}")


def _short(digest: str) -> str:
    return digest[:19]


def _size(count: int) -> str:
    return f"{count / _MEGABYTE:,.1f} MB"
