"""What is waited for: an object as our apply left it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codexctl_tasks.durations import duration_s
from codexctl_tasks.errors import CodexctlError, CombinedError, ConfigurationError
from codexctl_tasks.rollout.custom import EXAMPLE, Rule, read_rules
from codexctl_tasks.world.cluster import Resource
from codexctl_tasks.world.watching import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from codexctl_tasks.errors import Location
    from codexctl_tasks.stack.manifests import Manifest, ObjectName

TIMEOUT_ANNOTATION = "codexctl/wait-timeout"
"""How long the wait for this object may last: ``90s``, ``10m``."""
CRASH_ANNOTATION = "codexctl/crash-limit"
"""After how many restarts a crashing container of this workload is given up; a whole number."""
READY_ANNOTATION = "codexctl/ready-when"
"""What must hold of the object; see `custom`."""
FAILED_ANNOTATION = "codexctl/failed-when"
"""What must not hold of the object; see `custom`."""
REPLACE_PODS_ANNOTATION = "codexctl/replace-broken-pods"
"""``"true"`` on a StatefulSet: broken pods of an old revision that block a rollout are deleted."""

_DEPLOYMENT = Resource("apps/v1", "Deployment", "deployments", namespaced=True)
_REPLICA_SET = Resource("apps/v1", "ReplicaSet", "replicasets", namespaced=True)
_STATEFUL_SET = Resource("apps/v1", "StatefulSet", "statefulsets", namespaced=True)
_DAEMON_SET = Resource("apps/v1", "DaemonSet", "daemonsets", namespaced=True)
_JOB = Resource("batch/v1", "Job", "jobs", namespaced=True)
_POD = Resource("v1", "Pod", "pods", namespaced=True)
_EVENT = Resource("v1", "Event", "events", namespaced=True)
_CLAIM = Resource("v1", "PersistentVolumeClaim", "persistentvolumeclaims", namespaced=True)
_NODE = Resource("v1", "Node", "nodes", namespaced=False)

WORKLOADS = {
    ("Deployment", "apps"): (_DEPLOYMENT, _REPLICA_SET, _POD),
    ("StatefulSet", "apps"): (_STATEFUL_SET, _POD),
    ("DaemonSet", "apps"): (_DAEMON_SET, _POD),
    ("Job", "batch"): (_JOB, _POD),
    ("Pod", ""): (_POD,),
}
"""The kinds that run pods, each with what must be watched to judge it."""
_OTHERS = frozenset(
    {
        ("PersistentVolumeClaim", ""),
        ("Service", ""),
        ("CustomResourceDefinition", "apiextensions.k8s.io"),
        ("APIService", "apiregistration.k8s.io"),
    }
)
"""Further kinds whose status tells when they are ready."""
_KUBERNETES_GROUPS = frozenset(
    {
        *("", "apps", "autoscaling", "batch", "extensions", "policy"),
        *("admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io"),
        *("authentication.k8s.io", "authorization.k8s.io", "certificates.k8s.io"),
        *("coordination.k8s.io", "discovery.k8s.io", "events.k8s.io"),
        *("flowcontrol.apiserver.k8s.io", "internal.apiserver.k8s.io", "networking.k8s.io"),
        *("node.k8s.io", "rbac.authorization.k8s.io", "resource.k8s.io"),
        *("scheduling.k8s.io", "storage.k8s.io", "storagemigration.k8s.io"),
    }
)
"""Kinds of all other groups are custom, also of those that end in ``k8s.io``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """An object whose rollout is waited for."""

    name: ObjectName
    uid: str
    """Of the object our apply returned; another one under the same name is somebody else's."""
    generation: int
    """The status counts once it speaks of this generation; 0 for kinds that have none."""
    is_changed: bool = True
    """Whether this run has changed it."""
    progress_deadline_s: float | None = None
    """``progressDeadlineSeconds`` as the manifest sets it; None: not set, the server's default."""
    timeout_s: float = math.inf
    """How long the wait for it may last; infinity: as long as the whole run."""
    crash_limit: int = 0
    """After how many restarts a crash is fatal; 0: the usual number."""
    ready_when: tuple[Rule, ...] = ()
    """All must hold; empty: the usual rule of its kind."""
    failed_when: tuple[Rule, ...] = ()
    """None may hold; empty: for custom resources the usual conditions, for others nothing."""
    replaces_pods: bool = False
    """Broken pods of an old revision may be deleted."""
    location: Location
    """Where its manifest is written."""

    @property
    def group(self) -> str:
        """The API group, empty for the core."""
        return _group(self.name)

    @property
    def is_custom(self) -> bool:
        """Tell whether its kind is not one of Kubernetes' own."""
        return self.group not in _KUBERNETES_GROUPS

    @property
    def has_rules(self) -> bool:
        """Tell whether conditions decide if it has failed."""
        return self.is_custom or bool(self.failed_when)

    @property
    def runs_pods(self) -> bool:
        """Tell whether it is a workload."""
        return (self.name.kind, self.group) in WORKLOADS


