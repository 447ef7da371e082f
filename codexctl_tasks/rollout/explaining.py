"""
What is wrong in a namespace right now, judged from one look: nothing is known about before.

Graces need time, which one look does not have: whatever would fail a rollout in the end is called
failed at once. Restarts of old count as well: who asks wants to know about them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import Location
from codexctl_tasks.rollout.examination import beside, find_symptoms, new_pods
from codexctl_tasks.rollout.health import assess
from codexctl_tasks.rollout.judge import State, Verdict
from codexctl_tasks.rollout.pods import fails_liveness
from codexctl_tasks.rollout.settling import Runs
from codexctl_tasks.rollout.symptoms import NEVER_S, Baseline, Trouble
from codexctl_tasks.rollout.target import Target
from codexctl_tasks.stack.manifests import ObjectName

if TYPE_CHECKING:
    from collections.abc import Mapping
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
    doubted = [pod["metadata"]["uid"] for pod in pods if fails_liveness(pod, view)]
    if health.ready and not Runs().settles_in_s(pods, 0.0, server, doubted) > 0:
        return Verdict(target, State.READY, health.detail, warning=health.warning)
    if not symptoms:
        return Verdict(target, State.WAITING, health.detail)
    worst = symptoms[0]
    is_broken = worst.grace_s < NEVER_S or worst.trouble in (Trouble.CRASH, Trouble.DEADLINE)
    detail = worst.headline if is_broken else f"{health.detail}: {worst.headline}"
    state = State.FAILED if is_broken else State.WAITING
    return Verdict(target, state, detail, tuple(symptoms), told=frozenset(symptoms))
