"""
Symptoms of containers: pure functions of a pod's status.

Reasons alternate between tries (``ErrImagePull``, ``ImagePullBackOff``) and vanish while a
container runs; the count of restarts is the number to rely on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from codexctl_tasks.rollout.pulls import last_words, pull_symptom
from codexctl_tasks.rollout.symptoms import (
    GRACE_CONFIG_S,
    GRACE_OLD_CRASH_S,
    GRACE_PERMANENT_S,
    GRACE_START_S,
    GRACE_START_TROUBLE_S,
    NEVER_S,
    Baseline,
    Missing,
    Site,
    Symptom,
    Trouble,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Object = Mapping[str, Any]
    Status = Mapping[str, Any]

_NOT_STARTED = ("RunContainerError", "CreateContainerError", "ContainerCannotRun")
_CERTAIN_START_ERROR = re.compile(
    r"no such file or directory|executable file not found|not found in \$PATH|permission denied"
    r"|error mounting"
)
_PASSING_CONFIG = re.compile(r"failed to sync .* cache")
_MISSING = re.compile(r'\b(secret|configmap) "([^"]+)" not found', re.IGNORECASE)
_KINDS = {"secret": "Secret", "configmap": "ConfigMap"}


def container_symptoms(pod: Object, baseline: Baseline, limit: int) -> Iterator[Symptom]:
    """
    Yield what is wrong with the containers of a pod.

    Args:
        pod: As the watch has shown it.
        baseline: Restart counts when the wait began.
        limit: Restarts from which on a crash is fatal; 0: somebody else decides.
    """
    for status in container_statuses(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        reason, message = str(waiting.get("reason", "")), str(waiting.get("message") or "")
        site = site_of(pod, status["name"])
        found = (
            pull_symptom(status, reason, message, site)
            or _config_symptom(status, reason, message, site)
            or _start_symptom(status, reason, message, site)
            or _crash_symptom(pod, status, baseline, limit)
        )
        if found:
            yield found


def container_statuses(pod: Object) -> Iterator[Status]:
    """Yield the statuses of all containers, init containers first."""
    status = pod.get("status") or {}
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def service_containers(pod: Object) -> list[Object]:
    """Return the specs of all containers that are to run on, sidecars included."""
    spec = pod.get("spec") or {}
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    return [*sidecars, *(spec.get("containers") or ())]


def restart_counts(pod: Object) -> Iterator[tuple[Site, int]]:
    """Yield the site and restart count of every container of a pod."""
    for status in container_statuses(pod):
        yield site_of(pod, status["name"]), int(status.get("restartCount") or 0)


def is_running(pod: Object, container: str) -> bool:
    """Tell whether a container runs; the interesting log is then that of the one before."""
    return any(
        status["name"] == container and bool((status.get("state") or {}).get("running"))
        for status in container_statuses(pod)
    )


def site_of(pod: Object, container: str = "") -> Site:
    """Return the site of a pod, or of one of its containers."""
    metadata = pod["metadata"]
    return Site(metadata["name"], container, metadata["uid"])


def configuration_symptom(cause: str, message: str, site: Site) -> Symptom:
    """Return the symptom of a Secret, ConfigMap, key or host path that is not there."""
    found = _MISSING.search(message)
    missing = Missing(_KINDS[found[1].lower()], found[2]) if found else None
    return Symptom(
        trouble=Trouble.CONFIG,
        headline=(
            f"{missing.kind} {missing.name} is missing"
            if missing
            else "configuration cannot be used"
        ),
        cause=cause,
        grace_s=GRACE_CONFIG_S,
        hint="add it to the stack, or create it before the deploy" if missing else "",
        missing=missing,
        site=site,
    )


def _config_symptom(status: Status, reason: str, message: str, site: Site) -> Symptom | None:
    if reason != "CreateContainerConfigError" or _PASSING_CONFIG.match(message):
        return None
    cause = f"container {status['name']}: {message} ({reason})"
    return configuration_symptom(cause, message, site)


def _start_symptom(status: Status, reason: str, message: str, site: Site) -> Symptom | None:
    state = status.get("state") or {}
    ended = state.get("terminated") or (status.get("lastState") or {}).get("terminated") or {}
    has_not_started = ended.get("reason") == "StartError" and not state.get("running")
    if reason not in _NOT_STARTED and not has_not_started:
        return None
    reason = str(ended.get("reason") or reason)
    message = str(ended.get("message") or message or "no reason given")
    certain = _CERTAIN_START_ERROR.search(message)
    return Symptom(
        trouble=Trouble.START,
        headline="container cannot start",
        cause=f"container {status['name']}: {last_words(message)} ({reason})",
        grace_s=GRACE_START_S if certain else GRACE_START_TROUBLE_S,
        hint="check command, args and file modes in the image" if certain else "",
        site=site,
    )


def _crash_symptom(pod: Object, status: Status, baseline: Baseline, limit: int) -> Symptom | None:
    state = status.get("state") or {}
    ended = state.get("terminated") or (status.get("lastState") or {}).get("terminated") or {}
    site = site_of(pod, status["name"])
    count = int(status.get("restartCount") or 0)
    restarts = baseline.since(site, count)
    if not ended or state.get("running") or restarts < 0:
        return None
    if ended.get("exitCode") == 0 and (limit == 0 or _runs_to_its_end(pod, status["name"])):
        return None
    code, reason = ended.get("exitCode"), ended.get("reason") or "Error"
    is_loop = restarts > 1 or (restarts and baseline.restarts.get(site, 0))
    out_of_memory = reason == "OOMKilled"
    what = "out of memory" if out_of_memory else f"exit code {code}"
    headline = f"crash loop, {what}" if is_loop else "out of memory"
    if not is_loop and not out_of_memory:
        headline = f"crashed with exit code {code}"
    times = f", {count} restart{'s' if count > 1 else ''}" if count else ""
    return Symptom(
        trouble=Trouble.CRASH,
        headline=headline,
        cause=f"container {status['name']}: exit code {code} ({reason}{times})",
        grace_s=GRACE_PERMANENT_S if _is_hopeless(site, restarts, baseline, limit) else NEVER_S,
        hint=_crash_hint(status, code, out_of_memory=out_of_memory),
        site=site,
    )


def _is_hopeless(site: Site, restarts: int, baseline: Baseline, limit: int) -> bool:
    """Tell whether a container has crashed often enough; one that did before, too, gets less."""
    if not limit:
        return False
    before = baseline.restarts.get(site, 0)
    is_old = before >= limit and restarts > 0 and baseline.elapsed_s >= GRACE_OLD_CRASH_S
    return restarts >= limit or is_old


def _crash_hint(status: Status, code: Any, *, out_of_memory: bool) -> str:
    waiting = (status.get("state") or {}).get("waiting") or {}
    if out_of_memory:
        return "raise resources.limits.memory or find the leak"
    if waiting.get("reason") == "PostStartHookError":
        return "its postStart hook fails; see the events"
    if code == 0:
        return "it ends by itself: a service must go on running; use a Job for what ends"
    return "see the log for why it ended"


def _runs_to_its_end(pod: Object, name: str) -> bool:
    """Tell whether a container is an init container that is no sidecar."""
    init = (pod.get("spec") or {}).get("initContainers") or ()
    return any(c["name"] == name and c.get("restartPolicy") != "Always" for c in init)
