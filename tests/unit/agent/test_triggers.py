"""What an event asks for."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from codexctl_tasks.agent.triggers import NoTriggerError, Rules, trigger_of
from codexctl_tasks.requests.agents import Kind

RULES = Rules(
    labels={"[ai-dev]": "dev", "[ai-plan]": "plan"},
    command="/codex",
    branch_prefix="codex/issue-",
    app_id=77,
)
OCTO = {"login": "octo"}


def _label(name: str, action: str = "labeled") -> dict[str, Any]:
    return {"action": action, "label": {"name": name}, "issue": {"number": 12}, "sender": OCTO}


def _comment(body: str, **more: Any) -> dict[str, Any]:
    said = {"body": body, "user": OCTO, **more}
    return {"action": "created", "comment": said, "issue": {"number": 12}, "sender": OCTO}


def _review(state: str = "changes_requested", ref: str = "codex/issue-3") -> dict[str, Any]:
    return {
        "action": "submitted",
        "review": {"state": state, "body": "no", "user": OCTO},
        "pull_request": {"number": 9, "head": {"ref": ref}},
        "sender": OCTO,
    }


@pytest.mark.parametrize(
    ("name", "event", "kind", "number"),
    [
        ("issues", _label("[ai-dev]"), Kind.DEV, 12),
        ("issues", _label(" [AI-Plan] "), Kind.PLAN, 12),
        (
            "pull_request",
            {**_label("[ai-dev]"), "issue": None, "pull_request": {"number": 5}},
            "dev",
            5,
        ),
        ("issue_comment", _comment("/codex"), Kind.DEV, 12),
        ("issue_comment", _comment("\n  /CODEX plan-review and so on"), Kind.PLAN_REVIEW, 12),
        ("issue_comment", _comment("/codex mend the colours"), Kind.DEV, 12),
        ("pull_request_review", _review(), Kind.DEV, 9),
    ],
)
def test_what_starts_a_run(name: str, event: dict[str, Any], kind: str, number: int) -> None:
    """A label, a command, a review that requests changes of an agent's pull request."""
    found = trigger_of(name, event, RULES)

    assert (found.kind, found.number, found.sender) == (kind, number, "octo")


def _of_other(event: dict[str, Any]) -> dict[str, Any]:
    other = deepcopy(event)
    other["sender"] = {"login": "mallory"}
    return other


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("issues", _label("[ai-dev]", "unlabeled")),
        ("issues", _label("[ai-dev]", "opened")),
        ("issues", _label("bug")),
        ("issues", {}),
        ("issues", {**_label("[ai-dev]"), "issue": {"number": "12"}}),
        ("issue_comment", _comment("look: /codex")),
        ("issue_comment", _comment("> /codex plan")),
        ("issue_comment", _comment("/codexx")),
        ("issue_comment", _comment("")),
        ("issue_comment", {**_comment("/codex"), "action": "edited"}),
        ("issue_comment", _comment("<!-- codexctl-run -->\n/codex")),
        ("issue_comment", _comment("/codex", performed_via_github_app={"id": 77})),
        ("issue_comment", _of_other(_comment("/codex"))),
        ("pull_request_review", _review("approved")),
        ("pull_request_review", _review(ref="main")),
        ("pull_request_review", {**_review(), "action": "dismissed"}),
        ("pull_request_review", _of_other(_review())),
        ("push", {"ref": "refs/heads/main"}),
        ("schedule", {}),
        ("", {}),
    ],
)
def test_what_starts_none(name: str, event: dict[str, Any]) -> None:
    """Everything else, our own comments and quotations above all."""
    with pytest.raises(NoTriggerError):
        trigger_of(name, event, RULES)
