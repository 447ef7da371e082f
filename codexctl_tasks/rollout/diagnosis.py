"""Why a workload is not healthy, in the words a person needs to mend it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codexctl_tasks.rollout.examination import new_pods
from codexctl_tasks.rollout.health import condition_holds
from codexctl_tasks.rollout.view import event_count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from codexctl_tasks.rollout.judge import Verdict
    from codexctl_tasks.rollout.symptoms import Symptom
    from codexctl_tasks.rollout.view import View

    Object = Mapping[str, Any]

MOST_EVENTS = 3
_ECHO = re.compile(r"Error: |Back-off |.*failed to sync .* cache")
"""Events that only repeat the waiting reason, or that pass within a second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """What is known about the cause; empty texts and lists when nothing is."""

    cause: str = ""
    where: str = ""
    """The pod it was seen at, and how many others show the same."""
    hint: str = ""
    events: tuple[str, ...] = ()
    """Warnings, the newest last, each with its count."""
    log: tuple[str, ...] = ()
    """The last lines of the container that crashed."""


def diagnose(verdict: Verdict, view: View, log: Sequence[str]) -> Diagnosis:
    """
    Explain why a workload is not healthy.

    Args:
        verdict: The judge's newest one.
        view: What the watches have shown.
        log: Last lines of its crashed container, as far as one was seen.
    """
    name = verdict.target.name
    found = view.find(name.kind, name.namespace, name.name)
    pods = new_pods(found, view) if found is not None else []
    warnings = _warnings([*([found] if found is not None else []), *pods], view)
    events = tuple(_deduplicated(warnings))[-MOST_EVENTS:]
    if not verdict.symptoms:
        cause, where = _silent_cause(pods, warnings)
        cause = cause or ("no pods yet" if verdict.target.runs_pods else verdict.detail)
        return Diagnosis(cause=cause, where=where, events=events, log=tuple(log))
    symptom = verdict.symptoms[0]
    others = [other for other in verdict.symptoms[1:] if other.cause != symptom.cause]
    return Diagnosis(
        cause="; ".join(dict.fromkeys([symptom.cause, *(other.cause for other in others)])),
        where=_where(symptom, verdict, pods),
        hint=symptom.hint,
        events=events,
        log=tuple(log),
    )


def _where(symptom: Symptom, verdict: Verdict, pods: Sequence[Object]) -> str:
    if not symptom.site.pod:
        return ""
    same = {s.site.pod for s in verdict.symptoms if s.headline == symptom.headline}
    if len(pods) < 2:  # noqa: PLR2004 - "1 of 1" tells nothing
        return f"pod {symptom.site.pod}"
    return f"pod {symptom.site.pod} ({len(same)} of {len(pods)} pods show the same)"


def _silent_cause(pods: Sequence[Object], warnings: Sequence[Object]) -> tuple[str, str]:
    """Say what there is to say about an object without symptoms."""
    unready = [pod for pod in pods if not condition_holds(pod, "Ready")]
    where = f"{len(unready)} of {len(pods)} pods" if unready else ""
    if warnings:
        newest = warnings[-1]
        return f"{_one_line(newest)} ({newest.get('reason')})", where
    if not pods:
        return "", where
    return ("pods are running but not ready" if unready else "all pods are ready"), where


def _warnings(objects: Sequence[Object], view: View) -> list[Object]:
    return [
        event
        for found in objects
        for event in view.events_about(found["metadata"]["uid"])
        if event.get("type") == "Warning" and not _ECHO.match(_one_line(event))
    ]


def _deduplicated(warnings: Sequence[Object]) -> Iterator[str]:
    """Merge events that differ only in the pod they name."""
    counts: dict[tuple[str, str], int] = {}
    for event in warnings:
        about = event["involvedObject"]
        message = (
            _one_line(event).replace(about.get("uid") or "\0", "*").replace(about["name"], "*")
        )
        key = (str(event.get("reason")), message)
        counts[key] = counts.get(key, 0) + event_count(event)
    for (reason, message), count in counts.items():
        yield f"{reason} x{count}: {message}"


def _one_line(event: Object) -> str:
    return " ".join(str(event.get("message") or "").split())
