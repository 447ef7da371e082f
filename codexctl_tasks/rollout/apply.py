"""Server-side apply of desired objects, stage by stage."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import ClusterError, CodexctlError, CombinedError, TransientClusterError
from codexctl_tasks.rollout.refusals import explained
from codexctl_tasks.rollout.target import Target, is_workload, target_of
from codexctl_tasks.stack.manifests import ObjectName
from codexctl_tasks.world.cluster import Resource
from codexctl_tasks.world.kubernetes import CONNECTIONS
from codexctl_tasks.world.parallel import in_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from codexctl_tasks.rollout.placement import Placed
    from codexctl_tasks.stack.manifests import Manifest
    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.cluster import Cluster

ESTABLISH_TIMEOUT_S = 30.0
"""A CustomResourceDefinition is served a second or two after it was accepted."""
_ESTABLISH_LOOK_S = 0.2


class Change(Enum):
    """What applying an object did to it."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, kw_only=True, slots=True)
class Applied:
    """An object as the server has it after apply."""

    manifest: Manifest
    name: ObjectName
    """With the namespace it really lives in."""
    change: Change
    target: Target | None
    """What to wait for; None for objects without a rollout."""


def apply_stage(
    stage: Sequence[Placed],
    cluster: Cluster,
    *,
    force: bool,
    tell: Callable[[Applied], None],
) -> list[Applied]:
    """
    Apply objects side by side.

    Args:
        stage: Objects that do not need each other.
        cluster: Where.
        force: Take over fields that another manager owns.
        tell: Called for each object as soon as it is applied.

    Raises:
        CombinedError: What the server refused; the rest of the stage was applied.
    """
    before = _versions(stage, cluster)

    def send(numbered: tuple[int, Placed]) -> Applied | ClusterError:
        _, placed = numbered
        try:
            return _apply(placed, cluster, force=force, known=before)
        except TransientClusterError:
            raise  # it was retried for long: nobody else gets through either
        except ClusterError as error:
            return explained(error, placed)

    applied: list[Applied] = []
    problems: dict[int, CodexctlError] = {}
    for (number, _), answer in in_parallel(send, list(enumerate(stage)), limit=CONNECTIONS):
        if isinstance(answer, ClusterError):
            problems[number] = answer
        else:
            tell(answer)
            applied.append(answer)
    if problems:
        raise CombinedError([problems[number] for number in sorted(problems)])
    return applied


def await_definitions(applied: Sequence[Applied], cluster: Cluster, clock: Clock) -> None:
    """Return when the CustomResourceDefinitions among *applied* are served."""
    resource = Resource(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        namespaced=False,
    )
    deadline_s = clock.now() + ESTABLISH_TIMEOUT_S
    for definition in (a for a in applied if a.name.kind == resource.kind):
        while not _established(cluster.get(resource, "", definition.name.name)):
            if clock.now() >= deadline_s:
                raise ClusterError(
                    definition.manifest.location,
                    f"{definition.name} is not served after {ESTABLISH_TIMEOUT_S:.0f} s",
                    "look at its conditions: kubectl describe",
                )
            clock.sleep(_ESTABLISH_LOOK_S)


def _versions(stage: Sequence[Placed], cluster: Cluster) -> Mapping[ObjectName, str] | None:
    """Return the resource versions of what exists; None when that may not be read."""
    collections = list(dict.fromkeys((p.resource, p.name.namespace) for p in stage))

    def read(collection: tuple[Resource, str]) -> dict[ObjectName, str]:
        resource, namespace = collection
        try:
            objects, _ = cluster.list_objects(resource, namespace)
        except ClusterError as error:
            if error.status == HTTPStatus.NOT_FOUND:  # its definition is applied in this very run
                return {}
            raise
        return {
            _name_of(found, resource): found["metadata"]["resourceVersion"] for found in objects
        }

    known: dict[ObjectName, str] = {}
    try:
        for _, versions in in_parallel(read, collections, limit=CONNECTIONS):
            known.update(versions)
    except ClusterError as error:
        if error.status == HTTPStatus.FORBIDDEN:
            return None
        raise
    return known


def _apply(
    placed: Placed, cluster: Cluster, *, force: bool, known: Mapping[ObjectName, str] | None
) -> Applied:
    answer = cluster.apply(
        placed.resource, placed.name.namespace, placed.manifest.body, force=force
    )
    earlier = known.get(placed.name) if known is not None else "unknown"
    change = Change.CHANGED if earlier else Change.CREATED
    if earlier == answer["metadata"]["resourceVersion"]:
        change = Change.UNCHANGED
    target = target_of(placed, answer) if is_workload(placed.name) else None
    return Applied(manifest=placed.manifest, name=placed.name, change=change, target=target)


def _established(definition: Mapping[str, Any] | None) -> bool:
    conditions = ((definition or {}).get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)


def _name_of(found: Mapping[str, Any], resource: Resource) -> ObjectName:
    metadata = found["metadata"]
    return ObjectName(
        resource.api_version, resource.kind, metadata.get("namespace", ""), metadata["name"]
    )
