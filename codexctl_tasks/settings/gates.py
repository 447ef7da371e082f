"""Requests about the gate: flags into objects."""

from __future__ import annotations

import os

from codexctl_tasks.errors import UsageError
from codexctl_tasks.requests.agents import BRANCH_PREFIX, KINDS
from codexctl_tasks.requests.basis import ReportFiles
from codexctl_tasks.requests.gates import GateRequest
from codexctl_tasks.settings.environment import path_of, step_files, switch, this_repository, value
from codexctl_tasks.settings.values import choice, count, output_of, parts

DEFAULT_COMMAND = "/codex"
DEFAULT_MOST_RUNS = 20
_NONE = "none"
"""What switches a trigger off."""


def gate_request(
    *,
    kind: str = "",
    issue: str = "",
    pr: str = "",
    repo: str = "",
    model: str = "",
    effort: str = "",
    models: str = "",
    labels: str = "",
    command: str = "",
    branch_prefix: str = "",
    app_id: str = "",
    allowed_users: str = "",
    allowed_bots: str = "",
    allow_forks: bool = False,
    max_runs: str = "",
    output: str = "",
) -> GateRequest:
    """Combine flags, ``CODEXCTL_*`` and what GitHub Actions says of the run."""
    environ = os.environ
    number, pull = count("issue", issue), count("pr", pr)
    if number and pull:
        raise UsageError("--issue", "cannot be combined with --pr", "say what it is about")
    asked, word = value("kind", kind).lower(), value("command", command, DEFAULT_COMMAND)
    summary, outputs = step_files()
    actor = environ.get("GITHUB_ACTOR", "").strip()
    return GateRequest(
        repo=this_repository(repo),
        event=environ.get("GITHUB_EVENT_NAME", "").strip(),
        event_file=path_of(environ.get("GITHUB_EVENT_PATH", "")),
        actor=actor,
        triggering_actor=environ.get("GITHUB_TRIGGERING_ACTOR", "").strip() or actor,
        workflow=_workflow(environ.get("GITHUB_WORKFLOW_REF", "")),
        kind=choice("kind", asked, KINDS) if asked else "",
        issue=number,
        pr=pull,
        model=value("model", model),
        effort=value("effort", effort).lower(),
        models=parts("models", models),
        labels=_labels(labels),
        command="" if word == _NONE else word,
        branch_prefix=value("branch-prefix", branch_prefix, BRANCH_PREFIX),
        app_id=count("app-id", app_id),
        users=parts("allowed-users", allowed_users),
        bots=parts("allowed-bots", allowed_bots),
        allows_forks=allow_forks or switch("CODEXCTL_ALLOW_FORKS"),
        most_runs=count("max-runs", max_runs, DEFAULT_MOST_RUNS),
        variables=dict(environ),
        output=output_of(output),
        files=ReportFiles(step_summary=summary, step_outputs=outputs),
    )


def _labels(given: str) -> dict[str, str]:
    """Return the kind of run by label: ``LABEL=KIND,...``."""
    usual = ",".join(f"[ai-{kind}]={kind}" for kind in KINDS)
    found = {}
    for part in parts("labels", given, usual):
        label, equals, kind = part.rpartition("=")
        if not equals or not label.strip():
            raise UsageError("--labels", f"{part[:80]!r} has no LABEL=KIND", "write [ai-dev]=dev")
        found[label.strip().casefold()] = choice("labels", kind.strip().lower(), KINDS)
    return found


def _workflow(reference: str) -> str:
    """Return the name of a file of ``owner/name/.github/workflows/FILE@ref``."""
    return reference.partition("@")[0].rpartition("/")[2]
