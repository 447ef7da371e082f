"""
Questions to the cluster that the wait asks on the side: a slow answer must not hold up a verdict.

Only two things are ever asked: whether an object exists, and what a container wrote last.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from codexctl_tasks.errors import ClusterError, CodexctlError
from codexctl_tasks.world.cluster import Resource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from codexctl_tasks.rollout.symptoms import Site
    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.watching import Scope

ANSWER_HOLDS_S = 5.0
"""What exists may be made, or deleted, meanwhile."""
LOG_LINES = 25

Aside = Callable[[Callable[[], None]], None]
"""Lets a function run on the side."""

_KNOWN = (
    Resource("v1", "Secret", "secrets", namespaced=True),
    Resource("v1", "ConfigMap", "configmaps", namespaced=True),
    Resource("v1", "ServiceAccount", "serviceaccounts", namespaced=True),
    Resource("v1", "PersistentVolumeClaim", "persistentvolumeclaims", namespaced=True),
    Resource("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", namespaced=False),
    Resource("storage.k8s.io/v1", "StorageClass", "storageclasses", namespaced=False),
)


def in_background(function: Callable[[], None]) -> None:
    """Run a function in a thread that holds nobody up."""
    threading.Thread(target=function, daemon=True).start()


@dataclass(slots=True)
class Reading:
    """A log that is being read."""

    asked_s: float
    lines: list[str] = field(default_factory=list)
    complaint: str = ""
    """Why it cannot be read; empty: it can."""
    is_done: bool = False


@dataclass(slots=True)
class _Answer:
    asked_s: float
    uid: str | None = None
    is_over: bool = False
    """There is an answer, or there will be none: it may be asked again."""


class Inquiry:
    """What was asked, and the answers as far as they have come."""

    def __init__(
        self, cluster: Cluster, clock: Clock, scopes: Iterable[Scope], aside: Aside = in_background
    ) -> None:
        """
        Prepare; nothing is asked yet.

        Args:
            cluster: Whom to ask.
            clock: Tells how old an answer is.
            scopes: Kinds that may be asked for, besides those that pods refer to.
            aside: Runs what must not hold up the loop.
        """
        self._cluster, self._clock, self._aside = cluster, clock, aside
        self._resources = {each.kind: each for each in (*_KNOWN, *(s.resource for s in scopes))}
        self._answers: dict[tuple[str, str, str], _Answer] = {}

    def uid(self, namespace: str, kind: str, name: str) -> str | None:
        """Return the UID of an object, empty if there is none, None if that is not known yet."""
        key = (namespace, kind, name)
        now_s = self._clock.now()
        answer = self._answers.get(key)
        if answer is None or (answer.is_over and now_s - answer.asked_s > ANSWER_HOLDS_S):
            answer = self._answers[key] = _Answer(now_s)
            self._aside(lambda: self._look_up(key, answer))
        return answer.uid

    def log(self, namespace: str, site: Site, *, previous: bool) -> Reading:
        """Begin to read the last lines of a container, or of the one before it."""
        reading = Reading(self._clock.now())
        self._aside(lambda: self._read(namespace, site, reading, previous=previous))
        return reading

    def _look_up(self, key: tuple[str, str, str], answer: _Answer) -> None:
        namespace, kind, name = key
        resource = self._resources[kind]
        try:
            found = self._cluster.get(resource, namespace if resource.namespaced else "", name)
            answer.uid = str(found["metadata"]["uid"]) if found is not None else ""
        except CodexctlError as error:
            if isinstance(error, ClusterError) and error.status == HTTPStatus.FORBIDDEN:
                answer.uid = ""  # usual for CI: believe the kubelet
        finally:
            answer.is_over = True  # without an answer it is asked again, but not at once

    def _read(self, namespace: str, site: Site, reading: Reading, *, previous: bool) -> None:
        try:
            reading.lines = self._cluster.logs(
                namespace, site.pod, site.container, previous=previous, lines=LOG_LINES
            )
        except CodexctlError as error:  # the cause is known without it; a report is worth more
            reading.complaint = getattr(error, "what", str(error))
        finally:
            reading.is_done = True
