"""
Whether a run of an agent may begin: an answer, never a failure.

What cannot be found out is refused: an error of GitHub must not open the door.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from codexctl_tasks.agent.admission import Case, Person, Policy, policy_of, refusal
from codexctl_tasks.agent.choice import Choice, choose
from codexctl_tasks.agent.context import seen_of
from codexctl_tasks.agent.result import Status
from codexctl_tasks.agent.sanitizing import one_line
from codexctl_tasks.agent.triggers import NoTriggerError, Rules, Trigger, trigger_of
from codexctl_tasks.errors import DONE, ConfigurationError
from codexctl_tasks.flows.reporting import outputs_text, write_report
from codexctl_tasks.requests.agents import Kind
from codexctl_tasks.world.github_access import open_github
from codexctl_tasks.world.github_answers import GitHubError
from codexctl_tasks.world.github_people import count_runs, read_account

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codexctl_tasks.requests.gates import GateRequest
    from codexctl_tasks.world.github import GitHub
    from codexctl_tasks.world.github_objects import Issue
    from codexctl_tasks.world.outside import Outside

SCHEMA_VERSION = 1
"""Of the JSON document; see docs/output.md."""
PATIENCE_S = 120.0
"""For limits of GitHub; afterwards the answer is no."""
_BY_HAND, _PULL = "workflow_dispatch", "pull-request"
"""An event, and one of its inputs."""
_LARGEST_EVENT_BYTES = 2**25


class _RefusedError(Exception):
    """The answer is no; the text says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The answer, and what later jobs need to know."""

    allowed: bool
    reason: str
    """Why not; empty: it is allowed."""
    kind: str = ""
    issue: int = 0
    """0: it is about a pull request, or nothing."""
    pr: int = 0
    """0: it is about an issue, or nothing."""
    ref: str = ""
    """
    What to check out: a branch, of a fork a commit; empty: the default branch.

    Of an Issue the branch that earlier runs have pushed to, if there is one.
    """
    model: str = ""
    """Chosen by labels or by whoever starts it; empty: what services.yaml says."""
    effort: str = ""
    is_fork: bool = False
    seen: str = ""
    """What was there of it, for runs that no event tells of: see `agent.context.Seen`."""


def gate(request: GateRequest, outside: Outside) -> int:
    """
    Tell whether a run may begin; no is an answer, too, and ends with 0.

    Raises:
        ConfigurationError: The policy would let everybody in.
    """
    policy = policy_of(
        request.users,
        request.bots,
        allows_forks=request.allows_forks,
        most_runs=request.most_runs,
    )
    try:
        decision = _decide(request, policy, outside)
    except (_RefusedError, NoTriggerError, GitHubError, ConfigurationError) as error:
        decision = Decision(allowed=False, reason=one_line(str(error), 300))
    _tell(decision, request, outside)
    return DONE


def _decide(request: GateRequest, policy: Policy, outside: Outside) -> Decision:
    """Ask, and decide; whatever raises is a refusal."""
    if not request.repo or not request.actor:
        raise _RefusedError("GITHUB_REPOSITORY or GITHUB_ACTOR is not set: nobody asks")
    trigger = _trigger(request)
    clock = outside.clock
    deadline_s = clock.now() + PATIENCE_S
    github = open_github(
        request.variables, outside.console, clock, where="gate", deadline_s=deadline_s
    )
    with closing(github):
        return _answer(github, request, policy, trigger)


def _answer(github: GitHub, request: GateRequest, policy: Policy, trigger: Trigger) -> Decision:
    issue = github.issue(request.repo, trigger.number)
    if (issue.repository.casefold(), issue.number) != (request.repo.casefold(), trigger.number):
        raise _RefusedError(f"#{trigger.number} has moved to {issue.repository}#{issue.number}")
    if request.pr and not issue.is_pull_request:
        raise _RefusedError(f"#{request.pr} is an issue, not a pull request")
    if request.issue and issue.is_pull_request:
        raise _RefusedError(f"#{request.issue} is a pull request, not an issue")
    ref, is_fork = _head(github, issue, request.branch_prefix)
    actor = _person(github, request.repo, request.actor)
    is_same = request.actor.casefold() == request.triggering_actor.casefold()
    case = Case(
        kind=trigger.kind,
        actor=actor,
        triggering=actor if is_same else _person(github, request.repo, request.triggering_actor),
        sender=trigger.sender,
        is_pull_request=issue.is_pull_request,
        is_open=issue.is_open,
        is_fork=is_fork,
        runs=_runs(github, request),
    )
    if reason := refusal(case, policy):
        raise _RefusedError(reason)
    chosen = choose(Choice(), issue.labels, Choice(request.model, request.effort), request.models)
    return Decision(
        allowed=True,
        reason="",
        kind=trigger.kind.value,
        issue=0 if issue.is_pull_request else issue.number,
        pr=issue.number if issue.is_pull_request else 0,
        ref=ref,
        model=chosen.model,
        effort=chosen.effort,
        is_fork=is_fork,
        seen=str(seen_of(issue)),
    )


def _trigger(request: GateRequest) -> Trigger:
    """Return what is to be run: what was given by hand, else what the event asks for."""
    event = _event(request)
    if request.event != _BY_HAND:
        rules = Rules(
            labels=request.labels,
            command=request.command,
            branch_prefix=request.branch_prefix,
            app_id=request.app_id,
        )
        return trigger_of(request.event, event, rules)
    given = event.get("inputs")
    inputs: Mapping[str, Any] = given if isinstance(given, dict) else {}
    number = request.issue or request.pr or _number(inputs.get("issue") or inputs.get(_PULL))
    if not number:
        raise _RefusedError(f"nobody said which issue or pull request: give issue or {_PULL}")
    kind = request.kind or str(inputs.get("kind") or Kind.DEV.value)
    if kind not in [each.value for each in Kind]:
        raise _RefusedError(f"{kind[:40]!r} is no kind of run")
    sender = event.get("sender")
    login = sender.get("login") if isinstance(sender, dict) else ""
    return Trigger(kind=Kind(kind), number=number, sender=str(login or ""))


def _event(request: GateRequest) -> Mapping[str, Any]:
    """Return what GitHub says of the event."""
    if request.event_file is None:
        raise _RefusedError("GITHUB_EVENT_PATH is not set: there is no event")
    try:
        with request.event_file.open("rb") as file:
            event = json.loads(file.read(_LARGEST_EVENT_BYTES))
    except (OSError, ValueError, RecursionError):
        raise _RefusedError("the event cannot be read") from None
    if not isinstance(event, dict):
        raise _RefusedError("the event is no mapping")
    return event


def _number(given: Any) -> int:
    text = str(given or "").strip().removeprefix("#")
    return int(text) if text.isascii() and text.isdecimal() else 0


def _head(github: GitHub, issue: Issue, prefix: str) -> tuple[str, bool]:
    """Return what to check out, and whether it is a stranger's."""
    if not issue.is_pull_request:
        # A run goes on where the last one for the Issue has ended, or its work has no place to go.
        own = f"{prefix}{issue.number}"
        return (own if github.branch(issue.repository, own) else ""), False
    pull = github.pull_request(issue.repository, issue.number)
    # What a stranger pushes after the answer was given is not what was allowed.
    return (pull.head_sha, True) if pull.is_from_fork else (pull.head_ref, False)


