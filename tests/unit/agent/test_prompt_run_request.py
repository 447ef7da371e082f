"""Flags of prompt-run, read or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import UsageError
from codexctl_tasks.settings import prompt_run_request

if TYPE_CHECKING:
    from codexctl_tasks.requests.prompt_runs import PromptRunRequest


def asked(**given: Any) -> PromptRunRequest:
    """Return the request of somebody in the repository org/shop."""
    return prompt_run_request(repo="org/shop", **given)


def test_an_issue_is_enough() -> None:
    """Everything else has a default."""
    found = asked(issue="7")
    assert (found.kind, found.issue, found.retries, found.timeout_s) == ("dev", 7, 3, 0)
    assert (found.result, found.claim) == (Path("agent-result"), "workspace")


def test_the_event_says_what_it_is_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of a workflow needs no number."""
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"issue": {"number": 9, "pull_request": {}}}))
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(event))
    assert (asked().issue, asked(slot="2").issue) == (9, 0)


def test_a_step_reads_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but --force can be given by the environment; the token only there, and is not shown."""
    for name, value in {
        "KIND": "review",
        "MODEL": "gpt-5.1",
        "EFFORT": "HIGH",
        "TIMEOUT": "5m",
        "MODEL_TOKEN": "secret-token",
        "FORCE": "true",
    }.items():
        monkeypatch.setenv(f"CODEXCTL_{name}", value)
    found = asked(pr="3")
    assert (found.kind, found.model, found.effort, found.timeout_s) == (
        *("review", "gpt-5.1", "high", 300),
    )
    assert (found.model_token, found.force) == ("secret-token", False)
    assert "secret-token" not in repr(found)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({}, "--slot: is required"),
        ({"issue": "0"}, "--issue: there is no number 0: numbers begin with 1"),
        ({"slot": "0", "pr": "0"}, "--pr: there is no number 0: numbers begin with 1"),
        ({"retries": "4"}, "--retries: 4 is too many: give 0 to 3"),
        ({"issue": "1", "pr": "2"}, "--issue: cannot be combined with --pr"),
        ({"kind": "deploy"}, "--kind: 'deploy' is unknown"),
        ({"effort": 'high"'}, "--effort: "),
        ({"model": "a b"}, "--model: 'a b' is no name"),
        ({"resume": "--last"}, "--resume: '--last' is no name"),
        ({"model_url": "proxy:8080"}, "--model-url: 'proxy:8080' is no address"),
        ({"model_url": "http://user:pw@proxy/v1"}, "--model-url: "),
        ({"prompt_file": "a", "template": "b"}, "--template: cannot be combined"),
        ({"lang": "de"}, "--lang: 'de' is unknown"),
        ({"timeout": "soon"}, "--timeout: "),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, str], what: str) -> None:
    """Nothing is started with a flag that nobody understands."""
    with pytest.raises(UsageError) as caught:
        asked(**({} if "issue" in given or not given else {"slot": "1"}) | given)
    assert what in str(caught.value)
