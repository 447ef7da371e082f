"""Requests about slots that are to go: flags into objects."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import UsageError
from codexctl_tasks.requests.agents import BRANCH_PREFIX
from codexctl_tasks.requests.slots import CleanupRequest, GcRequest
from codexctl_tasks.settings.comments import DEFAULT_TTL_S
from codexctl_tasks.settings.deploys import deploy_request
from codexctl_tasks.settings.environment import (
    event_subject,
    switch,
    this_holder,
    value,
)
from codexctl_tasks.settings.slots import DEFAULT_ENV
from codexctl_tasks.settings.values import age_s, is_number, repository_of, timeout_s

if TYPE_CHECKING:
    from codexctl_tasks.requests.runs import DeployRequest

LEASE_S = 60.0
"""It is renewed while the removal lives; one that dies does not keep others out for long."""
GRACE_S = 3600.0
"""A job may wait so long for its runner after the one before it."""


def cleanup_request(
    *,
    slot: str = "",
    issue: str = "",
    pr: str = "",
    all: bool = False,  # noqa: A002 - the name of the flag
    dry_run: bool = False,
    only_closed: bool = False,
    force: bool = False,
    delete_branch: bool = False,
    branch_prefix: str = "",
    **given: Any,
) -> CleanupRequest:
    """Combine flags and ``CODEXCTL_*``, but for *all* and *force*: only a flag makes it happen."""
    numbers = _chosen({"slot": slot, "issue": issue, "pr": pr}, all_of_them=all)
    deploy = _stack(**given)
    if (numbers["issue"] or numbers["pr"]) and not deploy.repository:
        fix = "write --repo owner/name, or set GITHUB_REPOSITORY"
        raise UsageError("--repo", "is not known: whose Issue or PR is it?", fix)
    return CleanupRequest(
        deploy=deploy,
        holder=this_holder(),
        **numbers,
        all=all,
        dry_run=dry_run or switch("CODEXCTL_DRY_RUN"),
        only_closed=only_closed or switch("CODEXCTL_ONLY_CLOSED"),
        force=force,
        deletes_branch=delete_branch or switch("CODEXCTL_DELETE_BRANCH"),
        branch_prefix=value("branch-prefix", branch_prefix, BRANCH_PREFIX),
        lease_s=LEASE_S,
        output=deploy.output,
        step_outputs=deploy.files.step_outputs,
    )


def event_cleanup_request() -> CleanupRequest:
    """
    Combine ``CODEXCTL_*`` alone, for a step of a workflow.

    Without a number it is what the event that started the run is about. Never what is open: who
    starts such a workflow by mistake must not lose an environment.
    """
    numbers: dict[str, Any] = {flag: value(flag, "") for flag in ("slot", "issue", "pr")}
    if not any(numbers.values()):
        flag, number = event_subject()
        numbers = {flag: str(number)} if number else {}
    return cleanup_request(**numbers, only_closed=True)


def gc_step_request() -> GcRequest:
    """Combine ``CODEXCTL_*`` alone, for a step of a workflow, where they may delete."""
    return gc_request(delete=switch("CODEXCTL_DELETE"))


def gc_request(*, delete: bool = False, ttl: str = "", grace: str = "", **given: Any) -> GcRequest:
    """Combine flags and ``CODEXCTL_*``, but for *delete*: only a flag makes it happen."""
    deploy = _stack(**given)
    return GcRequest(
        deploy=deploy,
        holder=this_holder(),
        deletes=delete,
        ttl_s=timeout_s("ttl", ttl, DEFAULT_TTL_S),
        grace_s=age_s("grace", grace, GRACE_S),
        lease_s=LEASE_S,
        output=deploy.output,
        step_outputs=deploy.files.step_outputs,
    )


def _stack(*, env: str = "", repo: str = "", **given: Any) -> DeployRequest:
    request = deploy_request(env=value("env", env, DEFAULT_ENV), **given)
    source = replace(request.source, slot=0, namespace="")
    return replace(request, source=source, repository=repository_of(repo))


def _chosen(given: dict[str, str], *, all_of_them: bool) -> dict[str, int]:
    """Return the one number that is meant; a flag beats every variable."""
    if all_of_them or any(given.values()):
        texts = {flag: text.strip() for flag, text in given.items() if text.strip()}
    else:
        texts = {flag: text for flag in given if (text := value(flag, ""))}
    if len(texts) + all_of_them != 1:
        what = "more than one is given" if texts else "nobody said what is to go"
        raise UsageError("cleanup", what, "give one of --slot N, --issue N, --pr N and --all")
    return {flag: _number(flag, texts[flag]) if flag in texts else 0 for flag in given}


def _number(flag: str, text: str) -> int:
    if is_number(text) and int(text):
        return int(text)
    raise UsageError(f"--{flag}", f"{text!r} is no number", "give a whole number from 1")
