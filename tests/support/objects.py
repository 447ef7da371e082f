"""Objects of a cluster, as small as the judge allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codexctl_tasks.apply.placement import Placed
from codexctl_tasks.errors import Location
from codexctl_tasks.rollout.target import Target, scopes_for
from codexctl_tasks.rollout.view import View
from codexctl_tasks.stack.documents import read_documents
from codexctl_tasks.stack.manifests import Manifest, ObjectName, read_manifests
from codexctl_tasks.world.cluster import Resource
from codexctl_tasks.world.watching import Listed, Scope
from tests.support.fakes import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSIONS = {
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "ReplicaSet": "apps/v1",
    "Job": "batch/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "CustomResourceDefinition": "apiextensions.k8s.io/v1",
    "Shop": "example.com/v1",
    "APIService": "apiregistration.k8s.io/v1",
}
AWAITED = (
    *("Deployment", "StatefulSet", "DaemonSet", "Job", "Pod", "PersistentVolumeClaim", "Service"),
    *("CustomResourceDefinition", "Shop"),
)
REVISION = "deployment.kubernetes.io/revision"


def name_of(kind: str, name: str = "web", namespace: str = "shop") -> ObjectName:
    return ObjectName(VERSIONS.get(kind, "v1"), kind, namespace, name)


def target(kind: str = "Deployment", name: str = "web", **more: Any) -> Target:
    settings = {"uid": f"{kind}-{name}", "generation": 1, **more}
    settings.setdefault("location", Location("web.yaml", 1))
    return Target(name=name_of(kind, name), **settings)


def found(
    kind: str = "Deployment",
    name: str = "web",
    *,
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    owner: str = "",
    **metadata: Any,
) -> dict[str, Any]:
    """Return an object; *owner* is the UID of its controller, *metadata* is added."""
    identity = {"name": name, "namespace": "shop", "uid": f"{kind}-{name}", "generation": 1}
    if owner:
        identity["ownerReferences"] = [{"uid": owner, "controller": True}]
    if kind == "Deployment":
        identity["annotations"] = {REVISION: "1"}
    return {
        "apiVersion": VERSIONS.get(kind, "v1"),
        "kind": kind,
        "metadata": {**identity, **metadata},
        "spec": spec or {},
        "status": status or {},
    }


def deployment(
    ready: int = 0, *, of: int = 1, status: dict[str, Any] | None = None, **metadata: Any
) -> dict[str, Any]:
    """Return a Deployment whose pods are all of the new template."""
    counts = {"updatedReplicas": of, "replicas": of, "availableReplicas": ready}
    observed = {"observedGeneration": metadata.get("generation", 1)}
    return found(spec={"replicas": of}, status={**observed, **counts, **(status or {})}, **metadata)


def replica_set(name: str = "web-1", revision: str = "1", **metadata: Any) -> dict[str, Any]:
    return found(
        "ReplicaSet",
        name,
        **{"owner": "Deployment-web", "annotations": {REVISION: revision}, **metadata},
    )


def pod(name: str = "web-1-a", *containers: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a pod of `replica_set`; *containers* are container statuses."""
    status = {"phase": "Pending", **more.pop("status", {})}
    if containers:
        status["containerStatuses"] = list(containers)
    more.setdefault("owner", "ReplicaSet-web-1")
    return found("Pod", name, status=status, **more)


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    """Return the status of a container that waits."""
    state = {"waiting": {"reason": reason, "message": message}}
    return {"name": "app", "image": "reg.example/web:1", "restartCount": 0, "state": state, **more}


def crashed(restarts: int, code: int = 1, reason: str = "Error", **more: Any) -> dict[str, Any]:
    """Return the status of a container between two crashes."""
    ended = {"terminated": {"exitCode": code, "reason": reason}}
    return waiting("CrashLoopBackOff", restartCount=restarts, lastState=ended, **more)


def running(restarts: int = 0) -> dict[str, Any]:
    state = {"running": {"startedAt": "2026-01-02T03:04:05Z"}}
    return {"name": "app", "restartCount": restarts, "state": state}


def condition(kind: str, status: str = "True", **more: Any) -> dict[str, Any]:
    return {"type": kind, "status": status, **more}


def event(about: dict[str, Any], reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    """Return a warning about an object."""
    metadata = {"name": f"e-{reason}", "namespace": "shop", "uid": f"e-{reason}-{message}"}
    involved = {"uid": about["metadata"]["uid"], "name": about["metadata"]["name"]}
    return {
        "kind": "Event",
        "metadata": metadata,
        "type": "Warning",
        "reason": reason,
        "message": message,
        "involvedObject": involved,
        **more,
    }


def scopes() -> dict[str, Scope]:
    """Return what is watched in namespace ``shop``, by kind."""
    awaited = [(name_of(kind), resource_of(kind)) for kind in AWAITED]
    return {scope.resource.kind: scope for scope in scopes_for(awaited)}


def resource_of(kind: str) -> Resource:
    version = VERSIONS.get(kind, "v1")
    plural, namespaced = KINDS.get((version, kind), (f"{kind.lower()}s", True))
    return Resource(version, kind, plural, namespaced)


def view_of(*objects: dict[str, Any]) -> View:
    """Return a complete view that shows exactly these objects."""
    view = View(list(scopes().values()))
    show(view, *objects)
    return view


def show(view: View, *objects: dict[str, Any]) -> None:
    """Let a view show exactly these objects from now on."""
    for kind, scope in scopes().items():
        view.take(Listed(scope, [o for o in objects if o["kind"] == kind]))


def manifests(text: str, namespace: str = "shop") -> list[Manifest]:
    return list(read_manifests(read_documents(text, "f.yaml"), namespace=namespace))


def placed(text: str) -> list[Placed]:
    """Return the objects of a YAML text with the addresses that `FakeCluster` gives them."""
    return [_place(manifest) for manifest in manifests(text)]


def yaml_of(kind: str, name: str, *more: str) -> str:
    """Return the YAML of an object; *more* are further lines."""
    lines = [f"apiVersion: {VERSIONS.get(kind, 'v1')}", f"kind: {kind}", "metadata:"]
    return "\n".join([*lines, f"  name: {name}", *more]) + "\n---\n"


def _place(manifest: Manifest) -> Placed:
    plural, namespaced = KINDS.get(manifest.name[:2], (f"{manifest.name.kind.lower()}s", True))
    resource = Resource(*manifest.name[:2], plural, namespaced)
    namespace = manifest.name.namespace if namespaced else ""
    return Placed(manifest, resource, manifest.name._replace(namespace=namespace))


def names(objects: Sequence[Any]) -> list[str]:
    """Return the short names of placed objects, targets or manifests."""
    return [o.name.short for o in objects]