def _person(github: GitHub, repository: str, login: str) -> Person:
    found = read_account(github, repository, login)
    return Person(found.login, found.is_bot, found.may_write)


def _runs(github: GitHub, request: GateRequest) -> int:
    """Return how often the actor has started this workflow within the last hour."""
    if not request.most_runs:
        return 0
    if not request.workflow:
        raise _RefusedError("GITHUB_WORKFLOW_REF is not set: runs cannot be counted")
    since = datetime.now(UTC) - timedelta(hours=1)
    return count_runs(github, request.repo, request.workflow, request.actor, since)


def _tell(decision: Decision, request: GateRequest, outside: Outside) -> None:
    """Tell people in a line, and later jobs in outputs."""
    console = outside.console
    about = f"{'PR' if decision.pr else 'Issue'} #{decision.pr or decision.issue}"
    line = f"{decision.kind} for {about}" if decision.allowed else f"refused: {decision.reason}"
    console.step("gate", line)
    told: dict[str, Any] = {
        "allowed": decision.allowed,
        "status": "" if decision.allowed else Status.DENIED.value,
        "reason": decision.reason,
        "kind": decision.kind,
        "issue": decision.issue,
        "pr": decision.pr,
        "ref": decision.ref,
        "model": decision.model,
        "effort": decision.effort,
        "isFork": decision.is_fork,
        "seen": decision.seen,
    }
    if summary := request.files.step_summary:
        shown = line.replace("`", "'").replace("<", "&lt;")
        write_report(summary, f"**Gate**: {shown}\n", console, "a")
    if outputs := request.files.step_outputs:
        texts = {name: _output(value) for name, value in told.items() if name != "isFork"}
        text = outputs_text({**texts, "is-fork": _output(decision.is_fork)})
        write_report(outputs, text, console, "a")
    if request.output == "json":
        console.result_as_json({"version": SCHEMA_VERSION, "exitCode": DONE, **told})


def _output(value: Any) -> str:
    """Return a value as a step of a workflow reads it; a number that there is not is empty."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value or "")
