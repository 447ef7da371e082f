"""
When an object is ready: pure functions of its status, one per kind.

Rules follow the controllers' own definition of a complete rollout
(https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#complete-deployment).
``Progressing`` and ``Available`` are not used: they may still speak of the old revision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codexctl_tasks.rollout.custom import is_broken, what_is_missing

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
    warning: str = ""
    """What a person should know although it counts as ready."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What the status of an object does not tell, but decides about its readiness."""

    unreachable: int = 0
    """Pods of a DaemonSet that are not ready because their node is not."""
    waits_for_consumer: bool = False
    """A volume claim is bound as soon as a pod uses it, not before."""


def assess(target: Target, found: Object | None, beside: Beside = Beside()) -> Health:
    """
    Judge readiness from the newest status that the watch has shown.

    Args:
        target: What is waited for.
        found: The object; None: it does not exist, or was not seen yet.
        beside: What its status does not tell.
    """
    if found is None or not is_current(target, found):
        return Health(ready=False, detail="just applied")
    if target.has_rules and (broken := is_broken(found, target.failed_when)):
        return Health(ready=False, detail=f"{broken.text} holds")
    if target.ready_when:
        return _custom(target, found)
    if target.name.kind == "DaemonSet":
        return _daemon_set(found, beside.unreachable)
    if beside.waits_for_consumer:
        return Health(ready=True, detail="is bound when a pod uses it")
    rule = _RULES.get((target.name.kind, target.group))
    return rule(found) if rule else _custom(target, found)


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


def missing_pods(found: Object) -> bool:
    """Tell whether a StatefulSet, DaemonSet or Job has fewer pods than it should have."""
    spec, status = found["spec"], found.get("status") or {}
    if found["kind"] == "StatefulSet":
        return _counts(status, "replicas")[0] < int(spec.get("replicas", 1))
    if found["kind"] == "DaemonSet":
        present, wanted = _counts(status, "currentNumberScheduled", "desiredNumberScheduled")
        return present < wanted
    active, succeeded = _counts(status, "active", "succeeded")
    wanted = int(spec.get("completions") or 1) - succeeded
    return active < min(int(spec.get("parallelism", 1)), wanted)


def _observed_generation(found: Object) -> int:
    """Return which generation the status speaks of; kinds that do not tell speak of the newest."""
    observed = (found.get("status") or {}).get("observedGeneration")
    generation = int(found["metadata"].get("generation") or 0)
    if observed is not None:
        return int(observed)
    return 0 if (found["kind"], _group(found)) in _OBSERVED else generation


def _group(found: Object) -> str:
    group, slash, _ = str(found.get("apiVersion") or "").rpartition("/")
    return group if slash else ""


def _deployment(found: Object) -> Health:
    spec, status = found["spec"], found.get("status") or {}
    wanted = int(spec.get("replicas", 1))
    updated, total, available = _counts(status, "updatedReplicas", "replicas", "availableReplicas")
    if spec.get("paused"):
        warning = "paused: its rollout does not go on"
        return Health(ready=True, detail=warning, warning=warning)
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
        return _on_delete()
    if ready < wanted or total != wanted:
        return Health(ready=False, detail=f"{ready} of {_pods(wanted)} ready")
    same_revision = status.get("currentRevision") == status.get("updateRevision")
    if updated < wanted - partition or (not partition and wanted and not same_revision):
        return Health(ready=False, detail=f"{updated} of {_pods(wanted - partition)} updated")
    return Health(ready=True, detail=f"{ready} of {_pods(wanted)} ready")


def _daemon_set(found: Object, unreachable: int) -> Health:
    status = found.get("status") or {}
    strategy = found["spec"].get("updateStrategy") or {}
    desired, updated, available = _counts(
        status, "desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable"
    )
    if strategy.get("type") == "OnDelete":
        return _on_delete()
    wanted = max(desired - unreachable, 0)
    warning = f"{_pods(unreachable)} on nodes that are not ready" if unreachable else ""
    if updated < wanted:
        return Health(ready=False, detail=f"{updated} of {_pods(wanted)} updated")
    ready = available >= wanted
    return Health(ready, f"{available} of {_pods(wanted)} ready", warning if ready else "")


def _on_delete() -> Health:
    detail = "updateStrategy OnDelete: pods change when they are deleted"
    return Health(ready=True, detail=detail, warning=detail)


def _job(found: Object) -> Health:
    status = found.get("status") or {}
    if condition_holds(found, "Complete") or condition_holds(found, "SuccessCriteriaMet"):
        return Health(ready=True, detail="complete")
    if found["spec"].get("suspend"):
        return Health(ready=True, detail="suspended", warning="suspended: it does not run")
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


def _claim(found: Object) -> Health:
    phase = (found.get("status") or {}).get("phase", "Pending")
    return Health(ready=phase == "Bound", detail=str(phase).lower())


def _definition(found: Object) -> Health:
    established = condition_holds(found, "Established") and condition_holds(found, "NamesAccepted")
    return Health(ready=established, detail="established" if established else "not established yet")


def _api_service(found: Object) -> Health:
    available = condition(found, "Available")
    if available.get("status") == "True":
        return Health(ready=True, detail="available")
    why = f": {available['message']}" if available.get("message") else ""
    return Health(ready=False, detail=f"not available{why}")


def _service(found: Object) -> Health:
    if found["spec"].get("type") != "LoadBalancer":
        return Health(ready=True, detail="exists")
    ingress = ((found.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    address = next((each.get("ip") or each.get("hostname") for each in ingress), None)
    if address:
        return Health(ready=True, detail=f"address {address}")
    return Health(ready=False, detail="no address from the load balancer yet")


def _custom(target: Target, found: Object) -> Health:
    missing = what_is_missing(found, target.ready_when)
    if missing is None:
        return Health(ready=True, detail="ready" if target.ready_when else "exists")
    return Health(ready=False, detail=missing)


_RULES: dict[tuple[str, str], Callable[[Object], Health]] = {
    ("Deployment", "apps"): _deployment,
    ("StatefulSet", "apps"): _stateful_set,
    ("Job", "batch"): _job,
    ("Pod", ""): _pod,
    ("PersistentVolumeClaim", ""): _claim,
    ("Service", ""): _service,
    ("CustomResourceDefinition", "apiextensions.k8s.io"): _definition,
    ("APIService", "apiregistration.k8s.io"): _api_service,
}
_OBSERVED = frozenset({("Deployment", "apps"), ("StatefulSet", "apps"), ("DaemonSet", "apps")})
"""Kinds whose status counts only once it says which generation it speaks of."""


def _counts(status: Mapping[str, Any], *keys: str) -> list[int]:
    """Read counters; the API leaves out those that are zero."""
    return [int(status.get(key) or 0) for key in keys]


def _pods(count: int) -> str:
    return "1 pod" if count == 1 else f"{count} pods"
