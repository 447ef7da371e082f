"""The outside, small and obedient: time that passes when told, a cluster that is a dictionary."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from codexctl_tasks.console import Console
from codexctl_tasks.errors import ClusterError
from codexctl_tasks.world.cluster import Answer, Resource
from codexctl_tasks.world.execution import Executed
from codexctl_tasks.world.outside import Outside
from codexctl_tasks.world.scripting import unframed
from codexctl_tasks.world.watching import Changed, Listed

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from codexctl_tasks.requests.basis import ClusterSettings
    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.cluster import Cluster, WatchEvent
    from codexctl_tasks.world.watching import Feed, Notice, Scope

KINDS = {
    ("v1", "Namespace"): ("namespaces", False),
    ("v1", "ConfigMap"): ("configmaps", True),
    ("v1", "Secret"): ("secrets", True),
    ("v1", "Service"): ("services", True),
    ("v1", "Pod"): ("pods", True),
    ("v1", "ServiceAccount"): ("serviceaccounts", True),
    ("v1", "PersistentVolumeClaim"): ("persistentvolumeclaims", True),
    ("coordination.k8s.io/v1", "Lease"): ("leases", True),
    ("authorization.k8s.io/v1", "SelfSubjectRulesReview"): ("selfsubjectrulesreviews", False),
    ("autoscaling/v2", "HorizontalPodAutoscaler"): ("horizontalpodautoscalers", True),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"): ("customresourcedefinitions", False),
    ("apps/v1", "Deployment"): ("deployments", True),
    ("apps/v1", "StatefulSet"): ("statefulsets", True),
    ("batch/v1", "Job"): ("jobs", True),
}

ALIASES = {
    "Deployment": ("deployment", "deploy"),
    "StatefulSet": ("statefulset", "sts"),
    "Pod": ("pod", "po"),
    "ConfigMap": ("configmap", "cm"),
}
"""Further names of kinds, as discovery tells them."""


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
    """
    Notices at given times: waiting for the next one lets the clock run to it.

    A number in place of a notice: `lost_s` from then on.
    """

    def __init__(
        self, clock: FakeClock, script: Sequence[tuple[float, Notice | float]] = ()
    ) -> None:
        self._clock = clock
        self.script = sorted(script, key=lambda entry: entry[0])
        self.lost_s = 0.0

    def next(self, timeout_s: float) -> list[Notice]:
        """Return what happens within this time."""
        end_s = self._clock.time + timeout_s
        if not self.script or self.script[0][0] > end_s:
            self._clock.pass_time(end_s - self._clock.time)
            return []
        at_s, notice = self.script.pop(0)
        self._clock.pass_time(max(at_s - self._clock.time, 0.0))
        if isinstance(notice, float):
            self.lost_s = notice
            return []
        return [notice]

    def widen(self) -> None:
        """Everything is told anyway."""

    def close(self) -> None:
        """Tell nothing more."""
        self.script = []


class FakeCluster:
    """
    Objects in a dictionary; apply stores them, and a hook may give them a status.

    ``refusals`` maps an object's name to the error that applying it gets, dry runs included;
    ``late_refusals`` to the errors that the next real applies of it get, one each. Conflicts end
    with force. What is of ``forbidden_kinds`` may not be read. An object with finalizers stays
    when it is deleted, until `release`.
    """

    def __init__(self) -> None:
        self.address = "https://fake:6443"
        self.context = "fake"
        self.default_namespace = "default"
        self.deadline_s = math.inf
        self.user = "system:serviceaccount:shop:deployer"
        self.review_refusal: ClusterError | None = None
        """What asking for `user` gets."""
        self.time: datetime | None = None
        """What the server's clock shows."""
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.refusals: dict[str, ClusterError] = {}
        self.late_refusals: dict[str, list[ClusterError]] = {}
        self.patch_refusals: list[ClusterError] = []
        self.forbidden_kinds: set[str] = set()
        self.strict_namespaces = False
        """Nothing is written in a namespace that does not exist."""
        self.calls: list[str] = []
        self.patches: list[Any] = []
        self.warnings: tuple[str, ...] = ()
        self.rules: list[dict[str, Any]] = [
            {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
        ]
        self.log_lines: list[str] = []
        self.feeds: list[LiveFeed] = []
        self.on_apply: Callable[[dict[str, Any]], None] = lambda _: None
        self.on_create: Callable[[dict[str, Any]], None] = lambda _: None
        self.runs: list[Callable[[Sequence[str], bytes], bytes | Executed]] = []
        """What the next commands in containers do, one each: given the command and its stdin, they
        return what it prints, or how it fails."""
        self._numbers = itertools.count(1)
        self._sent: dict[tuple[str, str, str], Mapping[str, Any]] = {}

    def now(self) -> datetime | None:
        """Return `time`."""
        return self.time

    def version(self) -> str:
        """Return a version."""
        return "v1.34.0"

    def resources(self, *, refresh: bool = False) -> Mapping[tuple[str, str], Resource]:
        """Return the kinds of `KINDS`."""
        del refresh
        return {
            (version, kind): Resource(version, kind, plural, namespaced, ALIASES.get(kind, ()))
            for (version, kind), (plural, namespaced) in KINDS.items()
        }

    def get(self, resource: Resource, namespace: str, name: str) -> Mapping[str, Any] | None:
        """Return an object that was applied."""
        self.calls.append(f"get {resource.kind} {name}")
        self._check_readable(resource)
        return self.objects.get((resource.kind, namespace if resource.namespaced else "", name))

    def list_objects(
        self, resource: Resource, namespace: str, *, repeats: bool = True
    ) -> tuple[list[Mapping[str, Any]], str]:
        """Return the objects of a kind."""
        del repeats
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
        self,
        resource: Resource,
        namespace: str,
        body: Mapping[str, Any],
        *,
        force: bool = False,
        dry_run: bool = False,
    ) -> Answer:
        """Store the object as a server would, and who owns which of its fields."""
        name = body["metadata"]["name"]
        verb = "rehearse" if dry_run else "apply"
        self.calls.append(f"{verb} {resource.kind} {name}{' force' if force else ''}")
        self._refuse(name, force=force, dry_run=dry_run)
        self._check_namespace(resource, namespace)
        key = (resource.kind, namespace if resource.namespaced else "", name)
        known = self.objects.get(key)
        if known is not None and self._sent.get(key) == body and _owns_all(known, body):
            return Answer(known, self.warnings)
        if dry_run:
            # Like the real one, it answers with the version that is there.
            version = known["metadata"]["resourceVersion"] if known else "0"
            metadata = {**body["metadata"], "uid": "dry-run", "resourceVersion": version}
            return Answer({**(known or {}), **body, "metadata": metadata}, self.warnings)
        stored = self._stored(body, known)
        self.objects[key], self._sent[key] = stored, body
        self.on_apply(stored)
        return Answer(stored, self.warnings)

    def create(
        self, resource: Resource, namespace: str, body: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Store a new object; of reviews: answer that everything is allowed."""
        if resource.kind == "SelfSubjectRulesReview":
            self.calls.append("review rules")
            return {"status": {"resourceRules": self.rules, "incomplete": False}}
        if resource.kind == "SelfSubjectReview":
            if self.review_refusal is not None:
                raise self.review_refusal
            return {"status": {"userInfo": {"username": self.user}}}
        if "name" not in body["metadata"]:
            name = f"{body['metadata']['generateName']}{next(self._numbers)}"
            body = {**body, "metadata": {**body["metadata"], "name": name}}
        key = (resource.kind, namespace, body["metadata"]["name"])
        self.calls.append(f"create {resource.kind} {key[2]}")
        self._check_namespace(resource, namespace)
        if key in self.objects:
            raise ClusterError("POST", "already exists", status=409, reason="AlreadyExists")
        self.objects[key] = stored = self._stored(body, None)
        self.on_create(stored)
        return stored

    def replace(
        self, resource: Resource, namespace: str, body: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Store an object whose version is still the same."""
        key = (resource.kind, namespace, body["metadata"]["name"])
        self.calls.append(f"replace {resource.kind} {key[2]}")
        known = self.objects.get(key)
        if known is None:
            raise ClusterError("PUT", "not found", status=404)
        if known["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise ClusterError("PUT", "the object has been modified", status=409, reason="Conflict")
        self.objects[key] = self._stored(body, known)
        return self.objects[key]

    def patch(
        self, resource: Resource, namespace: str, name: str, operations: Sequence[Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        """Note the patch; of its operations only managedFields are replaced, and labels added."""
        self.calls.append(f"patch {resource.kind} {name}")
        if self.patch_refusals:
            raise self.patch_refusals.pop(0)
        key = (resource.kind, namespace if resource.namespaced else "", name)
        known = self.objects[key]
        values = {operation["path"]: operation["value"] for operation in operations}
        if any(path.startswith("/metadata/labels") for path in values):
            return self._labelled(key, values)
        if values["/metadata/resourceVersion"] != known["metadata"]["resourceVersion"]:
            raise ClusterError("PATCH", "the object has been modified", status=409)
        self.patches.append(operations)
        self.objects[key] = self._changed(known, managedFields=values["/metadata/managedFields"])
        return self.objects[key]

    def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        uid: str,
        *,
        version: str = "",
        propagation: str = "Foreground",
        grace_s: int | None = None,
    ) -> bool:
        """Forget the object, unless finalizers hold it."""
        del grace_s
        after = "" if propagation == "Foreground" else f" {propagation}"
        self.calls.append(f"delete {resource.kind} {name}{after}")
        key = (resource.kind, namespace if resource.namespaced else "", name)
        known = self.objects.get(key)
        if known is None or known["metadata"]["uid"] != uid:
            return False
        if version and known["metadata"]["resourceVersion"] != version:
            return False
        if known["metadata"].get("finalizers"):
            self.objects[key] = self._changed(known, deletionTimestamp="2026-01-02T12:00:00Z")
        else:
            del self.objects[key]
        return True

    def release(self, kind: str, namespace: str, name: str) -> None:
        """Let an object go that finalizers have held."""
        del self.objects[kind, namespace, name]

    def logs(
        self, namespace: str, pod: str, container: str, *, previous: bool, lines: int
    ) -> list[str]:
        """Return `log_lines`."""
        del namespace, lines
        self.calls.append(f"logs {pod} {container}{' previous' if previous else ''}")
        return self.log_lines

    def execute(
        self,
        namespace: str,
        pod: str,
        container: str,
        command: Sequence[str],
        *,
        stdin: Iterable[bytes],
        take: Callable[[bytes], object],
        limit_s: float = math.inf,
    ) -> Executed:
        """Do what the next of `runs` does."""
        del namespace, limit_s
        self.calls.append(f"execute {pod} {container}")
        told = self.runs.pop(0)(command, b"".join(stdin))
        if isinstance(told, Executed):
            return told
        take(told)
        if command[2] != unframed(command[2]):
            take(f"\n{command[3]}".encode())
        return Executed(0, "")

    def _labelled(self, key: tuple[str, str, str], values: dict[str, Any]) -> Mapping[str, Any]:
        known = self.objects[key]
        if values["/metadata/uid"] != known["metadata"]["uid"]:
            raise ClusterError("PATCH", "the test of the patch has failed", status=422)
        labels = {
            path.removeprefix("/metadata/labels/").replace("~1", "/"): value
            for path, value in values.items()
            if path.startswith("/metadata/labels/")
        }
        labels = {**(known["metadata"].get("labels") or {}), **labels}
        self.objects[key] = self._changed(known, labels=labels)
        return self.objects[key]

    def _stored(self, body: Mapping[str, Any], known: Mapping[str, Any] | None) -> dict[str, Any]:
        number = next(self._numbers)
        entry = managed(body)
        before = known["metadata"] if known else {}
        metadata = {
            **{key: before[key] for key in ("deletionTimestamp", "finalizers") if key in before},
            **body["metadata"],
            "uid": before.get("uid", f"uid-{number}"),
            "generation": before.get("generation", 0) + 1,
            "resourceVersion": str(number),
            "managedFields": [entry] if entry["fieldsV1"] else [],
        }
        return {**body, "metadata": metadata}

    def _changed(self, known: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        version = str(next(self._numbers))
        return {**known, "metadata": {**known["metadata"], **more, "resourceVersion": version}}

    def _refuse(self, name: str, *, force: bool, dry_run: bool) -> None:
        late = [] if dry_run else self.late_refusals.get(name, [])
        error = late.pop(0) if late else self.refusals.get(name)
        if error is not None and not (force and error.conflicts):
            raise error

    def _check_namespace(self, resource: Resource, namespace: str) -> None:
        if not self.strict_namespaces or not resource.namespaced:
            return
        if ("Namespace", "", namespace) not in self.objects:
            what = f'namespaces "{namespace}" not found'
            raise ClusterError(resource.plural, what, status=404, reason="NotFound")

    def _check_readable(self, resource: Resource) -> None:
        if resource.kind in self.forbidden_kinds:
            raise ClusterError(f"GET {resource.plural}", "forbidden", status=403)


def managed(
    body: Mapping[str, Any], manager: str = "codexctl", operation: str = "Apply"
) -> dict[str, Any]:
    """Return the entry of managedFields for an applied object; its lists are owned as a whole."""

    def fields(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            return {}
        return {f"f:{key}": fields(inner) for key, inner in value.items()}

    owned = {k: v for k, v in body.items() if k not in ("apiVersion", "kind", "metadata", "status")}
    of_metadata = {k: v for k, v in body["metadata"].items() if k in ("labels", "annotations")}
    if of_metadata:
        owned["metadata"] = of_metadata
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": body["apiVersion"],
        "fieldsType": "FieldsV1",
        "fieldsV1": fields(owned),
    }


def _owns_all(known: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    entry = managed(body)
    return not entry["fieldsV1"] or entry in known["metadata"].get("managedFields", ())


class LiveFeed:
    """Shows every scope of a `FakeCluster` as it is at each look."""

    def __init__(self, cluster: FakeCluster, scopes: Sequence[Scope], clock: FakeClock) -> None:
        self._cluster, self._scopes, self._clock = cluster, scopes, clock
        self.closed = False
        self.lost_s = 0.0
        self.is_wide = False
        cluster.feeds.append(self)

    def next(self, timeout_s: float) -> list[Notice]:
        """Return what happens within this time."""
        self._clock.pass_time(min(timeout_s, 0.1))
        return [
            Listed(s, self._cluster.list_objects(s.resource, s.namespace)[0])
            for s in self._scopes
            if self.is_wide or not s.explains
        ]

    def widen(self) -> None:
        """Show what explains as well."""
        self.is_wide = True

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
