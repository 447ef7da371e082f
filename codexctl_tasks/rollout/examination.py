"""
Every symptom of a workload: its own conditions, and those of its newest pods.

Pods of old revisions and pods that are being deleted are left out: they end in ugly ways
(exit code 137, phase Failed) that say nothing about the rollout.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from codexctl_tasks.rollout.containers import pod_symptoms
from codexctl_tasks.rollout.health import condition, condition_holds
from codexctl_tasks.rollout.symptoms import (
    CRASH_LIMIT,
    CRASH_LIMIT_BESIDE_READY,
    GRACE_CREATE_ACCOUNT_S,
    GRACE_CREATE_QUOTA_S,
    GRACE_CREATE_REFUSED_S,
    GRACE_CREATE_TROUBLE_S,
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

_CREATE_GRACES = (
    (r"failed quota: .* must specify", GRACE_CREATE_REFUSED_S),
    (r"exceeded quota", GRACE_CREATE_QUOTA_S),
    (r"error looking up service account|no PriorityClass with name", GRACE_CREATE_ACCOUNT_S),
    (r"failed calling webhook", GRACE_CREATE_TROUBLE_S),
    (
        r"violates PodSecurity|is invalid|denied (the )?request|maximum .* usage|minimum .* usage",
        GRACE_CREATE_REFUSED_S,
    ),
)
"""What the API server says to a controller, in the order in which it is looked for."""


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
    if kind == "Deployment":
        # A rollback gives an old ReplicaSet the newest revision again: age tells nothing.
        newest = [r for r in view.owned_by(uid, "ReplicaSet") if _revision(r) == _revision(found)]
        return [pod for replica_set in newest for pod in _living(view, replica_set)]
    label, revision = "", ""
    if kind == "StatefulSet":
        label = "controller-revision-hash"
        revision = str((found.get("status") or {}).get("updateRevision", ""))
    elif kind == "DaemonSet":
        label = "pod-template-generation"
        revision = _annotation(found, "deprecated.daemonset.template.generation")
    return [p for p in _living(view, found) if not revision or _label(p, label) == revision]


def _living(view: View, owner: Object) -> list[Object]:
    pods = view.owned_by(owner["metadata"]["uid"], "Pod")
    return [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]


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
        if condition_holds(found, "ReplicaFailure"):
            yield _creation_refused(condition(found, "ReplicaFailure"))


def _creation_refused(failure: Mapping[str, Any]) -> Symptom:
    message = str(failure.get("message") or "no reason given")
    grace_s = next((g for text, g in _CREATE_GRACES if re.search(text, message)), None)
    return Symptom(
        trouble=Trouble.CREATE,
        headline="pods cannot be created",
        cause=f"{message} ({failure.get('reason')})",
        hint="no pod exists that could show more; the message names who refuses it",
        grace_s=GRACE_CREATE_TROUBLE_S if grace_s is None else grace_s,
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


def _label(pod: Object, name: str) -> str:
    return str((pod["metadata"].get("labels") or {}).get(name, ""))


def _annotation(found: Object, name: str) -> str:
    return str((found["metadata"].get("annotations") or {}).get(name, ""))


def _revision(found: Object) -> str:
    """Return the revision that a Deployment is at, or that a ReplicaSet stands for."""
    return _annotation(found, "deployment.kubernetes.io/revision")
