"""
Pods that a controller is not allowed to create.

A Deployment and its ReplicaSet have a condition for it; StatefulSets, DaemonSets and Jobs tell it
by events alone, with growing gaps between their tries.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from codexctl_tasks.rollout.health import condition, missing_pods
from codexctl_tasks.rollout.symptoms import (
    GRACE_CREATE_ACCOUNT_S,
    GRACE_CREATE_QUOTA_S,
    GRACE_CREATE_QUOTA_SHARED_S,
    GRACE_CREATE_REFUSED_S,
    GRACE_CREATE_TROUBLE_S,
    NEVER_S,
    Baseline,
    Missing,
    Symptom,
    Trouble,
)
from codexctl_tasks.rollout.view import event_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from codexctl_tasks.rollout.view import View

    Object = Mapping[str, Any]

REVISION_ANNOTATION = "deployment.kubernetes.io/revision"
"""Tells which ReplicaSets of a Deployment are old."""
_NO_PODS = "pods cannot be created"
_QUOTA = "exceeded quota"
_REFUSALS = (
    (r"failed quota: .* must specify", GRACE_CREATE_REFUSED_S, "set resources on every container"),
    (_QUOTA, GRACE_CREATE_QUOTA_S, "raise the quota, or lower the requests of the stack"),
    (
        r"error looking up service account|no PriorityClass with name",
        GRACE_CREATE_ACCOUNT_S,
        "add it to the stack, or correct the name",
    ),
    (
        r"failed calling webhook",
        GRACE_CREATE_TROUBLE_S,
        "the webhook's own service does not answer; see its pods",
    ),
    (
        r"violates PodSecurity|is invalid|denied (the )?request|maximum .* usage|minimum .* usage",
        GRACE_CREATE_REFUSED_S,
        "the message names the rule; change the manifest, or the rule of the namespace",
    ),
)
"""What the API server says to a controller, in the order in which it is looked for."""
_ABSENT = (
    ("ServiceAccount", re.compile(r'serviceaccount "([^"]+)" not found')),
    ("PriorityClass", re.compile(r"no PriorityClass with name (\S+) was found")),
)


def creation_symptoms(found: Object, view: View, baseline: Baseline) -> Iterator[Symptom]:
    """Yield why pods of a workload cannot be created."""
    if found["kind"] == "Deployment":
        failure = condition(found, "ReplicaFailure")
        if failure.get("status") == "True":
            yield _refused(found, view, failure, str(failure.get("reason")))
        return
    if found["kind"] not in ("StatefulSet", "DaemonSet", "Job") or not missing_pods(found):
        return
    events = view.events_about(found["metadata"]["uid"])
    told = [e for e in events if e.get("reason") in ("FailedCreate", "SuccessfulCreate")]
    if told and told[-1]["reason"] == "FailedCreate":
        # Gaps between tries grow to 1,000 s: one from before our apply proves nothing yet.
        is_old = bool(baseline.begun) and event_time(told[-1]) < baseline.begun
        yield _refused(found, view, told[-1], "FailedCreate", is_old=is_old)


def _refused(
    found: Object, view: View, said: Object, reason: str, *, is_old: bool = False
) -> Symptom:
    message = " ".join(str(said.get("message") or "no reason given").split())
    rule = next((rule for rule in _REFUSALS if re.search(rule[0], message)), None)
    text, grace_s, hint = rule or ("", GRACE_CREATE_TROUBLE_S, "")
    if text == _QUOTA and _others_will_leave(found, view):
        grace_s = GRACE_CREATE_QUOTA_SHARED_S
    absent = [(kind, m[1]) for kind, pattern in _ABSENT if (m := pattern.search(message))]
    missing = Missing(*absent[0]) if absent else None
    return Symptom(
        trouble=Trouble.CREATE,
        headline=f"{missing.kind} {missing.name} is missing" if missing else _NO_PODS,
        cause=f"{message} ({reason})",
        hint=hint or "no pod exists that could show more; the message names who refuses it",
        grace_s=NEVER_S if is_old else grace_s,
        missing=missing,
    )


def _others_will_leave(found: Object, view: View) -> bool:
    """Tell whether pods are going that count against the quota now."""
    revision = (found["metadata"].get("annotations") or {}).get(REVISION_ANNOTATION)
    old = [
        each
        for each in view.owned_by(found["metadata"]["uid"], "ReplicaSet")
        if (each["metadata"].get("annotations") or {}).get(REVISION_ANNOTATION) != revision
    ]
    return view.has_leaving_pods(found["metadata"].get("namespace", "")) or any(
        (each.get("status") or {}).get("replicas") for each in old
    )
