"""
Symptoms of pods and their containers: pure functions of status and events.

Reasons alternate between tries (``ErrImagePull``, ``ImagePullBackOff``) while the trouble stays
the same; `Trouble` names the class.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from codexctl_tasks.rollout.symptoms import (
    GRACE_CONFIG_S,
    GRACE_IMAGE_MISSING_S,
    GRACE_IMAGE_TROUBLE_S,
    GRACE_PERMANENT_S,
    GRACE_START_S,
    GRACE_START_TROUBLE_S,
    NEVER_S,
    Baseline,
    Site,
    Symptom,
    Trouble,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from codexctl_tasks.rollout.view import View

    Object = Mapping[str, Any]

_PERMANENT_PULL = (
    ("no match for platform", "image has no build for this node's architecture"),
    ("pull access denied", "access to the image denied"),
    ("insufficient_scope", "access to the image denied"),
    ("401 Unauthorized", "access to the image denied"),
    ("403 Forbidden", "access to the image denied"),
    ("404 Not Found", "image not found"),
    ("400 Bad Request", "the registry refuses the image name"),
    ("not found", "image not found"),
    ("manifest unknown", "image not found"),
)
_PULL_HINTS = {
    "image not found": "the tag was not pushed, or the name is misspelt",
    "access to the image denied": "check imagePullSecrets and their rights on the registry",
    "image has no build for this node's architecture": "build the image for the node's platform",
}
_NOT_THE_REASON = re.compile(r'"[^"]*"|sha256:[0-9a-f]+|https?://\S+')
"""Names, digests and URLs may contain anything, "404" and "not found" too."""
_CERTAIN_START_ERROR = re.compile(
    r"no such file or directory|executable file not found|permission denied|error mounting"
)
_MISSING = re.compile(r'\b(secret|configmap) "([^"]+)" not found', re.IGNORECASE)
_KINDS = {"secret": "Secret", "configmap": "ConfigMap"}


def pod_symptoms(pod: Object, view: View, baseline: Baseline, limit: int) -> Iterator[Symptom]:
    """
    Yield what is wrong with a pod.

    Args:
        pod: As the watch has shown it.
        view: For its events.
        baseline: Restart counts when the wait began.
        limit: Restarts from which on a crash is fatal; 0: somebody else decides.
    """
    status = pod.get("status") or {}
    if pod["metadata"].get("ownerReferences") is None and status.get("phase") == "Failed":
        yield Symptom(
            trouble=Trouble.POD,
            headline="pod failed",
            cause=str(
                status.get("message") or _first_exit(pod) or status.get("reason") or "failed"
            ),
            grace_s=GRACE_PERMANENT_S,
            site=_site(pod, next((s["name"] for s in _container_statuses(pod)), "")),
        )
        return
    for container in _container_statuses(pod):
        if symptom := _container_symptom(pod, container, baseline, limit):
            yield symptom
    if not status.get("containerStatuses") or _creating(pod):
        yield from _mount_symptoms(pod, view)


def restart_counts(pod: Object) -> Iterator[tuple[Site, int]]:
    """Yield the site and restart count of every container of a pod."""
    for status in _container_statuses(pod):
        yield _site(pod, status["name"]), int(status.get("restartCount") or 0)


def is_running(pod: Object, container: str) -> bool:
    """Tell whether a container runs; the interesting log is then that of the one before."""
    return any(
        status["name"] == container and bool((status.get("state") or {}).get("running"))
        for status in _container_statuses(pod)
    )


def _container_symptom(
    pod: Object, status: Mapping[str, Any], baseline: Baseline, limit: int
) -> Symptom | None:
    waiting = (status.get("state") or {}).get("waiting") or {}
    reason, message = waiting.get("reason", ""), str(waiting.get("message") or "")
    site = _site(pod, status["name"])
    if reason in ("InvalidImageName", "ErrImageNeverPull"):
        headline = (
            "invalid image name" if reason == "InvalidImageName" else "image is not on the node"
        )
        return Symptom(
            trouble=Trouble.PULL,
            headline=headline,
            cause=f"container {status['name']}: {message} ({reason})",
            grace_s=GRACE_PERMANENT_S,
            site=site,
        )
    if reason in ("ErrImagePull", "ImagePullBackOff"):
        return _pull_symptom(status, reason, message, site)
    if reason == "CreateContainerConfigError" and not re.match(r"failed to sync .* cache", message):
        return _config_symptom(f"container {status['name']}: {message} ({reason})", message, site)
    return _start_or_crash(status, site, baseline, limit)


def _pull_symptom(status: Mapping[str, Any], reason: str, message: str, site: Site) -> Symptom:
    bare = _NOT_THE_REASON.sub("", message.replace(str(status.get("image") or "\0"), ""))
    permanent = next((headline for text, headline in _PERMANENT_PULL if text in bare), "")
    headline = permanent or "image cannot be pulled"
    tail = headline if permanent else _tail(message)
    return Symptom(
        trouble=Trouble.PULL,
        headline=headline,
        cause=f"container {status['name']}: image {status.get('image')}: {tail} ({reason})",
        grace_s=GRACE_IMAGE_MISSING_S if permanent else GRACE_IMAGE_TROUBLE_S,
        hint=_PULL_HINTS.get(headline, "check that the nodes can reach the registry"),
        site=site,
    )


def _config_symptom(cause: str, message: str, site: Site) -> Symptom:
    missing = _MISSING.search(message)
    name = (_KINDS[missing[1].lower()], missing[2]) if missing else None
    return Symptom(
        trouble=Trouble.CONFIG,
        headline=f"{name[0]} {name[1]} is missing" if name else "configuration cannot be used",
        cause=cause,
        grace_s=GRACE_CONFIG_S,
        hint="add it to the stack, or create it before the deploy" if name else "",
        missing=name,
        site=site,
    )


def _start_or_crash(
    status: Mapping[str, Any], site: Site, baseline: Baseline, limit: int
) -> Symptom | None:
    state = status.get("state") or {}
    waiting = state.get("waiting") or {}
    ended = state.get("terminated") or (status.get("lastState") or {}).get("terminated") or {}
    restarts = baseline.since(site, int(status.get("restartCount") or 0))
    if waiting.get("reason") in (
        "RunContainerError",
        "CreateContainerError",
        "ContainerCannotRun",
    ) or (ended.get("reason") == "StartError" and not state.get("running")):
        reason = ended.get("reason") or waiting.get("reason")
        message = str(ended.get("message") or waiting.get("message") or "no reason given")
        certain = _CERTAIN_START_ERROR.search(message)
        return Symptom(
            trouble=Trouble.START,
            headline="container cannot start",
            cause=f"container {status['name']}: {_tail(message)} ({reason})",
            grace_s=GRACE_START_S if certain else GRACE_START_TROUBLE_S,
            hint="check command, args and file modes in the image" if certain else "",
            site=site,
        )
    if not ended or state.get("running") or restarts < 0:
        return None
    if status.get("_init") and ended.get("exitCode") == 0:
        return None
    return _crash_symptom(status, ended, restarts, limit, site)


def _crash_symptom(
    status: Mapping[str, Any],
    ended: Mapping[str, Any],
    restarts: int,
    limit: int,
    site: Site,
) -> Symptom | None:
    code, reason = ended.get("exitCode"), ended.get("reason") or "Error"
    if limit == 0 and code == 0:
        return None
    times = f", {restarts} restart{'s' if restarts > 1 else ''}" if restarts else ""
    headline = "out of memory" if reason == "OOMKilled" else f"crashed with exit code {code}"
    if restarts > 1:
        headline = (
            f"crash loop, {'out of memory' if reason == 'OOMKilled' else f'exit code {code}'}"
        )
    return Symptom(
        trouble=Trouble.CRASH,
        headline=headline,
        cause=f"container {status['name']}: exit code {code} ({reason}{times})",
        grace_s=GRACE_PERMANENT_S if limit and restarts >= limit else NEVER_S,
        hint=(
            "raise resources.limits.memory or find the leak"
            if reason == "OOMKilled"
            else "see the log below for why it ended"
        ),
        site=site,
    )


def _mount_symptoms(pod: Object, view: View) -> Iterator[Symptom]:
    """Read FailedMount events: the pod itself says only ContainerCreating."""
    site = _site(pod)
    for event in reversed(view.events_about(pod["metadata"]["uid"])):
        if event.get("reason") == "FailedMount":
            message = str(event.get("message") or "")
            if _MISSING.search(message) or re.search(
                r"references non-existent config key|hostPath type check failed", message
            ):
                yield _config_symptom(f"{_tail(message)} (FailedMount)", message, site)
            return


def _creating(pod: Object) -> bool:
    return any(
        ((status.get("state") or {}).get("waiting") or {}).get("reason")
        in ("ContainerCreating", "PodInitializing")
        for status in _container_statuses(pod)
    )


def _container_statuses(pod: Object) -> Iterator[Mapping[str, Any]]:
    status = pod.get("status") or {}
    for container in status.get("initContainerStatuses") or ():
        yield {**container, "_init": True}
    yield from status.get("containerStatuses") or ()


def _first_exit(pod: Object) -> str:
    for status in _container_statuses(pod):
        ended = (status.get("state") or {}).get("terminated") or {}
        if ended.get("exitCode"):
            return (
                f"container {status['name']}: exit code {ended['exitCode']} ({ended.get('reason')})"
            )
    return ""


def _site(pod: Object, container: str = "") -> Site:
    metadata = pod["metadata"]
    return Site(metadata["name"], container, metadata["uid"])


def _tail(message: str) -> str:
    """Return the last, most specific parts of one of containerd's nested messages."""
    parts = " ".join(message.split()).split(": ")
    return ": ".join(parts[-3:])
