"""Requests about slots: flags into objects."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from codexctl_tasks.errors import UsageError
from codexctl_tasks.requests.basis import ReportFiles
from codexctl_tasks.requests.slots import (
    EnsureReadyRequest,
    EnsureSlotRequest,
    ReleaseRequest,
    SlotRequest,
    SlotSetRequest,
)
from codexctl_tasks.settings.deploys import deploy_request
from codexctl_tasks.settings.environment import step_files, switch, this_holder, value
from codexctl_tasks.settings.images import IMAGE_STEPS, images_request
from codexctl_tasks.settings.sources import chosen_flags, cluster_settings, source
from codexctl_tasks.settings.values import (
    age_s,
    choice,
    count,
    output_of,
    repository_of,
    timeout_s,
)
from codexctl_tasks.settings.workspaces import sync_request

DEFAULT_ENV = "ai"
DEFAULT_SLOT_WAIT_S = 1800.0
DEFAULT_SLOT_LEASE_S = 1800.0
"""Between two steps of a workflow nobody renews it, and a job may wait long for its runner."""
SHORTEST_LEASE_S = 5.0
"""The API server tells its time in whole seconds."""
STATES = ("allocated", "preparing", "ready", "unhealthy", "releasing")


def slot_request(**given: Any) -> SlotRequest:
    """Combine flags and ``CODEXCTL_*``; *given* are those of `slot_fields`."""
    return SlotRequest(**slot_fields(**given))


def ensure_slot_request(
    *, branch: str = "", slot_wait: str = "", slot_lease: str = "", **given: Any
) -> EnsureSlotRequest:
    """Combine flags and ``CODEXCTL_*``; *given* are those of `slot_fields`, without a slot."""
    fields = slot_fields(**given, ignores_slot=True)
    if (fields["issue"] > 0) == (fields["pr"] > 0):
        fix = "say for what the slot is: --issue N or --pr N"
        if not fields["issue"]:
            raise zero_given(**given) or UsageError("--issue", "is required", fix)
        raise UsageError("--issue", "cannot be combined with --pr", fix)
    return EnsureSlotRequest(
        **fields,
        branch=value("branch", branch),
        wait_s=age_s("slot-wait", slot_wait, DEFAULT_SLOT_WAIT_S),
        lease_s=slot_lease_s(slot_lease),
    )


def ensure_ready_request(
    *,
    images: str = "",
    backend: str = "",
    wait_timeout: str = "",
    slot_lease: str = "",
    claim: str = "",
    image: str = "",
    overwrite: bool = False,
    no_sync: bool = False,
    force: bool = False,
    allow_unhealthy: bool = False,
    no_hooks: bool = False,
    kubeconfig: str = "",
    context: str = "",
    output: str = "",
    **given: Any,
) -> EnsureReadyRequest:
    """Combine flags and ``CODEXCTL_*``, but for *force*; *given* are those of `slot_fields`."""
    cluster: dict[str, Any] = {"kubeconfig": kubeconfig, "context": context}
    fields = slot_fields(**given, **cluster, output=output)
    found = fields["source"]
    if not (found.slot or fields["issue"] or fields["pr"]):
        raise no_slot_named(**given)
    alike: dict[str, Any] = {"env": found.env, "config": str(found.config)}
    deploy = deploy_request(**alike, **cluster, wait_timeout=wait_timeout, no_hooks=no_hooks)
    sync = sync_request(**alike, **cluster, claim=claim, image=image, overwrite=overwrite)
    made = images_request(**alike, backend=backend)
    return EnsureReadyRequest(
        **fields,
        deploy=replace(deploy, source=found, output="text", repository=fields["repo"]),
        sync=replace(sync, source=found, output="text"),
        images=replace(made, source=found, output="text"),
        which=choice("images", value("images", images, "all"), IMAGE_STEPS),
        lease_s=slot_lease_s(slot_lease),
        syncs=not (no_sync or switch("CODEXCTL_NO_SYNC")),
        force=force,
        allows_unhealthy=allow_unhealthy or switch("CODEXCTL_ALLOW_UNHEALTHY"),
    )


def slot_set_request(
    *,
    issue: str = "",
    pr: str = "",
    branch: str = "",
    state: str = "",
    force: bool = False,
    **given: Any,
) -> SlotSetRequest:
    """
    Combine flags and ``CODEXCTL_*``, but for *force*: only a flag makes it happen.

    An empty value is not given; 0 stands for no Issue or PR.
    """
    fields = slot_fields(**given, needs_repo=bool(value("issue", issue) or value("pr", pr)))
    if not fields["source"].slot:
        raise UsageError("--slot", "is required", "name the slot whose record is to be changed")
    changes: dict[str, str | int] = {
        flag: count(flag, text)
        for flag, text in (("issue", issue), ("pr", pr))
        if value(flag, text)
    }
    if name := value("branch", branch):
        changes["branch"] = name
    if name := value("state", state):
        changes["state"] = choice("state", name, STATES)
    if not changes:
        what = "there is nothing to change"
        raise UsageError("slot-set", what, "give --issue, --pr, --branch or --state")
    return SlotSetRequest(**fields, changes=changes, force=force)


def release_request(*, force: bool = False, **given: Any) -> ReleaseRequest:
    """Combine flags and ``CODEXCTL_*``, but for *force*; *given* are those of `slot_fields`."""
    fields = slot_fields(**given)
    if not (fields["source"].slot or fields["issue"] or fields["pr"]):
        raise no_slot_named(**given)
    return ReleaseRequest(**fields, force=force)


def slot_fields(
    *,
    env: str = "",
    issue: str = "",
    pr: str = "",
    repo: str = "",
    kubeconfig: str = "",
    context: str = "",
    output: str = "",
    ignores_slot: bool = False,
    needs_repo: bool = False,
    **given: Any,
) -> dict[str, Any]:
    """
    Return the fields of a `SlotRequest`; *given* are those of `source`.

    *ignores_slot*: A slot in ``CODEXCTL_SLOT`` is none that was asked for. *needs_repo*: A
    repository has to be known, although there is no Issue or PR here.
    """
    if issue.strip() or pr.strip():  # a flag beats the variable of the other one
        number, pr_number = (count(f, given or "0") for f, given in (("issue", issue), ("pr", pr)))
    else:
        number, pr_number = count("issue", ""), count("pr", "")
    name = repository_of(repo)
    if not name and (number or pr_number or needs_repo):
        what = "is required, because there is no GITHUB_REPOSITORY"
        raise UsageError("--repo", what, "say whose Issue or PR it is: owner/name")
    given = {**given, "slot": "0"} if ignores_slot else given
    summary, outputs = step_files()
    return {
        "source": source(env=value("env", env, DEFAULT_ENV), **given),
        "cluster": cluster_settings(kubeconfig, context),
        "chosen": chosen_flags(kubeconfig=kubeconfig, context=context),
        "repo": name,
        "issue": number,
        "pr": pr_number,
        "holder": this_holder(),
        "output": output_of(output),
        "files": ReportFiles(step_summary=summary, step_outputs=outputs),
    }


def no_slot_named(*, issue: str = "", pr: str = "", **_: Any) -> UsageError:
    """Return what to say to somebody who names no slot, Issue or pull request."""
    fix = "say which slot: --slot N, --issue N or --pr N"
    return zero_given(issue=issue, pr=pr) or UsageError("--slot", "is required", fix)


def zero_given(*, issue: str = "", pr: str = "", **_: Any) -> UsageError | None:
    """Return what is wrong with a number that only means that there is none; None: none is one."""
    for flag, given in (("issue", issue), ("pr", pr)):
        text = value(flag, given)
        if text and not text.strip("0"):
            return UsageError(f"--{flag}", f"there is no number {text}", "numbers begin with 1")
    return None


def slot_lease_s(given: str) -> float:
    """Return for how long a slot is a run's own."""
    lease_s = timeout_s("slot-lease", given, DEFAULT_SLOT_LEASE_S)
    if lease_s < SHORTEST_LEASE_S:
        what = f"{lease_s:g} s is too short to be kept"
        raise UsageError("--slot-lease", what, f"give {SHORTEST_LEASE_S:g} s or more")
    return lease_s
