"""What is waited for: an object as our apply left it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codexctl_tasks.world.cluster import Resource
from codexctl_tasks.world.watching import Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from codexctl_tasks.errors import Location
    from codexctl_tasks.stack.manifests import Manifest, ObjectName

_DEPLOYMENT = Resource("apps/v1", "Deployment", "deployments", namespaced=True)
_REPLICA_SET = Resource("apps/v1", "ReplicaSet", "replicasets", namespaced=True)
_STATEFUL_SET = Resource("apps/v1", "StatefulSet", "statefulsets", namespaced=True)
_DAEMON_SET = Resource("apps/v1", "DaemonSet", "daemonsets", namespaced=True)
_JOB = Resource("batch/v1", "Job", "jobs", namespaced=True)
_POD = Resource("v1", "Pod", "pods", namespaced=True)
_EVENT = Resource("v1", "Event", "events", namespaced=True)

_WATCHED = {
    "Deployment": (_DEPLOYMENT, _REPLICA_SET, _POD),
    "StatefulSet": (_STATEFUL_SET, _POD),
    "DaemonSet": (_DAEMON_SET, _POD),
    "Job": (_JOB, _POD),
    "Pod": (_POD,),
}
"""The kinds that have a rollout, each with what must be watched to judge it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A workload whose rollout is waited for."""

    name: ObjectName
    uid: str
    """Of the object our apply returned; another one under the same name is somebody else's."""
    generation: int
    """The status counts once it speaks of this generation; 0 for kinds that have none."""
    progress_deadline_s: float | None = None
    """``progressDeadlineSeconds`` as the manifest sets it; None: not set, the server's default."""
    location: Location
    """Where its manifest is written."""


def target_of(name: ObjectName, manifest: Manifest, found: Mapping[str, Any]) -> Target:
    """
    Return the target for a workload.

    Args:
        name: With the namespace it really lives in.
        manifest: What was applied.
        found: The object as the server has it; its metadata suffices.
    """
    deadline = (manifest.body.get("spec") or {}).get("progressDeadlineSeconds")
    return Target(
        name=name,
        uid=found["metadata"]["uid"],
        generation=int(found["metadata"].get("generation") or 0),
        progress_deadline_s=None if deadline is None else float(deadline),
        location=manifest.location,
    )


def is_workload(name: ObjectName) -> bool:
    """Tell whether an object has a rollout that can be waited for."""
    group = name.api_version.partition("/")[0]
    return name.kind in _WATCHED and group in ("apps", "batch", "v1")


def scopes_for(names: Iterable[ObjectName]) -> list[Scope]:
    """Return what to watch for these workloads: one scope per kind and namespace."""
    scopes: dict[Scope, None] = {}
    for name in names:
        for resource in _WATCHED[name.kind]:
            scopes[Scope(resource, name.namespace)] = None
        scopes[Scope(_EVENT, name.namespace, optional=True)] = None
    return list(scopes)