def target_of(
    name: ObjectName, manifest: Manifest, found: Mapping[str, Any], *, is_changed: bool = True
) -> Target:
    """
    Return the target for an object.

    Args:
        name: With the namespace it really lives in.
        manifest: What was applied.
        found: The object as the server has it; its metadata suffices.
        is_changed: Whether this run has changed it.

    Raises:
        ConfigurationError: One of our annotations has a value that means nothing.
    """
    deadline = (manifest.body.get("spec") or {}).get("progressDeadlineSeconds")
    return Target(
        name=name,
        uid=found["metadata"]["uid"],
        generation=int(found["metadata"].get("generation") or 0),
        is_changed=is_changed,
        progress_deadline_s=None if deadline is None else float(deadline),
        timeout_s=_read(manifest, TIMEOUT_ANNOTATION, _timeout, "write 90s or 10m") or math.inf,
        crash_limit=_read(manifest, CRASH_ANNOTATION, _count, "write a number from 1") or 0,
        ready_when=_read(manifest, READY_ANNOTATION, read_rules, EXAMPLE) or (),
        failed_when=_read(manifest, FAILED_ANNOTATION, read_rules, EXAMPLE) or (),
        replaces_pods=bool(_read(manifest, REPLACE_PODS_ANNOTATION, _switch, 'write "true"')),
        location=manifest.location,
    )


def check_annotations(manifests: Iterable[Manifest]) -> None:
    """
    Make sure that every manifest can become a target, before anything is applied.

    Raises:
        CombinedError: Annotations that mean nothing, each with file and line.
    """
    problems: list[CodexctlError] = []
    for manifest in manifests:
        try:
            target_of(manifest.name, manifest, {"metadata": {"uid": ""}})
        except ConfigurationError as error:
            problems.append(error)
    if problems:
        raise CombinedError(problems)


def is_awaited(name: ObjectName, body: Mapping[str, Any]) -> bool:
    """
    Tell whether an object has a rollout that can be waited for.

    Services are waited for only if a load balancer gives them an address, others exist at once.
    """
    kind = (name.kind, _group(name))
    if kind == ("Service", ""):
        return (body.get("spec") or {}).get("type") == "LoadBalancer"
    annotations = (body.get("metadata") or {}).get("annotations") or {}
    has_rules = READY_ANNOTATION in annotations or FAILED_ANNOTATION in annotations
    return kind in WORKLOADS or kind in _OTHERS or kind[1] not in _KUBERNETES_GROUPS or has_rules


def scopes_for(awaited: Iterable[tuple[ObjectName, Resource]]) -> list[Scope]:
    """Return what to watch for these objects: one scope per kind and namespace."""
    scopes: dict[Scope, None] = {}
    for name, resource in awaited:
        scopes |= dict.fromkeys(_scopes(name, resource))
    at_once = {(scope.resource, scope.namespace) for scope in scopes if not scope.explains}
    return [s for s in scopes if not s.explains or (s.resource, s.namespace) not in at_once]


def _scopes(name: ObjectName, resource: Resource) -> Iterable[Scope]:
    watched = WORKLOADS.get((name.kind, _group(name)))
    for each in watched or (resource,):
        # An account that may apply a custom resource need not be allowed to watch it.
        yield Scope(each, name.namespace if each.namespaced else "", optional=not watched)
    if name.namespace:
        yield Scope(_EVENT, name.namespace, optional=True, explains=True)
    if watched:
        yield Scope(_CLAIM, name.namespace, optional=True, explains=True)
    if name.kind == "DaemonSet":
        yield Scope(_NODE, "", optional=True)


def _group(name: ObjectName) -> str:
    group, slash, _ = name.api_version.rpartition("/")
    return group if slash else ""


def _read(manifest: Manifest, annotation: str, read: Callable[[str], Any], mend: str) -> Any:
    """Return the value of an annotation, None if it is not set."""
    text = ((manifest.body.get("metadata") or {}).get("annotations") or {}).get(annotation)
    if text is None:
        return None
    try:
        return read(str(text).strip())
    except (CodexctlError, ValueError) as error:
        place = manifest.locate(("metadata", "annotations", annotation))
        what = f"{annotation} {text!r} means nothing"
        raise ConfigurationError(place, what, mend) from error


def _timeout(text: str) -> float:
    if seconds := duration_s(text):
        return seconds
    raise ValueError(text)


def _count(text: str) -> int:
    if re.fullmatch(r"[1-9][0-9]{0,3}", text):
        return int(text)
    raise ValueError(text)


def _switch(text: str) -> bool:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    raise ValueError(text)
