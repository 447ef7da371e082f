"""
Every symptom of an object: its own conditions, and those of its newest pods.

Pods of old revisions and pods that are being deleted are left out: they end in ugly ways
(exit code 137, phase Failed) that say nothing about the rollout. The one exception are broken old
pods of a StatefulSet, which its controller never replaces.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from codexctl_tasks.rollout.claims import claim_symptoms, waits_for_consumer
from codexctl_tasks.rollout.containers import container_symptoms
from codexctl_tasks.rollout.creation import REVISION_ANNOTATION, creation_symptoms
from codexctl_tasks.rollout.custom import is_broken
from codexctl_tasks.rollout.health import Beside, condition, condition_holds
from codexctl_tasks.rollout.pods import pod_symptoms
from codexctl_tasks.rollout.symptoms import (
    CRASH_LIMIT,
    CRASH_LIMIT_BESIDE_READY,
    GRACE_BLOCKED_S,
    GRACE_CUSTOM_S,
    GRACE_DEFINITION_S,
    GRACE_PERMANENT_S,
    NEVER_S,
    OLD_CRASHES,
    Baseline,
    Symptom,
    Trouble,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from codexctl_tasks.rollout.target import Target
    from codexctl_tasks.rollout.view import View

    Object = Mapping[str, Any]

READY_BESIDE_S = 60.0
"""For so long after a pod of a Deployment was ready its others may crash once more."""
_STUCK_PODS = frozenset({Trouble.PULL, Trouble.CONFIG, Trouble.START, Trouble.CRASH})
_NOBODY = Baseline(restarts={})


def find_symptoms(target: Target, found: Object, view: View, baseline: Baseline) -> list[Symptom]:
    """Return every symptom an object shows right now."""
    symptoms = list(_own_symptoms(target, found, view, baseline))
    limit = _crash_limit(target, found, baseline)
    for pod in new_pods(found, view):
        symptoms += pod_symptoms(pod, view, baseline, limit)
    if found["kind"] == "StatefulSet":
        symptoms += _blocking_symptoms(found, view)
    return symptoms


def new_pods(found: Object, view: View) -> list[Object]:
    """Return the living pods of the newest revision of a workload."""
    kind = found["kind"]
    if kind == "Pod":
        return [found]
    if kind == "Deployment":
        # A rollback gives an old ReplicaSet the newest revision again: age tells nothing.
        owned = view.owned_by(found["metadata"]["uid"], "ReplicaSet")
        newest = [each for each in owned if _revision(each) == _revision(found)]
        return [pod for replica_set in newest for pod in _living(view, replica_set)]
    label, revision = _pod_revision(found)
    return [p for p in _living(view, found) if not revision or _label(p, label) == revision]


def beside(found: Object, view: View) -> Beside:
    """Return what the status of an object does not tell."""
    if found["kind"] == "PersistentVolumeClaim":
        return Beside(waits_for_consumer=waits_for_consumer(found, view))
    if found["kind"] != "DaemonSet":
        return Beside()
    unready = [pod for pod in _living(view, found) if not condition_holds(pod, "Ready")]
    return Beside(unreachable=sum(view.is_node_unready(_node_of(pod)) for pod in unready))


def _living(view: View, owner: Object) -> list[Object]:
    pods = view.owned_by(owner["metadata"]["uid"], "Pod")
    return [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]


def _crash_limit(target: Target, found: Object, baseline: Baseline) -> int:
    """Return after how many restarts a crash is fatal; 0: somebody else decides."""
    if found["kind"] == "Job":
        return 0  # its own backoffLimit decides
    if target.crash_limit:
        return target.crash_limit
    has_ready_pods = found["kind"] == "Deployment" and baseline.unready_s < READY_BESIDE_S
    return CRASH_LIMIT_BESIDE_READY if has_ready_pods else CRASH_LIMIT


def _own_symptoms(
    target: Target, found: Object, view: View, baseline: Baseline
) -> Iterator[Symptom]:
    kind = found["kind"]
    if broken := is_broken(found, target.failed_when) if target.has_rules else None:
        yield _custom_failed(found, broken.text, broken.why(found))
    if kind == "Job":
        # FailureTarget comes first; Failed follows when the last pod has stopped.
        said = [condition(found, "FailureTarget"), condition(found, "Failed")]
        yield from [_job_failed(c) for c in said if c.get("status") == "True"][:1]
    elif kind == "Deployment":
        progressing = condition(found, "Progressing")
        if progressing.get("reason") == "ProgressDeadlineExceeded":
            yield _deadline_exceeded(target, found, progressing, baseline)
    elif kind == "PersistentVolumeClaim":
        yield from claim_symptoms(found, view)
    elif kind == "CustomResourceDefinition":
        yield from _definition_symptoms(found)
    yield from creation_symptoms(found, view, baseline)


def _blocking_symptoms(found: Object, view: View) -> Iterator[Symptom]:
    """Yield pods of the old revision that a StatefulSet waits for, in vain."""
    spec = found["spec"]
    strategy = (spec.get("updateStrategy") or {}).get("type", "RollingUpdate")
    if spec.get("podManagementPolicy") == "Parallel" or strategy != "RollingUpdate":
        return
    new = {pod["metadata"]["uid"] for pod in new_pods(found, view)}
    for pod in _living(view, found):
        if pod["metadata"]["uid"] in new:
            continue
        for symptom in container_symptoms(pod, _NOBODY, OLD_CRASHES):
            if symptom.trouble in _STUCK_PODS:
                yield replace(
                    symptom,
                    trouble=Trouble.BLOCKED,
                    headline="a broken pod of the old revision is in the way",
                    cause=f"pod {symptom.site.pod} is never replaced: {symptom.cause}",
                    hint=f"kubectl delete pod {symptom.site.pod}: the new revision then takes over",
                    grace_s=GRACE_BLOCKED_S if _stays(symptom) else NEVER_S,
                    missing=None,
                )


def _stays(symptom: Symptom) -> bool:
    return symptom.trouble is not Trouble.CRASH or symptom.grace_s < NEVER_S


def _custom_failed(found: Object, rule: str, why: str) -> Symptom:
    return Symptom(
        trouble=Trouble.CUSTOM,
        headline=f"{found['kind']} failed",
        cause=why or rule,
        grace_s=GRACE_CUSTOM_S,
        hint=f"its controller says so ({rule})",
    )


def _job_failed(failed: Mapping[str, Any]) -> Symptom:
    return Symptom(
        trouble=Trouble.JOB,
        headline="job failed",
        cause=f"{failed.get('message') or 'the job gave up'} ({failed.get('reason')})",
        hint="a failed Job must be deleted before it can run again",
        grace_s=GRACE_PERMANENT_S,
    )


def _deadline_exceeded(
    target: Target, found: Object, progressing: Mapping[str, Any], baseline: Baseline
) -> Symptom:
    """Fail only by a deadline that the manifest sets; the default of 600 s is merely named."""
    chosen = target.progress_deadline_s
    due = chosen is not None and baseline.elapsed_s >= chosen
    return Symptom(
        trouble=Trouble.DEADLINE,
        headline=f"no progress for {found['spec'].get('progressDeadlineSeconds')} s",
        cause=f"{progressing.get('message')} (ProgressDeadlineExceeded)",
        hint="its pods tell more; raise progressDeadlineSeconds if it only needs longer",
        grace_s=GRACE_PERMANENT_S if due else NEVER_S,
    )


def _definition_symptoms(found: Object) -> Iterator[Symptom]:
    for name in ("NamesAccepted", "Established"):
        said = condition(found, name)
        if said.get("status") == "False" and said.get("reason") != "Installing":
            yield Symptom(
                trouble=Trouble.DEFINITION,
                headline="custom kind is not accepted",
                cause=f"{said.get('message')} ({said.get('reason')})",
                grace_s=GRACE_DEFINITION_S,
                hint="another CustomResourceDefinition uses the name: rename one of them",
            )
            return


def _pod_revision(found: Object) -> tuple[str, str]:
    """Return label and value that tell the newest pods of a workload; empty: all are."""
    if found["kind"] == "StatefulSet":
        revision = str((found.get("status") or {}).get("updateRevision", ""))
        return "controller-revision-hash", revision
    if found["kind"] == "DaemonSet":
        generation = _annotation(found, "deprecated.daemonset.template.generation")
        return "pod-template-generation", generation
    return "", ""


def _node_of(pod: Object) -> str:
    """Return the node a pod of a DaemonSet is on, or is meant for."""
    spec = pod.get("spec") or {}
    if spec.get("nodeName"):
        return str(spec["nodeName"])
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    names = [
        value
        for term in required.get("nodeSelectorTerms") or ()
        for field in term.get("matchFields") or ()
        if field.get("key") == "metadata.name"
        for value in field.get("values") or ()
    ]
    return str(names[0]) if names else ""


def _label(pod: Object, name: str) -> str:
    return str((pod["metadata"].get("labels") or {}).get(name, ""))


def _annotation(found: Object, name: str) -> str:
    return str((found["metadata"].get("annotations") or {}).get(name, ""))


def _revision(found: Object) -> str:
    """Return the revision that a Deployment is at, or that a ReplicaSet stands for."""
    return _annotation(found, REVISION_ANNOTATION)
