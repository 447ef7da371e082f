"""Deletion of what apply created, in reverse order, until it is really gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codexctl_tasks.apply.refusals import explained_deletion
from codexctl_tasks.errors import ClusterError, CodexctlError, CombinedError, TransientClusterError
from codexctl_tasks.world.cluster import CONNECTIONS
from codexctl_tasks.world.parallel import in_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from codexctl_tasks.errors import Location
    from codexctl_tasks.stack.manifests import ObjectName
    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.cluster import Cluster, Resource

_LOOK_S = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Doomed:
    """An object to be deleted: exactly the one that was looked at."""

    name: ObjectName
    resource: Resource
    uid: str
    where: Location | str
    """Its manifest, or, if it has none any more, its name."""


@dataclass(frozen=True, slots=True)
class Left:
    """An object that still exists when the time is over."""

    doomed: Doomed
    blocker: str
    """What keeps it, as far as Kubernetes says."""


def delete_all(
    stages: Iterable[Sequence[Doomed]],
    cluster: Cluster,
    clock: Clock,
    *,
    deadline_s: float,
    tell: Callable[[Doomed], None],
    check: Callable[[], None] = lambda: None,
) -> list[Left]:
    """
    Delete objects stage by stage; missing ones are fine.

    Args:
        stages: In the order of deletion; a stage begins when the one before is gone.
        cluster: Where.
        clock: For the looks.
        deadline_s: When to stop waiting.
        tell: Called for each object once it is gone.
        check: Called before each stage; raises when this run must not go on.

    Returns:
        What still exists because the time ran out.

    Raises:
        CombinedError: What the server refused to delete; the rest of the stage is deleted.
    """
    for stage in stages:
        check()
        waiting = _delete_stage(stage, cluster)
        while waiting:
            looked = list(in_parallel(_looker(cluster), waiting, limit=CONNECTIONS))
            for doomed in (d for d, found in looked if found is None):
                tell(doomed)
            there = [(d, found) for d, found in looked if found is not None]
            waiting = [d for d, _ in there]
            if waiting and clock.now() >= deadline_s:
                return [Left(d, what_blocks(found)) for d, found in there]
            if waiting:
                clock.sleep(_LOOK_S)
    return []


def what_blocks(found: Mapping[str, Any]) -> str:
    """Return why an object that is being deleted still exists, in words."""
    metadata = found["metadata"]
    conditions = (found.get("status") or {}).get("conditions") or ()
    said = [
        str(c.get("message"))
        for c in conditions
        if c.get("status") == "True" and str(c.get("type")).endswith(("Remaining", "Failure"))
    ]
    finalizers = [str(each) for each in metadata.get("finalizers") or ()]
    if "foregroundDeletion" in finalizers:
        said.append("what it owns is still being deleted")
        finalizers.remove("foregroundDeletion")
    if finalizers:
        held = "finalizers" if len(finalizers) > 1 else "finalizer"
        said.append(f"{held} {', '.join(finalizers)} not removed by its controller")
    return "; ".join(said) or "Kubernetes does not say why"


def _delete_stage(stage: Sequence[Doomed], cluster: Cluster) -> list[Doomed]:
    """Return what is on its way out."""

    def delete(doomed: Doomed) -> ClusterError | None:
        name = doomed.name
        try:
            cluster.delete(doomed.resource, name.namespace, name.name, doomed.uid)
        except TransientClusterError:
            raise
        except ClusterError as error:
            return explained_deletion(error, name, doomed.where)
        return None

    waiting: list[Doomed] = []
    problems: list[CodexctlError] = []
    for doomed, problem in in_parallel(delete, stage, limit=CONNECTIONS):
        if problem is None:
            waiting.append(doomed)
        else:
            problems.append(problem)
    if problems:
        raise CombinedError(sorted(problems, key=str))
    return waiting


def _looker(cluster: Cluster) -> Callable[[Doomed], Mapping[str, Any] | None]:
    def look(doomed: Doomed) -> Mapping[str, Any] | None:
        name = doomed.name
        found = cluster.get(doomed.resource, name.namespace, name.name)
        # Another UID is another object: an operator made it anew.
        is_it = found is not None and found["metadata"]["uid"] == doomed.uid
        return found if is_it else None

    return look
