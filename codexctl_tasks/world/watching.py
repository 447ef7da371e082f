"""
One LIST and one watch per kind and namespace, feeding a single queue.

A watch that ends or breaks is resumed from the last version seen. What is no basis for that is
listed anew: an expired version (410), a long silence, a server that could not be reached. Trouble
is waited out as long as somebody reads, and told once. The reader sees complete lists and single
changes, and how long nothing has been heard.
"""

from __future__ import annotations

import math
import queue
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from codexctl_tasks.errors import (
    BrokenStreamError,
    ClusterError,
    ExpiredError,
    TransientClusterError,
)
from codexctl_tasks.world.outage import Outage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.cluster import Cluster, Resource, WatchEvent

PAUSE_S = 0.5
"""Before the next attempt; twice as long after each one that brought nothing."""
LONGEST_PAUSE_S = 4.0
"""A server that ends every watch at once is not called in a tight loop."""
GATHER_S = 0.05
"""Notices are told no more often: each time, everything that is waited for is judged anew."""
REFUSALS_PASS_S = 10.0
"""An API server that starts may refuse for a moment what it has allowed before."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What one watch covers."""

    resource: Resource
    namespace: str
    """Empty for cluster-wide kinds."""
    optional: bool = False
    """Go on without it when it may not be read."""
    explains: bool = False
    """It only tells why something is not as it should be: watched from `Feed.widen` on."""


@dataclass(frozen=True, slots=True)
class Listed:
    """Everything in a scope, replacing what was known of it."""

    scope: Scope
    objects: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Changed:
    """One object was added, modified or deleted."""

    scope: Scope
    deleted: bool
    object: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """A scope cannot be watched; final."""

    scope: Scope
    error: ClusterError


Notice = Listed | Changed | Refused


class Feed(Protocol):
    """Where notices come from."""

    lost_s: float
    """For how many seconds a scope has not been heard of, its watch being broken, as of the notices
    that `next` has returned last: what is known of it is so old. 0: all are watched."""

    def next(self, timeout_s: float) -> list[Notice]:
        """Return what has happened, waiting for the first notice at most *timeout_s* seconds."""
        ...

    def widen(self) -> None:
        """Watch what explains as well; the first call counts."""
        ...

    def close(self) -> None:
        """Stop watching."""
        ...


