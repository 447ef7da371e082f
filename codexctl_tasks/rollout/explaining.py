"""
What is wrong in a namespace right now, judged from one look: nothing is known about before.

Graces need time, which one look does not have: whatever would fail a rollout in the end is called
failed at once. Restarts of old count as well: who asks wants to know about them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import Location
from codexctl_tasks.rollout.containers import restart_counts
from codexctl_tasks.rollout.examination import beside, find_symptoms, new_pods
from codexctl_tasks.rollout.health import assess
from codexctl_tasks.rollout.judge import State, Verdict
from codexctl_tasks.rollout.pods import fails_liveness
from codexctl_tasks.rollout.settling import Runs
from codexctl_tasks.rollout.symptoms import NEVER_S, Baseline, Trouble
from codexctl_tasks.rollout.target import Target
from codexctl_tasks.stack.manifests import ObjectName

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from codexctl_tasks.rollout.view import View
    from codexctl_tasks.world.cluster import Resource

    Object = Mapping[str, Any]

_FROM_THE_START = Baseline(restarts={})


def target_of_found(resource: Resource, found: Object, location: Location | None) -> Target:
    """
    Return the target for an object as it is in the cluster.

    Args:
        resource: Its kind.
        found: The object.
        location: Where its manifest is written, None if that is not known.
    """
    metadata = found["metadata"]
    deadline = (found.get("spec") or {}).get("progressDeadlineSeconds")
    return Target(
        name=ObjectName(
            resource.api_version, resource.kind, metadata.get("namespace", ""), metadata["name"]
        ),
        uid=metadata["uid"],
        generation=int(metadata.get("generation") or 0),
        is_changed=False,
        progress_deadline_s=deadline,
        location=location or Location(""),
    )


def explain(target: Target, view: View, server: datetime | None) -> Verdict:
    """Return what one look tells about an object; *view* must be complete."""
    name = target.name
    found = view.find(name.kind, name.namespace, name.name)
    if found is None:
        return Verdict(target, State.WAITING, "does not exist")
    pods = new_pods(found, view)
    health = assess(target, found, beside(found, view))
    symptoms = sorted(
        find_symptoms(target, found, view, _FROM_THE_START), key=lambda s: (s.grace_s, s.headline)
    )
    if health.ready and not _is_doubted(pods, view, server):
        return Verdict(target, State.READY, health.detail, warning=health.warning)
    if not symptoms:
        why = ": a container has just been restarted" if health.ready else ""
        return Verdict(target, State.WAITING, f"{health.detail}{why}")
    worst = symptoms[0]
    is_broken = worst.grace_s < NEVER_S or worst.trouble in (Trouble.CRASH, Trouble.DEADLINE)
    detail = worst.headline if is_broken else f"{health.detail}: {worst.headline}"
    state = State.FAILED if is_broken else State.WAITING
    return Verdict(target, state, detail, tuple(symptoms), told=frozenset(symptoms))


def _is_doubted(pods: Sequence[Object], view: View, server: datetime | None) -> bool:
    """Tell whether a container that nobody probes runs only since its last crash, or is failing."""
    failing = [pod["metadata"]["uid"] for pod in pods if fails_liveness(pod, view)]
    restarted = [
        pod
        for pod in pods
        if pod["metadata"]["uid"] in failing or any(count for _, count in restart_counts(pod))
    ]
    return Runs().settles_in_s(restarted, 0.0, server, failing) > 0
