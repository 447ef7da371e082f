"""
Every symptom of a workload: its own conditions, and those of its newest pods.

Pods of old revisions and pods that are being deleted are left out: they end in ugly ways
(exit code 137, phase Failed) that say nothing about the rollout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codexctl_tasks.rollout.containers import pod_symptoms
from codexctl_tasks.rollout.health import condition, condition_holds
from codexctl_tasks.rollout.symptoms import (
    CRASH_LIMIT,
    CRASH_LIMIT_BESIDE_READY,
    GRACE_PERMANENT_S,
    NEVER_S,
    Baseline,
    Symptom,
    Trouble,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from codexctl_tasks.rollout.target import Target
    from codexctl_tasks.rollout.view import View

    Object = Mapping[str, Any]


def find_symptoms(target: Target, found: Object, view: View, baseline: Baseline) -> list[Symptom]:
    """Return every symptom a workload shows right now."""
    symptoms = list(_own_symptoms(target, found, baseline))
    pods = new_pods(found, view)
    ready_beside = any(condition_holds(pod, "Ready") for pod in pods)
    limit = (
        CRASH_LIMIT_BESIDE_READY if ready_beside and found["kind"] == "Deployment" else CRASH_LIMIT
    )
    if found["kind"] == "Job":
        limit = 0  # its own backoffLimit decides about crashes
    for pod in pods:
        symptoms += pod_symptoms(pod, view, baseline, limit)
    return symptoms


def new_pods(found: Object, view: View) -> list[Object]:
    """Return the living pods of the newest revision of a workload."""
    uid, kind = found["metadata"]["uid"], found["kind"]
    if kind == "Pod":
        return [found]
    owner, revision = uid, ""
    if kind == "Deployment":
        sets = view.owned_by(uid, "ReplicaSet")
        if not sets:
            return []
        owner = max(sets, key=_revision)["metadata"]["uid"]
    elif kind == "StatefulSet":
        revision = (found.get("status") or {}).get("updateRevision", "")
    return [
        pod
        for pod in view.owned_by(owner, "Pod")
        if not pod["metadata"].get("deletionTimestamp")
        and (not revision or _label(pod, "controller-revision-hash") == revision)
    ]


def _own_symptoms(target: Target, found: Object, baseline: Baseline) -> Iterator[Symptom]:
    if found["kind"] == "Job":
        # FailureTarget comes first; Failed follows when the last pod has stopped.
        for kind in ("FailureTarget", "Failed"):
            failed = condition(found, kind)
            if failed.get("status") == "True":
                yield _job_failed(failed)
                return
    elif found["kind"] == "Deployment":
        progressing = condition(found, "Progressing")
        if progressing.get("reason") == "ProgressDeadlineExceeded":
            yield _deadline_exceeded(target, found, progressing, baseline)


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


def _label(pod: Object, name: str) -> str:
    return str((pod["metadata"].get("labels") or {}).get(name, ""))


def _revision(replica_set: Object) -> int:
    """Return the revision number; a rollback gives an old ReplicaSet the highest one again."""
    annotations = replica_set["metadata"].get("annotations") or {}
    return int(annotations.get("deployment.kubernetes.io/revision") or 0)
