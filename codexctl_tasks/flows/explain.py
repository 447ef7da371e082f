"""
Explain why something in a namespace is not healthy, without deploying anything.

The phases: find out what is to be looked at, take one picture of the namespace, judge it, read the
logs of what crashes, report.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import DONE, WORKLOAD_FAILED, ClusterError, DeadlineError, UsageError
from codexctl_tasks.flows.environment import load_applicable
from codexctl_tasks.reports import report
from codexctl_tasks.rollout.containers import is_running
from codexctl_tasks.rollout.diagnosis import diagnose
from codexctl_tasks.rollout.explaining import explain as judge
from codexctl_tasks.rollout.explaining import target_of_found
from codexctl_tasks.rollout.inquiry import LOG_LINES
from codexctl_tasks.rollout.judge import State
from codexctl_tasks.rollout.symptoms import WITH_LOG
from codexctl_tasks.rollout.target import WORKLOADS, scopes_for
from codexctl_tasks.rollout.view import View
from codexctl_tasks.rollout.wait import Outcome, Result
from codexctl_tasks.stack.manifests import ObjectName
from codexctl_tasks.world.cluster import Resource
from codexctl_tasks.world.kinds import find_kind, suggest_kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from codexctl_tasks.errors import Location
    from codexctl_tasks.requests.runs import ExplainRequest
    from codexctl_tasks.rollout.judge import Verdict
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.outside import Outside

    Object = Mapping[str, Any]

LOOK_TIMEOUT_S = 30.0
"""For the lists of a namespace, also of a large one."""
_CLAIM = Resource("v1", "PersistentVolumeClaim", "persistentvolumeclaims", namespaced=True)
_OUTCOMES = {State.READY: Outcome.READY, State.FAILED: Outcome.FAILED}


def explain(request: ExplainRequest, outside: Outside) -> int:
    """Explain one object, or everything in a namespace that is not healthy."""
    console, clock = outside.console, outside.clock
    namespace, places, request = _namespace(request, outside)
    cluster = outside.connect(request.cluster, clock, console.retrying)
    namespace = namespace or cluster.default_namespace
    chosen = _chosen(request.object, cluster)
    resources = [chosen[0]] if chosen else [*_workloads(), _CLAIM]
    view = _picture(resources, namespace, cluster, outside)
    begun_s = clock.now()
    results = [
        _result(judge(target, view, cluster.now()), view, cluster)
        for target in _targets(resources, namespace, chosen[1] if chosen else "", view, places)
    ]
    if chosen and not results:
        raise ClusterError(
            f"{chosen[0].kind} {namespace}/{chosen[1]}",
            "does not exist",
            "see what there is: codexctl explain",
        )
    unhealthy = [result for result in results if result.outcome is not Outcome.READY]
    exit_code = WORKLOAD_FAILED if unhealthy else DONE
    state = "failed" if unhealthy else "ready"
    console.lines([(state, _headline(namespace, results)), *report.text_lines(results, ())])
    if request.output == "json":
        elapsed_s = clock.now() - begun_s
        data = report.as_json(results, (), elapsed_s=elapsed_s, exit_code=exit_code)
        console.result_as_json(data)
    return exit_code


def unhealthy_lines(namespace: str, cluster: Cluster, outside: Outside) -> tuple[str, ...]:
    """
    Return what `explain` tells of a namespace, without colours; empty: all in it is ready.

    Raises:
        ClusterError: It cannot be looked at.
        DeadlineError: Not in time.
    """
    resources = [*_workloads(), _CLAIM]
    view = _picture(resources, namespace, cluster, outside)
    results = [
        _result(judge(target, view, cluster.now()), view, cluster)
        for target in _targets(resources, namespace, "", view, {})
    ]
    return tuple(outside.console.masked(line) for _, line in report.text_lines(results, ()))


def _namespace(
    request: ExplainRequest, outside: Outside
) -> tuple[str, Mapping[ObjectName, Location], ExplainRequest]:
    """Return the namespace (empty: that of the kubeconfig) and where manifests are written."""
    source = request.source
    if not source.env and not source.manifests:
        return source.namespace, {}, request
    desired = load_applicable(source, outside.console)
    places = {
        manifest.name._replace(api_version=""): manifest.location for manifest in desired.manifests
    }
    return desired.namespace, places, request.with_defaults(desired.defaults)


def _chosen(text: str, cluster: Cluster) -> tuple[Resource, str] | None:
    """Read KIND/NAME as kubectl takes it; None: nothing was chosen."""
    if not text:
        return None
    kind, slash, name = text.partition("/")
    if not slash or not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name):
        raise UsageError("explain", f"{text!r} is no object", "write KIND/NAME: deployment/web")
    if resource := find_kind(kind, cluster):
        return resource, name
    what = f"the cluster knows no kind {kind!r}"
    raise UsageError("explain", what, suggest_kind(kind, cluster))


def _workloads() -> Iterator[Resource]:
    yield from dict.fromkeys(watched[0] for watched in WORKLOADS.values())


def _picture(
    resources: Sequence[Resource], namespace: str, cluster: Cluster, outside: Outside
) -> View:
    """List everything that is needed to judge these kinds, once."""
    names = [
        ObjectName(each.api_version, each.kind, namespace if each.namespaced else "", "")
        for each in resources
    ]
    scopes = [
        replace(scope, explains=False) for scope in scopes_for(zip(names, resources, strict=True))
    ]
    view = View(scopes)
    deadline_s = outside.clock.now() + LOOK_TIMEOUT_S
    feed = outside.watch(cluster, scopes, outside.clock, outside.console.retrying)
    try:
        while not view.complete:
            left_s = deadline_s - outside.clock.now()
            if left_s <= 0:
                raise DeadlineError(
                    cluster.address, f"namespace {namespace} could not be listed", "try again"
                )
            for notice in feed.next(left_s):
                view.take(notice)
    finally:
        feed.close()
    return view


def _targets(
    resources: Sequence[Resource],
    namespace: str,
    name: str,
    view: View,
    places: Mapping[ObjectName, Location],
) -> Iterator[Any]:
    """Yield what is to be explained: whatever nobody else controls, or the one that was chosen."""
    for resource in resources:
        for found in view.of_kind(resource.kind, namespace if resource.namespaced else ""):
            metadata = found["metadata"]
            controlled = any(o.get("controller") for o in metadata.get("ownerReferences") or ())
            if metadata["name"] == name if name else not controlled:
                where = ObjectName(
                    "", resource.kind, metadata.get("namespace", ""), metadata["name"]
                )
                yield target_of_found(resource, found, places.get(where))


def _result(verdict: Verdict, view: View, cluster: Cluster) -> Result:
    outcome = _OUTCOMES.get(verdict.state, Outcome.NOT_READY)
    diagnosis = None
    if outcome is not Outcome.READY:
        diagnosis = diagnose(verdict, view, _log(verdict, view, cluster))
    return Result(verdict.target, outcome, 0.0, verdict.detail, diagnosis)


def _log(verdict: Verdict, view: View, cluster: Cluster) -> list[str]:
    """Return the last lines of the container that crashed; empty if none did, or on refusal."""
    namespace = verdict.target.name.namespace
    for symptom in verdict.symptoms:
        pod = view.find("Pod", namespace, symptom.site.pod)
        if symptom.trouble in WITH_LOG and symptom.site.container and pod is not None:
            previous = is_running(pod, symptom.site.container)
            try:
                return cluster.logs(
                    *(namespace, symptom.site.pod, symptom.site.container),
                    previous=previous,
                    lines=LOG_LINES,
                )
            except ClusterError as error:
                return [f"(the log cannot be read: {error.what})"]
    return []


def _headline(namespace: str, results: Sequence[Result]) -> str:
    bad = sum(result.outcome is not Outcome.READY for result in results)
    what = "1 object" if len(results) == 1 else f"{len(results)} objects"
    if not results:
        return f"namespace {namespace}: nothing runs here"
    if not bad:
        return f"HEALTHY  namespace {namespace}: {what}, all ready"
    return f"UNHEALTHY  namespace {namespace}: {bad} of {what} not ready"
