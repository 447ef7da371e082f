"""Symptoms of pods as a whole: what the scheduler, the kubelet and the events say about them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from codexctl_tasks.rollout.claims import claim_symptoms
from codexctl_tasks.rollout.containers import (
    configuration_symptom,
    container_statuses,
    container_symptoms,
    service_containers,
    site_of,
)
from codexctl_tasks.rollout.health import condition, condition_holds
from codexctl_tasks.rollout.pulls import last_words
from codexctl_tasks.rollout.symptoms import (
    GRACE_CLAIM_MISSING_S,
    GRACE_PERMANENT_S,
    GRACE_UNSCHEDULABLE_S,
    NEVER_S,
    Baseline,
    Missing,
    Symptom,
    Trouble,
)
from codexctl_tasks.rollout.view import event_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from codexctl_tasks.rollout.view import View

    Object = Mapping[str, Any]

TELL_UNSCHEDULABLE_AFTER_S = 1.5
"""While a volume binds every pod is unschedulable for a moment."""
TELL_SANDBOX_AFTER_S = 2.5
"""The network of a fresh node fails a first try or two."""
TELL_PULLING_AFTER_S = 20.0
"""Most images are there by then."""
TELL_PROBE_AFTER_S = 2.0
"""Many programs fail their first probe; those that take longer to start are worth a line."""
_MOUNT = re.compile(r"references non-existent config key|hostPath type check failed")
_KILLED = re.compile(r"failed (liveness|startup) probe")
_CLAIM = re.compile(r'persistentvolumeclaim "([^"]+)" not found')
_SENT_AWAY = ("Evicted", "NodeLost", "Preempting", "Terminated", "UnexpectedAdmissionError")
_CREATING = ("ContainerCreating", "PodInitializing")


def pod_symptoms(pod: Object, view: View, baseline: Baseline, limit: int) -> Iterator[Symptom]:
    """
    Yield what is wrong with a pod, and what it waits for.

    Args:
        pod: As the watch has shown it.
        view: For its events and volume claims.
        baseline: How things stood when the wait began.
        limit: Restarts from which on a crash is fatal; 0: somebody else decides.
    """
    if (pod.get("status") or {}).get("phase") == "Failed":
        if failed := _failed(pod):
            yield failed
        else:
            yield from container_symptoms(pod, baseline, limit)
        return
    yield from _scheduling_symptoms(pod, view)
    for symptom in container_symptoms(pod, baseline, limit):
        yield _with_killer(symptom, pod, view) if symptom.trouble is Trouble.CRASH else symptom
    if is_creating(pod):
        yield from _creation_symptoms(pod, view)
    elif not condition_holds(pod, "Ready") or fails_liveness(pod, view):
        yield from _probe_symptoms(pod, view)


def fails_liveness(pod: Object, view: View) -> bool:
    """Tell whether a container that runs now has failed its liveness probe already."""
    started = [
        str((status.get("state") or {})["running"].get("startedAt") or "")
        for status in container_statuses(pod)
        if (status.get("state") or {}).get("running")
    ]
    return any(
        event.get("reason") == "Unhealthy"
        and str(event.get("message") or "").startswith("Liveness")
        and event_time(event) >= max(started, default="")
        for event in view.events_about(pod["metadata"]["uid"])
    )


def is_creating(pod: Object) -> bool:
    """Tell whether a pod has a node, and no container of it has been started yet."""
    statuses = list(container_statuses(pod))
    return condition_holds(pod, "PodScheduled") and (
        not statuses
        or any(
            ((status.get("state") or {}).get("waiting") or {}).get("reason") in _CREATING
            for status in statuses
        )
    )


def _failed(pod: Object) -> Symptom | None:
    """Explain a failed pod; None if it only ended, and whoever made it makes another one."""
    status = pod.get("status") or {}
    is_bare = pod["metadata"].get("ownerReferences") is None
    is_evicted = status.get("reason") in _SENT_AWAY
    if not is_bare and not is_evicted:
        return None
    exited = [s for s in container_statuses(pod) if _exit(s).get("exitCode")]
    said = status.get("message") or _first_exit(exited) or status.get("reason") or "failed"
    return Symptom(
        trouble=Trouble.EVICTION if is_evicted else Trouble.POD,
        headline="pod was sent away from its node" if is_evicted else "pod failed",
        cause=" ".join(str(said).split()) + (f" ({status['reason']})" if is_evicted else ""),
        grace_s=GRACE_PERMANENT_S if is_bare else NEVER_S,
        hint="" if is_evicted else "see the log for why it ended",
        site=site_of(pod, exited[0]["name"] if exited else ""),
    )


def _scheduling_symptoms(pod: Object, view: View) -> Iterator[Symptom]:
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") != "False" or scheduled.get("reason") != "Unschedulable":
        return
    for claim in _claims(pod, view):
        yield from claim_symptoms(claim, view, site=site_of(pod))
    message = " ".join(str(scheduled.get("message") or "no reason given").split())
    claim_name = _CLAIM.search(message)
    events = view.events_about(pod["metadata"]["uid"])
    grows = any(event.get("reason") == "TriggeredScaleUp" for event in events)
    grace_s = GRACE_CLAIM_MISSING_S if claim_name else GRACE_UNSCHEDULABLE_S
    yield Symptom(
        trouble=Trouble.SCHEDULE,
        headline=(
            f"PersistentVolumeClaim {claim_name[1]} is missing" if claim_name else "unschedulable"
        ),
        cause=f"{message} (Unschedulable{', a node is on its way' if grows else ''})",
        grace_s=NEVER_S if grows else grace_s,
        tell_after_s=TELL_UNSCHEDULABLE_AFTER_S,
        hint=(
            "add the claim to the stack, or create it before the deploy"
            if claim_name
            else "compare the pod's requests, nodeSelector and tolerations with the nodes"
        ),
        missing=Missing("PersistentVolumeClaim", claim_name[1]) if claim_name else None,
        site=site_of(pod),
    )


def _claims(pod: Object, view: View) -> Iterator[Object]:
    for volume in (pod.get("spec") or {}).get("volumes") or ():
        name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if volume.get("ephemeral"):
            name = f"{pod['metadata']['name']}-{volume['name']}"
        namespace = pod["metadata"].get("namespace", "")
        claim = view.find("PersistentVolumeClaim", namespace, name) if name else None
        if claim is not None:
            yield claim


def _creation_symptoms(pod: Object, view: View) -> Iterator[Symptom]:
    """Read the events of a pod whose containers are made: its status says nothing more."""
    site = site_of(pod)
    for event in reversed(view.events_about(pod["metadata"]["uid"])):
        reason, message = event.get("reason"), " ".join(str(event.get("message") or "").split())
        if reason == "FailedMount":
            symptom = configuration_symptom(f"{last_words(message)} (FailedMount)", message, site)
            if symptom.missing or _MOUNT.search(message):
                yield symptom
            return
        if reason in ("FailedCreatePodSandBox", "FailedAttachVolume"):
            yield Symptom(
                trouble=Trouble.SANDBOX,
                headline="pod cannot be set up on its node",
                cause=f"{last_words(message)} ({reason})",
                grace_s=NEVER_S,
                tell_after_s=TELL_SANDBOX_AFTER_S,
                site=site,
            )
            return
        if reason == "Pulling":
            yield Symptom(
                trouble=Trouble.PULLING,
                headline="image is being pulled",
                cause=f"{message} (Pulling)",
                grace_s=NEVER_S,
                tell_after_s=TELL_PULLING_AFTER_S,
                hint="a large image, a slow registry, or one that does not answer",
                site=site,
            )
            return


def _probe_symptoms(pod: Object, view: View) -> Iterator[Symptom]:
    """Failing probes are told by events alone, and fall silent after some 25."""
    unhealthy = [e for e in view.events_about(pod["metadata"]["uid"]) if e["reason"] == "Unhealthy"]
    if not unhealthy:
        return
    message = " ".join(str(unhealthy[-1].get("message") or "").split())
    probe = message.partition(" ")[0].lower()
    path = str((unhealthy[-1].get("involvedObject") or {}).get("fieldPath") or "")
    name = path.partition("{")[2].rstrip("}")
    specs = [c for c in service_containers(pod) if c["name"] == name]
    asked = _described(specs[0].get(f"{probe}Probe") or {}) if specs else ""
    answer = message.partition(": ")[2]
    yield Symptom(
        trouble=Trouble.PROBE,
        headline=f"{probe} probe fails",
        cause=f"container {name}: {probe} probe{asked} failed: {answer} (Unhealthy)",
        grace_s=NEVER_S,
        tell_after_s=0.0 if probe == "liveness" else TELL_PROBE_AFTER_S,
        hint="ask the same of the program yourself; see its log",
        site=site_of(pod, name),
    )


def _with_killer(symptom: Symptom, pod: Object, view: View) -> Symptom:
    """Add who has ended a container: its status tells only the exit code, 137 for instance."""
    name = symptom.site.container
    for event in reversed(view.events_about(pod["metadata"]["uid"])):
        path = str((event.get("involvedObject") or {}).get("fieldPath") or "")
        if path and f"{{{name}}}" not in path:
            continue
        message = " ".join(str(event.get("message") or "").split())
        if event.get("reason") == "FailedPostStartHook":
            return replace(symptom, cause=f"{symptom.cause}: its postStart hook fails: {message}")
        killed = _KILLED.search(message) if event.get("reason") == "Killing" else None
        if killed:
            probe = killed[1]
            specs = [c for c in service_containers(pod) if c["name"] == name]
            asked = _described(specs[0].get(f"{probe}Probe") or {}) if specs else ""
            return replace(
                symptom,
                cause=f"{symptom.cause}: killed, as its {probe} probe{asked} fails",
                hint="give it more time (startupProbe, failureThreshold), or see why it is slow",
            )
    return symptom


def _described(probe: Object) -> str:
    """Return what a probe asks, with a blank before: `` GET :8080/healthz``."""
    if get := probe.get("httpGet"):
        return f" GET :{get.get('port')}{get.get('path') or '/'}"
    if tcp := probe.get("tcpSocket"):
        return f" TCP :{tcp.get('port')}"
    if grpc := probe.get("grpc"):
        return f" gRPC :{grpc.get('port')}"
    return " exec" if probe.get("exec") else ""


def _exit(status: Object) -> Object:
    return (status.get("state") or {}).get("terminated") or {}


def _first_exit(exited: Sequence[Object]) -> str:
    if not exited:
        return ""
    ended = _exit(exited[0])
    return f"container {exited[0]['name']}: exit code {ended['exitCode']} ({ended.get('reason')})"
