"""
Check what the work needs before it begins; nothing is changed.

Without an environment or manifests only this machine and the cluster are looked at. A stack that
cannot be loaded is a finding like any other: the rest is checked all the same.
"""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codexctl_tasks.checks.examination import CHECKS, Checked, examine
from codexctl_tasks.checks.finding import State, failures, ok
from codexctl_tasks.checks.subject import Subject
from codexctl_tasks.errors import DONE, CodexctlError, CombinedError, Location
from codexctl_tasks.flows.environment import load_applicable
from codexctl_tasks.flows.hooking import prepare_hooks, setting_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from codexctl_tasks.requests.runs import DoctorRequest
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.outside import Outside

SCHEMA_VERSION = 1
"""Of the JSON document."""
TIMEOUT_S = 30.0
"""For everything together: the checks run side by side, and a healthy cluster needs a second."""
_WITHOUT_STACK = ("programs", "cluster", "disk")
_COLOURS = {State.OK: "ready", State.WARNING: "warning", State.FAILED: "failed", State.SKIPPED: ""}


def doctor(request: DoctorRequest, outside: Outside) -> int:
    """Check everything; the exit code is that of the worst failure."""
    subject, loaded = _load(_subject(request, outside), request, outside)
    has_stack = not any(each.finding.state is State.FAILED for each in loaded) and loaded
    checks = tuple(name for name in CHECKS if request.builds or name != "builders")
    found = [*loaded, *examine(subject, checks if has_stack else _WITHOUT_STACK)]
    errors = [f.finding.error for f in found if f.finding.state is State.FAILED]
    exit_code = CombinedError(errors).exit_code if errors else DONE
    outside.console.lines(_lines(found))
    for error in errors:
        outside.console.annotate(error.location, str(error))
    if request.output == "json":
        outside.console.result_as_json(_as_json(found, exit_code))
    return exit_code


def _subject(request: DoctorRequest, outside: Outside) -> Subject:
    """Return this machine and the cluster, without a stack."""
    return Subject(
        folder=Path.cwd(),
        variables={**request.source.environ, **request.source.variables},
        connect=_connector(request, outside),
        clock=outside.clock,
        deadline_s=outside.clock.now() + TIMEOUT_S,
        namespace=request.source.namespace,
        run=outside.run,
        build_backend=request.backend,
    )


def _load(
    subject: Subject, request: DoctorRequest, outside: Outside
) -> tuple[Subject, list[Checked]]:
    """Return the subject with its stack, and what is to be said about that; nothing: none."""
    source = request.source
    outside.console.hide(source.secrets)
    if not source.env and not source.manifests:
        return subject, []
    try:
        desired = load_applicable(source, outside.console)
        steps = [each.step for each in prepare_hooks(desired, outside.console)]
    except CodexctlError as error:
        return subject, [Checked("stack", finding) for finding in failures(error)]
    request = request.with_defaults(desired.defaults)
    connect = _connector(request, outside)
    setting = setting_of(source, request.cluster, desired, connect)
    count = len(desired.manifests)
    what = "1 object" if count == 1 else f"{count} objects"
    subject = replace(
        subject,
        folder=setting.folder,
        variables=setting.variables,
        connect=connect,
        env=source.env,
        stack=setting.stack if desired.loaded else None,
        stack_name=request.stack or desired.stack,
        origin=desired.origin,
        namespace=desired.namespace,
        manifests=desired.manifests,
        scripts={str(step.location): step.script for step in steps if step.script},
    )
    return subject, [Checked("stack", ok(desired.origin, what))]


def _connector(request: DoctorRequest, outside: Outside) -> Any:
    """Return what connects at the first call, and returns the same cluster again."""
    deadline_s = outside.clock.now() + TIMEOUT_S

    @functools.cache
    def connect() -> Cluster:
        cluster = outside.connect(request.cluster, outside.clock, outside.console.retrying)
        cluster.deadline_s = min(cluster.deadline_s, deadline_s)
        return cluster

    return connect


def _lines(found: Sequence[Checked]) -> Iterator[tuple[str, str]]:
    for check, finding in found:
        yield _COLOURS[finding.state], f"{finding.state.value:<7}  {check:<11}  {finding}"
    counts = Counter(finding.state for _, finding in found)
    parts = [f"{counts[state]} {state.value}" for state in State if counts[state]]
    worst = State.FAILED if counts[State.FAILED] else State.OK
    yield _COLOURS[worst], f"{'FAILED' if counts[State.FAILED] else 'HEALTHY'}  {', '.join(parts)}"


def _as_json(found: Sequence[Checked], exit_code: int) -> dict[str, Any]:
    return {
        "version": SCHEMA_VERSION,
        "exitCode": exit_code,
        "findings": [
            {
                "check": check,
                "state": finding.state.value,
                "where": str(finding.where),
                "file": finding.where.file if isinstance(finding.where, Location) else "",
                "line": finding.where.line if isinstance(finding.where, Location) else None,
                "what": finding.what,
                "fix": finding.fix,
            }
            for check, finding in found
        ],
    }
