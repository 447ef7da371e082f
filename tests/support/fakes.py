"""The outside, small and obedient: time that passes when told, a cluster that is a dictionary."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from codexctl_tasks.console import Console
from codexctl_tasks.errors import ClusterError
from codexctl_tasks.world.cluster import Resource
from codexctl_tasks.world.outside import Outside
from codexctl_tasks.world.watching import Changed, Listed

if TYPE_CHECKING:
    import io
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
        self._plans: list[tuple[float, Callable[[], None]]] = []

    def now(self) -> float:
        """Return seconds."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Let time pass and note it."""
        self.sleeps.append(seconds)
        self.pass_time(seconds)

    def pass_time(self, seconds: float) -> None:
        """Let time pass without anybody's sleep, and do what was planned for it."""
        self.time += seconds
        due = [plan for plan in self._plans if plan[0] <= self.time]
        self._plans = [plan for plan in self._plans if plan not in due]
        for _, action in due:
            action()

    def at(self, second: float, action: Callable[[], None]) -> None:
        """Plan *action*, which may raise."""
        self._plans.append((second, action))


class ScriptedFeed:
    """Notices at given times: waiting for the next one lets the clock run to it."""

    def __init__(self, clock: FakeClock, script: Sequence[tuple[float, Notice]] = ()) -> None:
        self._clock = clock
        self.script = sorted(script, key=lambda entry: entry[0])

    def next(self, timeout_s: float) -> list[Notice]:
        """Return what happens within this time."""
        end_s = self._clock.time + timeout_s
        if not self.script or self.script[0][0] > end_s:
            self._clock.time = end_s
            return []
        at_s, notice = self.script.pop(0)
        self._clock.time = max(self._clock.time, at_s)
        return [notice]

    def close(self) -> None:
        """Tell nothing more."""
        self.script = []


class FakeCluster:
    """
    Objects in a dictionary; apply stores them, and a hook may give them a status.

    ``refusals`` maps an object's name to the error that applying it gets; what is of
    ``forbidden_kinds`` may not be read.
    """

    def __init__(self) -> None:
        self.address = "https://fake:6443"
        self.default_namespace = "default"
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.refusals: dict[str, ClusterError] = {}
        self.forbidden_kinds: set[str] = set()
        self.calls: list[str] = []
        self.log_lines: list[str] = []
        self.feeds: list[LiveFeed] = []
        self.on_apply: Callable[[dict[str, Any]], None] = lambda _: None
        self._numbers = itertools.count(1)

    def resources(self, *, refresh: bool = False) -> Mapping[tuple[str, str], Resource]:
        """Return the kinds of `KINDS`."""
        del refresh
        return {
            (version, kind): Resource(version, kind, plural, namespaced)
            for (version, kind), (plural, namespaced) in KINDS.items()
        }

    def get(self, resource: Resource, namespace: str, name: str) -> Mapping[str, Any] | None:
        """Return an object that was applied."""
        self.calls.append(f"get {resource.kind} {name}")
        self._check_readable(resource)
        return self.objects.get((resource.kind, namespace if resource.namespaced else "", name))

    def list_objects(
        self, resource: Resource, namespace: str
    ) -> tuple[list[Mapping[str, Any]], str]:
        """Return the objects of a kind."""
        self.calls.append(f"list {resource.kind}")
        self._check_readable(resource)
        found = [
            o
            for (kind, space, _), o in self.objects.items()
            if kind == resource.kind and space == (namespace if resource.namespaced else "")
        ]
        return list(found), "1"

    def watch(
        self, resource: Resource, namespace: str, resource_version: str
    ) -> Iterator[WatchEvent]:
        """Refuse: flows get a feed instead."""
        raise NotImplementedError  # flows get a scripted feed instead

    def apply(
        self, resource: Resource, namespace: str, body: Mapping[str, Any], *, force: bool
    ) -> Mapping[str, Any]:
        """Store the object as a server would."""
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
        """Forget the object."""
        self.calls.append(f"delete {resource.kind} {name}")
        key = (resource.kind, namespace if resource.namespaced else "", name)
        assert self.objects[key]["metadata"]["uid"] == uid
        return self.objects.pop(key, None) is not None

    def logs(
        self, namespace: str, pod: str, container: str, *, previous: bool, lines: int
    ) -> list[str]:
        """Return `log_lines`."""
        del namespace, lines
        self.calls.append(f"logs {pod} {container}{' previous' if previous else ''}")
        return self.log_lines

    def _check_readable(self, resource: Resource) -> None:
        if resource.kind in self.forbidden_kinds:
            raise ClusterError(f"GET {resource.plural}", "forbidden", status=403)


class LiveFeed:
    """Shows every scope of a `FakeCluster` as it is at each look."""

    def __init__(self, cluster: FakeCluster, scopes: Sequence[Scope], clock: FakeClock) -> None:
        self._cluster, self._scopes, self._clock = cluster, scopes, clock
        self.closed = False
        cluster.feeds.append(self)

    def next(self, timeout_s: float) -> list[Notice]:
        """Return what happens within this time."""
        self._clock.pass_time(min(timeout_s, 0.1))
        return [
            Listed(s, self._cluster.list_objects(s.resource, s.namespace)[0]) for s in self._scopes
        ]

    def close(self) -> None:
        """Tell nothing more."""
        self.closed = True


def fake_outside(cluster: FakeCluster, clock: FakeClock, stream: io.StringIO) -> Outside:
    """Return an outside whose watches show *cluster* as it is."""

    def feed(scopes: Sequence[Scope]) -> Feed:
        return LiveFeed(cluster, scopes, clock)

    def connect(
        settings: ClusterSettings, clock: Clock, announce: Callable[[str], None]
    ) -> Cluster:
        del settings, clock, announce
        return cluster

    def watch(
        cluster: Cluster, scopes: Sequence[Scope], clock: Clock, announce: Callable[[str], None]
    ) -> Feed:
        del cluster, clock, announce
        return feed(scopes)

    return Outside(
        console=Console(stream, now=clock.now), clock=clock, connect=connect, watch=watch
    )


def added(scope: Scope, found: Mapping[str, Any]) -> Changed:
    """Return the notice of a new or changed object."""
    return Changed(scope, deleted=False, object=found)
