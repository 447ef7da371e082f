"""
When a workload is ready: pure functions of its status, one per kind.

Rules follow the controllers' own definition of a complete rollout
(https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#complete-deployment).
``Progressing`` and ``Available`` are not used: they may still speak of the old revision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from codexctl_tasks.rollout.target import Target

    Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Health:
    """How far a rollout has come."""

    ready: bool
    detail: str
    """What it still waits for, or what makes it ready, in a few words."""


def assess(target: Target, found: Object | None) -> Health:
    """Judge readiness from the newest status that the watch has shown."""
    if found is None:
        return Health(ready=False, detail="just applied")
    if found["metadata"]["uid"] != target.uid:
        return Health(ready=False, detail="replaced by another object of the same name")
    if _observed_generation(found) < target.generation:
        return Health(ready=False, detail="just applied")
    return _RULES[target.name.kind](found)


def is_current(target: Target, found: Object) -> bool:
    """Tell whether an object, status included, is as our apply left it, or newer."""
    same = found["metadata"]["uid"] == target.uid
    return bool(same and _observed_generation(found) >= target.generation)


def condition(found: Object, kind: str) -> Mapping[str, Any]:
    """Return the status condition of this type, empty if it is not set."""
    for candidate in (found.get("status") or {}).get("conditions") or ():
        if candidate["type"] == kind:
            present: Mapping[str, Any] = candidate
            return present
    return {}


def condition_holds(found: Object, kind: str) -> bool:
    """Tell whether a status condition is true."""
    return condition(found, kind).get("status") == "True"


def _observed_generation(found: Object) -> int:
    observed = (found.get("status") or {}).get("observedGeneration")
    if observed is None and found["kind"] in ("Job", "Pod"):
        return int(found["metadata"].get("generation") or 0)
    return int(observed or 0)


def _deployment(found: Object) -> Health:
    spec, status = found["spec"], found.get("status") or {}
    wanted = int(spec.get("replicas", 1))
    updated, total, available = _counts(status, "updatedReplicas", "replicas", "availableReplicas")
    if spec.get("paused"):
        return Health(ready=True, detail="paused: its rollout does not go on")
    if updated < wanted:
        return Health(
            ready=False, detail=f"{updated} of {_pods(wanted)} created from the new template"
        )
    if available < wanted:
        return Health(ready=False, detail=f"{available} of {_pods(wanted)} ready")
    if total > wanted:
        return Health(
            ready=False, detail=f"{_pods(total - wanted)} of the old template still there"
        )
    return Health(ready=True, detail=f"{available} of {_pods(wanted)} ready")


def _stateful_set(found: Object) -> Health:
    spec, status = found["spec"], found.get("status") or {}
    wanted = int(spec.get("replicas", 1))
    strategy = spec.get("updateStrategy") or {}
    partition = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
    updated, total, ready = _counts(status, "updatedReplicas", "replicas", "readyReplicas")
    if strategy.get("type") == "OnDelete":
        return Health(
            ready=True, detail="updateStrategy OnDelete: pods change when they are deleted"
        )
    if ready < wanted or total != wanted:
        return Health(ready=False, detail=f"{ready} of {_pods(wanted)} ready")
    same_revision = status.get("currentRevision") == status.get("updateRevision")
    if updated < wanted - partition or (not partition and wanted and not same_revision):
        return Health(ready=False, detail=f"{updated} of {_pods(wanted - partition)} updated")
    return Health(ready=True, detail=f"{ready} of {_pods(wanted)} ready")


def _daemon_set(found: Object) -> Health:
    status = found.get("status") or {}
    strategy = found["spec"].get("updateStrategy") or {}
    wanted, updated, available = _counts(
        status, "desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable"
    )
    if strategy.get("type") == "OnDelete":
        return Health(
            ready=True, detail="updateStrategy OnDelete: pods change when they are deleted"
        )
    if updated < wanted:
        return Health(ready=False, detail=f"{updated} of {_pods(wanted)} updated")
    return Health(ready=available >= wanted, detail=f"{available} of {_pods(wanted)} ready")


def _job(found: Object) -> Health:
    status = found.get("status") or {}
    if condition_holds(found, "Complete") or condition_holds(found, "SuccessCriteriaMet"):
        return Health(ready=True, detail="complete")
    if found["spec"].get("suspend"):
        return Health(ready=True, detail="suspended")
    wanted = int(found["spec"].get("completions") or 1)
    done, active = _counts(status, "succeeded", "active")
    running = f", {active} running" if active else ""
    return Health(ready=False, detail=f"{done} of {wanted} completions{running}")


def _pod(found: Object) -> Health:
    phase = (found.get("status") or {}).get("phase", "Pending")
    if phase == "Succeeded":
        return Health(ready=True, detail="succeeded")
    if found["spec"].get("restartPolicy", "Always") != "Always":
        return Health(ready=False, detail=f"runs to its end, {str(phase).lower()} now")
    ready = condition_holds(found, "Ready")
    return Health(ready=ready, detail="ready" if ready else f"{str(phase).lower()}, not ready")


_RULES: dict[str, Callable[[Object], Health]] = {
    "Deployment": _deployment,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "Job": _job,
    "Pod": _pod,
}


def _counts(status: Mapping[str, Any], *keys: str) -> list[int]:
    """Read counters; the API leaves out those that are zero."""
    return [int(status.get(key) or 0) for key in keys]


def _pods(count: int) -> str:
    return "1 pod" if count == 1 else f"{count} pods"
