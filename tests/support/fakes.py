"""The outside, small and obedient: time that passes when told, a cluster that is a dictionary."""

from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING, Any

from codexctl_tasks.console import Console
from codexctl_tasks.errors import ClusterError
from codexctl_tasks.world.cluster import Resource
from codexctl_tasks.world.outside import Outside
from codexctl_tasks.world.watching import Changed, Listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from codexctl_tasks.settings import ClusterSettings
    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.cluster import Cluster, WatchEvent
    from codexctl_tasks.world.watching import Feed, Notice, Scope

KINDS = {
    ("v1", "Namespace"): ("namespaces", False),
    ("v1", "ConfigMap"): ("configmaps", True),
    ("v1", "Secret"): ("secrets", True),
    ("v1", "Service"): ("services", True),
    ("v1", "Pod"): ("pods", True),
    ("apps/v1", "Deployment"): ("deployments", True),
    ("apps/v1", "StatefulSet"): ("statefulsets", True),
    ("batch/v1", "Job"): ("jobs", True),
}


class FakeClock:
    """A clock whose time passes only when somebody sleeps or waits."""

    def __init__(self) -> None:
        self.time = 0.0
        self.sleeps: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += seconds


class ScriptedFeed:
    """Notices at given times: waiting for the next one lets the clock run to it."""

    def __init__(self, clock: FakeClock, script: Sequence[tuple[float, Notice]] = ()) -> None:
        self._clock = clock
        self.script = sorted(script, key=lambda entry: entry[0])

    def next(self, timeout_s: float) -> list[Notice]:
        end_s = self._clock.time + timeout_s
        if not self.script or self.script[0][0] > end_s:
            self._clock.time = end_s
            return []
        at_s, notice = self.script.pop(0)
        self._clock.time = max(self._clock.time, at_s)
        return [notice]

    def close(self) -> None:
        self.script = []


class FakeCluster:
    """
    Objects in a dictionary; apply stores them, and a hook may give them a status.

    ``refusals`` maps an object's name to the error that applying it gets.
    """

    def __init__(self) -> None:
        self.address = "https://fake:6443"
        self.default_namespace = "default"
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.refusals: dict[str, ClusterError] = {}
        self.calls: list[str] = []
        self.log_lines: list[str] = []
        self.on_apply: Callable[[dict[str, Any]], None] = lambda _: None
        self._numbers = itertools.count(1)

    def resources(self, *, refresh: bool = False) -> Mapping[tuple[str, str], Resource]:
        del refresh
        return {
            (version, kind): Resource(version, kind, plural, namespaced)
            for (version, kind), (plural, namespaced) in KINDS.items()
        }

    def get(self, resource: Resource, namespace: str, name: str) -> Mapping[str, Any] | None:
        self.calls.append(f"get {resource.kind} {name}")
        return self.objects.get((resource.kind, namespace if resource.namespaced else "", name))

    def list_objects(
        self, resource: Resource, namespace: str
    ) -> tuple[list[Mapping[str, Any]], str]:
        self.calls.append(f"list {resource.kind}")
        found = [
            o
            for (kind, space, _), o in self.objects.items()
            if kind == resource.kind and space == (namespace if resource.namespaced else "")
        ]
        return list(found), "1"

    def watch(
        self, resource: Resource, namespace: str, resource_version: str
    ) -> Iterator[WatchEvent]:
        raise NotImplementedError  # flows get a scripted feed instead

    def apply(
        self, resource: Resource, namespace: str, body: Mapping[str, Any], *, force: bool
    ) -> Mapping[str, Any]:
        name = body["metadata"]["name"]
        self.calls.append(f"apply {resource.kind} {name}{' force' if force else ''}")
        if name in self.refusals:
            raise self.refusals[name]
        key = (resource.kind, namespace if resource.namespaced else "", name)
        known = self.objects.get(key)
        if known is not None and known["applied"] == body:
            return known
        number = next(self._numbers)
        metadata = {
            **body["metadata"],
            "uid": known["metadata"]["uid"] if known else f"uid-{number}",
            "generation": (known["metadata"]["generation"] if known else 0) + 1,
            "resourceVersion": str(number),
        }
        stored = {**body, "metadata": metadata, "applied": body}
        self.objects[key] = stored
        self.on_apply(stored)
        return stored

    def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> bool:
        self.calls.append(f"delete {resource.kind} {name}")
        key = (resource.kind, namespace if resource.namespaced else "", name)
        assert self.objects[key]["metadata"]["uid"] == uid
        return self.objects.pop(key, None) is not None

    def logs(
        self, namespace: str, pod: str, container: str, *, previous: bool, lines: int
    ) -> list[str]:
        del namespace, lines
        self.calls.append(f"logs {pod} {container}{' previous' if previous else ''}")
        return self.log_lines


class LiveFeed:
    """Shows every scope of a `FakeCluster` as it is at each look."""

    def __init__(self, cluster: FakeCluster, scopes: Sequence[Scope], clock: FakeClock) -> None:
        self._cluster, self._scopes, self._clock = cluster, scopes, clock

    def next(self, timeout_s: float) -> list[Notice]:
        self._clock.time += min(timeout_s, 0.1)
        return [Listed(s, self._cluster.list_objects(s.resource, s.namespace)[0]) for s in self._scopes]

    def close(self) -> None:
        pass


def fake_outside(cluster: FakeCluster, clock: FakeClock, stream: io.StringIO) -> Outside:
    """Return an outside whose watches show *cluster* as it is."""

    def connect(settings: ClusterSettings, _: Clock, announce: Callable[[str], None]) -> Cluster:
        del settings, announce
        return cluster

    def watch(
        given: Cluster, scopes: Sequence[Scope], _: Clock, announce: Callable[[str], None]
    ) -> Feed:
        del given, announce
        return LiveFeed(cluster, scopes, clock)

    return Outside(console=Console(stream), clock=clock, connect=connect, watch=watch)


def added(scope: Scope, found: Mapping[str, Any]) -> Changed:
    """Return the notice of a new or changed object."""
    return Changed(scope, deleted=False, object=found)
