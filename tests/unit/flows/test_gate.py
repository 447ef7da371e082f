"""``gate``: whether a run of an agent may begin, asked of a small GitHub."""

from __future__ import annotations

import hashlib
import io
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from codexctl_tasks.errors import CodexctlError
from codexctl_tasks.flows.agent.gate import gate
from codexctl_tasks.settings import gate_request
from tests.support.fakes import FakeCluster, fake_outside
from tests.support.github_server import GitHubServer, Trouble, github_server
from tests.support.output_schema import check

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.fakes import FakeClock

LABELED = {
    "action": "labeled",
    "label": {"name": "[ai-dev]"},
    "issue": {"number": 12},
    "sender": {"login": "octo"},
}


class Door:
    """Runs the task in the environment of a workflow."""

    capsys: pytest.CaptureFixture[str]

    def __init__(
        self, server: GitHubServer, clock: FakeClock, folder: Path, patch: pytest.MonkeyPatch
    ) -> None:
        self.server, self.clock, self.folder, self.patch = server, clock, folder, patch
        self.stream = io.StringIO()
        server.facts.people |= {
            "octo": ("User", "write"),
            "reader": ("User", "read"),
            "renovate[bot]": ("Bot", "none"),
        }
        server.facts.members["workflow_runs"] = [{"run_attempt": 1, "conclusion": None}]
        for name, value in {
            "GITHUB_API_URL": server.url,
            "GITHUB_TOKEN": "ghs_workflow",
            "GITHUB_REPOSITORY": "shop/web",
            "GITHUB_WORKFLOW_REF": "shop/web/.github/workflows/ai-run.yml@refs/heads/main",
            "GITHUB_EVENT_PATH": str(folder / "event.json"),
            "GITHUB_OUTPUT": str(folder / "outputs"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        }.items():
            patch.setenv(name, value)
        self.event("issues", LABELED)
        self.by("octo")

    def event(self, name: str, event: dict[str, Any]) -> None:
        """Start the workflow by another event."""
        self.patch.setenv("GITHUB_EVENT_NAME", name)
        (self.folder / "event.json").write_text(json.dumps(event))

    def by(self, actor: str, triggering: str = "") -> None:
        """Start the workflow as somebody else."""
        self.patch.setenv("GITHUB_ACTOR", actor)
        self.patch.setenv("GITHUB_TRIGGERING_ACTOR", triggering or actor)

    def ask(self, **given: Any) -> dict[str, Any]:
        """Run the task; return its answer, which the step's outputs say as well."""
        outside = fake_outside(FakeCluster(), self.clock, self.stream)
        self.capsys.readouterr()
        assert gate(gate_request(**given, output="json"), outside) == 0
        answer: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        check(answer, "gate")
        outputs = (self.folder / "outputs").read_text("utf-8")
        assert f"\n{'true' if answer['allowed'] else 'false'}\n" in outputs
        return answer

    def refused(self, part: str, **given: Any) -> None:
        """Run the task, whose answer is no, with a reason that holds these words."""
        answer = self.ask(**given)
        assert (answer["allowed"], answer["kind"], answer["ref"]) == (False, "", "")
        assert answer["status"] == "denied"
        assert "\ndenied\n" in (self.folder / "outputs").read_text("utf-8")
        assert part in answer["reason"]
        assert part in (self.folder / "summary").read_text("utf-8")


@pytest.fixture
def door(
    clock: FakeClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Door]:
    """Run a small GitHub, and label Issue 12 there as somebody who may write."""
    with github_server() as server:
        made = Door(server, clock, tmp_path, monkeypatch)
        made.capsys = capsys
        yield made


def test_a_label(door: Door) -> None:
    """Of somebody who may write: the run begins, with the model of the labels."""
    labels = [{"name": "[ai-dev]"}, {"name": "[ai-model-gpt-5]"}, {"name": "[ai-reasoning-high]"}]
    door.server.facts.add_issue(12, labels=labels, updated_at="2026-01-02T12:00:00Z")

    answer = door.ask()

    digest = hashlib.sha256(b"Issue 12\0").hexdigest()[:32]
    assert answer == {
        "version": 1,
        "exitCode": 0,
        "allowed": True,
        "status": "",
        "reason": "",
        "kind": "dev",
        "issue": 12,
        "pr": 0,
        "ref": "",
        "model": "gpt-5",
        "effort": "high",
        "isFork": False,
        "seen": f"2026-01-02T12:00:00Z {digest}",
    }
    assert "dev for Issue #12" in (door.folder / "summary").read_text("utf-8")


def test_a_second_label(door: Door) -> None:
    """The run begins where the last one for the Issue has ended: at the branch with its work."""
    door.server.facts.add_branch("codex/issue-12")
    assert door.ask()["ref"] == "codex/issue-12"
    assert door.ask(branch_prefix="bot/")["ref"] == ""


def test_by_hand(door: Door) -> None:
    """Flags or inputs of the workflow say what is to be run."""
    door.event("workflow_dispatch", {"inputs": {"issue": "#12", "kind": "plan"}})
    assert (door.ask()["kind"], door.ask()["issue"]) == ("plan", 12)
    assert door.ask(issue="12", kind="repair", model="x")["model"] == "x"

    door.event("workflow_dispatch", {"inputs": None})
    door.refused("nobody said")
    door.refused("is an issue, not a pull request", pr="12")


def test_a_pull_request(door: Door) -> None:
    """Of its own branches the name is checked out, of a fork's the commit that was seen."""
    pull = door.server.facts.add_pull(7, "topic")
    door.event("workflow_dispatch", {"inputs": {"pull-request": "7", "kind": "review"}})
    assert (door.ask()["ref"], door.ask()["pr"], door.ask()["issue"]) == ("topic", 7, 0)

    pull["head"]["repo"] = {"full_name": "fork/web"}
    door.refused("from a fork")
    door.refused("to which nothing is pushed", kind="dev", pr="7", allow_forks=True)
    answer = door.ask(allow_forks=True)
    assert (answer["isFork"], answer["ref"]) == (True, pull["head"]["sha"])


def test_who(door: Door) -> None:
    """Both who started it and who started it again; bots by name."""
    door.by("octo", "reader")
    door.refused("reader may not write")
    assert door.ask(allowed_users=" Reader,")["allowed"]
    door.by("nobody")
    door.refused("404")
    door.by("reader")
    door.refused("reader may not write")
    door.event("issues", {**LABELED, "sender": {"login": "renovate[bot]"}})
    door.by("renovate[bot]")
    door.refused("is a bot")
    assert door.ask(allowed_bots="renovate[bot]")["allowed"]
    with pytest.raises(CodexctlError, match="everybody"):
        door.ask(allowed_users="*")


def test_how_often(door: Door) -> None:
    """Repetitions count; runs that were skipped do not."""
    runs = [{"run_attempt": 2, "conclusion": "failure"}, {"conclusion": "skipped"}]
    door.server.facts.members["workflow_runs"] = runs
    assert door.ask(max_runs="2")["allowed"]
    door.refused("2 runs within an hour", max_runs="1")
    asked = next(each.target for each in door.server.requests if "runs?" in each.target)
    assert "actor=octo" in asked
    assert "created=%3E%3D20" in asked


@pytest.mark.parametrize("number", range(5))
def test_what_cannot_be_found_out_is_refused(door: Door, number: int) -> None:
    """Whichever question fails: about the Issue, its branch, the person, the right, the runs."""
    door.ask()
    targets = [urlsplit(each.target).path for each in door.server.requests]
    door.server.fails = targets[number]
    door.refused("GitHub answered 403")
    assert len(targets) == 5


@pytest.mark.parametrize("status", [401, 403, 404, 410, 422])
def test_an_error_of_github_refuses(door: Door, status: int) -> None:
    """The run is green and skipped, and says why."""
    door.server.troubles = [Trouble(status, "no")]
    door.refused("GitHub answered")


def test_a_github_that_is_away_refuses(door: Door) -> None:
    """After two minutes; the door stays shut."""
    door.server.troubles = [Trouble(503, "away")] * 20
    door.refused("503")


@pytest.mark.parametrize(
    ("variable", "part"),
    [
        ("GITHUB_TOKEN", "no token"),
        ("GITHUB_REPOSITORY", "not set"),
        ("GITHUB_ACTOR", "not set"),
        ("GITHUB_EVENT_PATH", "no event"),
        ("GITHUB_EVENT_NAME", "starts no run"),
        ("GITHUB_WORKFLOW_REF", "cannot be counted"),
    ],
)
def test_what_is_not_said_is_refused(door: Door, variable: str, part: str) -> None:
    """An environment that is no workflow's opens nothing."""
    door.patch.setenv(variable, "")
    door.refused(part)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"action": "labeled"}', "[" * 10**5])
def test_an_event_that_is_none(door: Door, text: str) -> None:
    """It is refused, not fallen over."""
    (door.folder / "event.json").write_text(text)
    assert door.ask()["allowed"] is False


def test_labels_that_contradict_each_other(door: Door) -> None:
    """No model is chosen by chance; one that is not on the list is not used."""
    labels = [{"name": "[ai-model-a]"}, {"name": "[ai-model-b]"}]
    door.server.facts.add_issue(12, labels=labels)
    door.refused("contradict")
    door.server.facts.add_issue(12, labels=labels[:1])
    door.refused("a is not allowed here", models="x,y")


def test_the_issue(door: Door) -> None:
    """Closed, or elsewhere by now: no run."""
    door.server.facts.add_issue(12, state="closed")
    door.refused("is closed")
    door.server.facts.add_issue(40)
    door.server.facts.moved[12] = f"{door.server.url}/repos/shop/web/issues/40"
    door.refused("has moved")
