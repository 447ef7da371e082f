"""How a run ended, from what its jobs have left: what failed stays failed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from codexctl_tasks.agent.ending import Job, ending_of, read_needs
from codexctl_tasks.agent.publication import Publication, read_publication
from codexctl_tasks.agent.result import Result, Status
from codexctl_tasks.requests.agents import Kind

SUBJECT = Result(status=Status.INFRA_FAILED, repo="shop/web", issue=12)
DONE = replace(SUBJECT, status=Status.SUCCESS, slot=3, namespace="shop-dev-3")
PUBLISHED = Publication(status=Status.SUCCESS, pr=20, branch="codex/issue-12", commit="c" * 40)
GATE = {"result": "success", "outputs": {"allowed": "true"}}


def jobs(**given: Any) -> dict[str, Job]:
    """Return jobs as GitHub tells of them: results, or whole entries."""
    entries = {
        name: each if isinstance(each, dict) else {"result": each, "outputs": {}}
        for name, each in given.items()
    }
    return read_needs(json.dumps(entries))


def published(result: str, **changes: Any) -> dict[str, Any]:
    """Return the job `publish`."""
    return {"result": result, "outputs": replace(PUBLISHED, **changes).outputs}


LOST = {
    "gate": GATE,
    "slot": {"result": "success", "outputs": {"slot": "3"}},
    "agent": {"result": "success", "outputs": {"status": "success", "final-message": "Done."}},
}
"""Jobs of a run whose files nobody has kept."""
WHOLE = {"gate": GATE, "slot": "success", "agent": "success"}


def test_a_success() -> None:
    """All facts for callers, as texts."""
    ending = ending_of(DONE, None, jobs(**WHOLE, publish=published("success")), SUBJECT)
    assert ending.status is Status.SUCCESS
    outputs = ending.outputs
    assert (outputs["pr-number"], outputs["commit"], outputs["slot"]) == ("20", "c" * 40, "3")
    assert set(map(type, outputs.values())) == {str}


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (
            {**WHOLE, "publish": published("failure", status=Status.PUBLISH_BLOCKED)},
            "publish-blocked",
        ),
        ({**WHOLE, "publish": published("success", status=Status.NO_CHANGES)}, "no-changes"),
        ({**WHOLE, "publish": published("failure")}, "infra-failed"),
        ({**WHOLE, "publish": "failure"}, "infra-failed"),
        ({**WHOLE, "publish": "skipped"}, "infra-failed"),
        ({**WHOLE, "publish": "cancelled"}, "cancelled"),
        ({**WHOLE, "agent": "failure", "publish": published("success")}, "infra-failed"),
        ({**WHOLE, "agent": "cancelled", "publish": "skipped"}, "cancelled"),
        ({**WHOLE, "slot": "failure", "publish": published("success")}, "infra-failed"),
        ({**WHOLE}, "infra-failed"),
        ({}, "infra-failed"),
    ],
)
def test_a_content_agent_is_not_enough(given: dict[str, Any], status: str) -> None:
    """An environment that failed, a job that died, work that nobody published: never a success."""
    assert ending_of(DONE, None, jobs(**given), SUBJECT).status.value == status


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.SUCCESS])
def test_a_result_that_is_no_success(status: Status) -> None:
    """Whatever `publish` says: it stays what it is."""
    result = replace(DONE, status=status, reason="why")
    ending = ending_of(result, PUBLISHED, {}, SUBJECT)
    assert (ending.status, ending.publication.reason, ending.publication.pr) == (status, "why", 0)


@pytest.mark.parametrize(
    ("given", "status", "reason"),
    [
        (
            {"gate": {"result": "success", "outputs": {"allowed": "false", "reason": "no"}}},
            "denied",
            "no",
        ),
        ({"gate": {"result": "success", "outputs": {}}}, "denied", ""),
        (
            {"gate": GATE, "slot": {"result": "failure", "outputs": {"status": "slot-timeout"}}},
            "slot-timeout",
            "",
        ),
        ({"gate": GATE, "slot": "failure"}, "infra-failed", "the job slot failed"),
        ({"gate": "failure"}, "infra-failed", "the job gate failed"),
        ({"gate": GATE, "agent": "cancelled"}, "cancelled", "the job agent was cancelled"),
        (
            {"gate": GATE, "agent": {"result": "failure", "outputs": {"status": "timeout"}}},
            "timeout",
            "",
        ),
        (
            {"gate": GATE, "agent": {"result": "success", "outputs": {"status": "success"}}},
            "infra-failed",
            "the run has left no result",
        ),
        (
            {
                "gate": {"result": "success", "outputs": {"allowed": "true", "status": ""}},
                "slot": {
                    "result": "failure",
                    "outputs": {"status": "slot-timeout", "reason": "all 3 are taken"},
                },
                "agent": {"result": "skipped", "outputs": {"status": "", "reason": ""}},
                "publish": "skipped",
            },
            "slot-timeout",
            "all 3 are taken",
        ),
        (
            {"gate": GATE, "slot": "cancelled", "agent": "skipped"},
            "cancelled",
            "the job slot was cancelled",
        ),
        (
            {"gate": GATE, "slot": "success", "agent": "failure"},
            "infra-failed",
            "the job agent failed",
        ),
        ({**LOST, "publish": published("success")}, "success", ""),
        (
            {**LOST, "publish": published("failure", status=Status.PUBLISH_BLOCKED, reason="no")},
            "publish-blocked",
            "no",
        ),
        ({**LOST, "publish": "cancelled"}, "cancelled", "the job publish was cancelled"),
        (
            {
                **LOST,
                "agent": {**LOST["agent"], "result": "failure"},
                "publish": published("success"),
            },
            "infra-failed",
            "the job agent failed",
        ),
        ({}, "infra-failed", "the run has left no result"),
    ],
)
def test_no_result(given: dict[str, Any], status: str, reason: str) -> None:
    """The jobs tell how far it came."""
    ending = ending_of(None, None, jobs(**given), SUBJECT)
    assert (ending.status.value, ending.publication.reason) == (status, reason)


def test_what_the_slot_told() -> None:
    """Its number and namespace are known although the agent never ran."""
    slot = {"result": "success", "outputs": {"slot": "3", "namespace": "shop-dev-3"}}
    ending = ending_of(None, None, jobs(gate=GATE, slot=slot, agent="failure"), SUBJECT)
    assert (ending.outputs["slot"], ending.outputs["namespace"]) == ("3", "shop-dev-3")


def test_failed_jobs_that_were_run_again_without_the_gate() -> None:
    """They do nothing, and the reason says what to do instead."""
    ending = ending_of(None, None, jobs(gate=GATE, slot="skipped", agent="skipped"), SUBJECT)
    assert ending.status is Status.INFRA_FAILED
    assert ending.publication.reason.endswith("run all jobs once more, not only the failed ones")


def test_what_the_agent_told() -> None:
    """Its thread is told on although its files are lost; its last message was among them."""
    agent = {"status": "success", "thread-id": "t-1"}
    given = jobs(
        gate=GATE,
        slot={"result": "success", "outputs": {"slot": "3"}},
        agent={"result": "success", "outputs": agent},
        publish=published("success"),
    )
    outputs = ending_of(None, None, given, SUBJECT).outputs
    assert (outputs["final-message"], outputs["thread-id"]) == ("", "t-1")
    assert (outputs["slot"], outputs["pr-number"]) == ("3", "20")


def test_a_result_of_another_run() -> None:
    """It is no success of this one."""
    ending = ending_of(replace(DONE, issue=13), PUBLISHED, {}, SUBJECT)
    assert ending.status is Status.INFRA_FAILED
    assert ending.result.issue == 12


def test_an_answer_on_a_laptop() -> None:
    """Nothing has to be published there."""
    plan = replace(DONE, kind=Kind.PLAN)
    assert ending_of(plan, None, {}, replace(SUBJECT, kind=Kind.PLAN)).status is Status.SUCCESS


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"gate": 1}', "[" * 100_000])
def test_needs_that_make_no_sense(text: str) -> None:
    """They tell of no job."""
    assert read_needs(text) == {}


def test_outputs_of_a_publication() -> None:
    """They are read as they were written; what makes no sense is left out."""
    whole = replace(PUBLISHED, blocked=("a", "b"), review=("c",), url="https://x.example/1")
    assert read_publication(whole.outputs) == whole
    assert read_publication({}) is None
    odd = {
        "status": "success",
        "pr-number": "x",
        "url": "javascript:1",
        "commit": "abc",
        "branch": 1,
    }
    assert read_publication(odd) == Publication(status=Status.SUCCESS)
