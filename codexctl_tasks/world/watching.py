"""
One LIST and one watch per kind and namespace, feeding a single queue.

A lost connection is resumed from the last version seen; an expired version (410) is listed anew.
Both are invisible to the reader of the feed, who sees complete lists and single changes.
"""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from codexctl_tasks.errors import BrokenStreamError, ClusterError, ExpiredError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.cluster import Cluster, Resource

_RESUME_PAUSE_S = 0.5
"""A server that ends every watch at once must not be called in a tight loop."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What one watch covers."""

    resource: Resource
    namespace: str
    """Empty for cluster-wide kinds."""
    optional: bool = False
    """Go on without it when it may not be read."""


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

    def next(self, timeout_s: float) -> list[Notice]:
        """Return what has happened, waiting for the first notice at most *timeout_s* seconds."""
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
        self._cluster, self._clock, self._announce = cluster, clock, announce
        self._notices: queue.SimpleQueue[Notice] = queue.SimpleQueue()
        self._closed = threading.Event()
        for scope in scopes:
            threading.Thread(target=self._run, args=(scope,), daemon=True).start()

    def next(self, timeout_s: float) -> list[Notice]:
        """Return all notices that are there, waiting for the first one."""
        notices: list[Notice] = []
        with suppress(queue.Empty):
            notices.append(self._notices.get(timeout=max(timeout_s, 0.0)))
            while True:
                notices.append(self._notices.get_nowait())
        return notices

    def close(self) -> None:
        """Let the threads end at their next line; they are daemons and hold nobody up."""
        self._closed.set()

    def _run(self, scope: Scope) -> None:
        try:
            while not self._closed.is_set():
                with suppress(ExpiredError):
                    objects, version = self._cluster.list_objects(scope.resource, scope.namespace)
                    self._notices.put(Listed(scope, objects))
                    self._follow(scope, version)
                self._clock.sleep(_RESUME_PAUSE_S)
        except ClusterError as error:
            self._refuse(scope, error)
        except (KeyError, TypeError, ValueError) as error:
            what = f"the answer was not understood: {type(error).__name__} {error}"
            self._refuse(scope, ClusterError(f"watch on {scope.resource.plural}", what))

    def _refuse(self, scope: Scope, error: ClusterError) -> None:
        if not self._closed.is_set():
            self._notices.put(Refused(scope, error))

    def _follow(self, scope: Scope, version: str) -> None:
        """Watch from *version* on until closed; raises `ExpiredError` when that is forgotten."""
        while not self._closed.is_set():
            try:
                # Opening a watch is retried by the cluster; here only a broken stream arrives.
                for event in self._cluster.watch(scope.resource, scope.namespace, version):
                    if self._closed.is_set():
                        return
                    version = event.object["metadata"]["resourceVersion"]
                    if event.type != "BOOKMARK":
                        self._notices.put(Changed(scope, event.type == "DELETED", event.object))
            except BrokenStreamError as error:
                if not self._closed.is_set():
                    self._announce(f"watch on {scope.resource.plural}: {error.what}; resuming")
            self._clock.sleep(_RESUME_PAUSE_S)