class ClusterFeed:
    """The feed of a real cluster: a thread per scope."""

    def __init__(
        self,
        cluster: Cluster,
        scopes: Sequence[Scope],
        clock: Clock,
        announce: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._told_s = -math.inf
        self._notices: queue.SimpleQueue[Notice] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._outage = Outage(clock, announce)
        self.lost_s = 0.0
        self._cluster, self._clock = cluster, clock
        self._explaining = [scope for scope in scopes if scope.explains]
        for scope in scopes:
            if not scope.explains:
                self._start(scope)

    def next(self, timeout_s: float) -> list[Notice]:
        """Return all notices that are there, waiting for the first one."""
        self.lost_s = self._outage.lost_s  # before: its end is told after the list that ends it
        notices: list[Notice] = []
        with suppress(queue.Empty):
            notices.append(self._notices.get(timeout=max(timeout_s, 0.0)))
            self._closed.wait(GATHER_S - (self._clock.now() - self._told_s))
            self._told_s = self._clock.now()
            while True:
                notices.append(self._notices.get_nowait())
        return notices

    def widen(self) -> None:
        """Watch what explains as well; the first call counts."""
        scopes, self._explaining = self._explaining, []
        for scope in scopes:
            self._start(scope)

    def _start(self, scope: Scope) -> None:
        watch = _Watch(
            *(scope, self._cluster, self._clock),
            put=self._notices.put,
            outage=self._outage,
            closed=self._closed,
        )
        threading.Thread(target=watch.run, daemon=True).start()

    def close(self) -> None:
        """Let the threads end at their next line; they are daemons and hold nobody up."""
        self._closed.set()
        self._outage.close()


class _Watch:
    """The thread of one scope."""

    def __init__(
        self,
        scope: Scope,
        cluster: Cluster,
        clock: Clock,
        *,
        put: Callable[[Notice], None],
        outage: Outage,
        closed: threading.Event,
    ) -> None:
        self._scope, self._cluster, self._clock = scope, cluster, clock
        self._put, self._outage, self._closed = put, outage, closed
        self._version = ""
        self._pause_s, self._paused_s = PAUSE_S, -math.inf
        self._verb, self._allowed = "", set[str]()
        self._refused_s: float | None = None
        """Since when it is refused; None: it is not."""

    def run(self) -> None:
        """List and watch until closed, or finally refused."""
        try:
            while not self._closed.is_set():
                self._pause(self._attempt())
        except ClusterError as error:
            self._refuse(error)
        except Exception as error:  # noqa: BLE001 - a thread that just ended would leave us blind
            what = f"the answer was not understood: {type(error).__name__} {error}"
            self._refuse(ClusterError(f"watch on {self._scope.resource.plural}", what))

    def _attempt(self) -> float:
        """List and watch; return how many seconds the server wants to be left in peace."""
        try:
            self._list()
            self._follow()
        except ExpiredError:
            pass
        except TransientClusterError as error:
            self._outage.begin(self._scope, error.what)
            return error.retry_after_s
        except ClusterError as error:
            if self._is_final():
                raise
            self._outage.begin(self._scope, error.what)
        return 0.0

    def _list(self) -> None:
        self._verb = "list"
        objects, self._version = self._cluster.list_objects(
            self._scope.resource, self._scope.namespace, repeats=False
        )
        self._allowed.add("list")
        self._put(Listed(self._scope, [each for each in objects if _is_whole(each)]))
        self._outage.end(self._scope)

    def _follow(self) -> None:
        """Watch and resume until closed; returns, or raises, when a new list is needed."""
        while not self._closed.is_set():
            is_alive, self._verb = False, "watch"
            events = self._cluster.watch(self._scope.resource, self._scope.namespace, self._version)
            self._allowed.add("watch")
            self._refused_s = None
            self._outage.end(self._scope)
            try:
                for event in events:
                    if self._closed.is_set():
                        return
                    is_alive = True
                    self._take(event)
            except BrokenStreamError as error:
                self._outage.begin(self._scope, error.what)
                if not is_alive:  # the same may happen with this version for ever
                    return
            self._pause()

    def _take(self, event: WatchEvent) -> None:
        self._version = event.object["metadata"].get("resourceVersion") or self._version
        if event.type != "BOOKMARK" and _is_whole(event.object):
            self._pause_s = PAUSE_S
            self._put(Changed(self._scope, event.type == "DELETED", event.object))

    def _is_final(self) -> bool:
        """Tell whether a refusal will not pass: what was never allowed, or for too long not."""
        if self._verb not in self._allowed:
            return True
        now_s = self._clock.now()
        self._refused_s = now_s if self._refused_s is None else self._refused_s
        return now_s - self._refused_s >= REFUSALS_PASS_S

    def _refuse(self, error: ClusterError) -> None:
        self._outage.forget(self._scope)
        if not self._closed.is_set():
            self._put(Refused(self._scope, error))

    def _pause(self, asked_s: float = 0.0) -> None:
        """Let some time pass; *asked_s*: at least so many seconds."""
        if self._clock.now() - self._paused_s > 2 * LONGEST_PAUSE_S:
            self._pause_s = PAUSE_S  # the last trouble is over
        self._clock.sleep(max(self._pause_s, asked_s))
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        self._paused_s = self._clock.now()


def _is_whole(found: Mapping[str, Any]) -> bool:
    """Tell whether something is an object that can be known again."""
    metadata = found.get("metadata")
    return isinstance(metadata, dict) and bool(metadata.get("uid") and metadata.get("name"))
