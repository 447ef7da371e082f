"""``finish``: the Issue, the job summary and later jobs learn how a run ended."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.agent.publication import FILE, Publication
from codexctl_tasks.agent.result import Result, Status, Usage, write_result
from codexctl_tasks.agent.wording import Language, words_of
from codexctl_tasks.errors import ConfigurationError, UsageError
from codexctl_tasks.flows.agent.finish import LONGEST_MESSAGE, finish
from codexctl_tasks.hooks.builtin.comment_body import JOINER
from codexctl_tasks.requests.agents import Kind
from codexctl_tasks.settings import finish_request
from tests.support.fakes import FakeCluster, fake_outside
from tests.support.github_server import GitHubServer, Trouble, github_server
from tests.support.output_schema import check

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.fakes import FakeClock

MARKER = "<!-- codexctl-run -->"


class Desk:
    """Runs the task."""

    def __init__(self, folder: Path, server: GitHubServer, clock: FakeClock) -> None:
        self.folder, self.server, self.clock = folder, server, clock
        self.stream = io.StringIO()

    def leave(self, status: Status = Status.SUCCESS, **more: Any) -> None:
        """Write what the run leaves."""
        usage = Usage(input=12_000, cached_input=8_000, output=900)
        fields: dict[str, Any] = {
            "repo": "shop/web",
            "issue": 12,
            "slot": 3,
            "namespace": "shop-dev-3",
            "final_message": "Done, @octo",
            "usage": usage,
            "duration_s": 754.0,
            **more,
        }
        write_result(self.folder, Result(status=status, **fields))

    def publish(self, status: Status = Status.SUCCESS, **more: Any) -> None:
        """Write what `publish` leaves on the same machine."""
        fields = {"pr": 20, "branch": "codex/issue-12", "commit": "c" * 40, **more}
        (self.folder / FILE).write_text(json.dumps(Publication(status=status, **fields).outputs))

    def run(self, **given: Any) -> int:
        """Run the task."""
        given = {"issue": "12", "result_dir": str(self.folder), **given}
        outside = fake_outside(FakeCluster(), self.clock, self.stream)
        return finish(finish_request(**given), outside)


@pytest.fixture
def server() -> Iterator[GitHubServer]:
    """Run a small GitHub."""
    with github_server() as running:
        yield running


@pytest.fixture
def desk(
    server: GitHubServer, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Desk:
    """Give the task a token and a folder."""
    monkeypatch.setenv("CODEXCTL_GH_PAT", "secret-token")
    monkeypatch.setenv("GITHUB_API_URL", server.url)
    monkeypatch.setenv("GITHUB_REPOSITORY", "shop/web")
    for name, text in {"ACTIONS": "true", "RUN_ID": "7", "SERVER_URL": "https://x.example"}.items():
        monkeypatch.setenv(f"GITHUB_{name}", text)
    folder = tmp_path / "result"
    folder.mkdir()
    return Desk(folder, server, clock)


def test_a_success(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the work is, what it has cost, what to do now; nobody is called."""
    desk.leave()
    desk.publish(review=("go.mod: go.mod",))

    assert desk.run(output="json") == 0

    assert desk.server.bodies[0] == (
        f"{MARKER}\n"
        "### ✅ The agent is done\n\n"
        "- Pull request: #20\n"
        "- Run: https://x.example/shop/web/actions/runs/7\n"
        "- Branch: `codex/issue-12` (`cccccccccccc`)\n"
        "- Environment: `shop-dev-3` (3)\n"
        "- Duration: 12 min 34 s\n"
        "- Tokens: 12,000 (8,000 cached) + 900\n\n"
        "**Look closely at:**\n\n- `go.mod: go.mod`\n\n"
        "Read it before you merge it; a review that asks for changes goes on here.\n\n"
        f"<details><summary>What the agent said</summary>\n\nDone, @{JOINER}octo\n\n</details>"
    )
    data = json.loads(capsys.readouterr().out)
    check(data, "finish")
    assert (data["pr"], data["tokens"]["cachedInput"]) == (20, 8000)


def test_one_comment(desk: Desk) -> None:
    """The next run changes it in place."""
    desk.leave(Status.TIMEOUT, reason="after 30 min")
    assert desk.run(lang="ru") == 70
    desk.leave()
    desk.publish()
    assert desk.run(lang="ru-RU") == 0
    [body] = desk.server.bodies
    assert "### ✅ Агент закончил работу" in body


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("status", list(Status))
def test_every_status(desk: Desk, status: Status, language: Language) -> None:
    """It is named with what to do, in both languages; the exit code is that of the status."""
    desk.server.add(f"{MARKER}\nbefore")
    desk.leave(status, reason="a `reason`")
    desk.publish()
    assert desk.run(lang=language.value) == status.exit_code
    [body] = desk.server.bodies
    words = words_of(language)
    assert words.heads[status] in body
    assert words.advice[status] in body
    assert (f"{words.reason}: `` a `reason` ``" in body) is (status is not Status.SUCCESS)


def test_a_run_that_left_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its jobs tell what happened."""
    needs = {
        "gate": {"result": "success", "outputs": {"allowed": "true"}},
        "slot": {"result": "success", "outputs": {"slot": "3", "namespace": "shop-dev-3"}},
        "agent": {"result": "cancelled", "outputs": {}},
        "publish": {"result": "skipped", "outputs": {}},
    }
    monkeypatch.setenv("CODEXCTL_NEEDS", json.dumps(needs))
    assert desk.run(result_dir="") == 130
    [body] = desk.server.bodies
    assert "### ⏹️ The run was cancelled\n\n- Why: `the job agent was cancelled`" in body
    assert "`shop-dev-3` (3)" in body


def test_a_damaged_result(desk: Desk) -> None:
    """It is a warning, and no success."""
    (desk.folder / "result.json").write_text("{")
    assert desk.run() == 1
    assert "is no result of a run" in desk.stream.getvalue()


@pytest.mark.parametrize("text", ["", '{"status": "success"}'])
def test_no_result_at_a_terminal(desk: Desk, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A folder that was mistyped is no failure of the run: nobody is told of one."""
    monkeypatch.delenv("GITHUB_ACTIONS")
    if text:
        (desk.folder / "result.json").write_text(text)
    with pytest.raises(ConfigurationError, match=r"result\.json: .*prompt-run has written to"):
        desk.run()
    assert desk.server.bodies == []


def test_the_folder_that_is_meant_without_a_flag(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the one that prompt-run writes to, without a flag as well."""
    monkeypatch.chdir(desk.folder.parent)
    monkeypatch.delenv("GITHUB_ACTIONS")
    desk.folder = desk.folder.rename("agent-result").absolute()
    desk.leave()
    desk.publish()
    assert desk.run(result_dir="") == 0


def test_needs_that_make_no_sense(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever wrote the workflow learns of it."""
    monkeypatch.setenv("CODEXCTL_NEEDS", "gate")
    assert desk.run() == 1
    assert "CODEXCTL_NEEDS tells of no job" in desk.stream.getvalue()


def test_who_gets_no_comment(desk: Desk) -> None:
    """Strangers do not make us write; an answer is a comment already."""
    desk.leave(Status.DENIED)
    assert desk.run() == 0
    desk.leave(kind=Kind.PLAN)
    desk.publish(pr=0, url="https://x.example/c/1")
    assert desk.run(kind="plan") == 0
    desk.leave()
    desk.run(no_comment=True)
    assert desk.server.bodies == []


def test_files_of_a_step(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A summary for people, outputs for the caller; secrets are masked in both."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "outputs"))
    desk.leave(final_message=f"secret-token {'x' * 2 * LONGEST_MESSAGE}")
    desk.publish()
    desk.run()
    told = (tmp_path / "outputs").read_text().splitlines()
    found = {line.partition("<<")[0]: told[at + 1] for at, line in enumerate(told) if "<<" in line}
    assert set(found) == {
        *("status", "reason", "slot", "namespace", "thread-id", "final-message", "pr-number"),
        *("url", "branch", "commit", "input-tokens", "cached-input-tokens", "output-tokens"),
        *("reasoning-tokens", "duration", "comment-url"),
    }
    assert (found["status"], found["duration"]) == ("success", "754")
    assert len(found["final-message"]) <= LONGEST_MESSAGE
    summary = (tmp_path / "summary").read_text()
    assert "### ✅ The agent is done" in summary
    assert "secret-token" not in summary + "\n".join(told) + "".join(desk.server.bodies)


@pytest.mark.parametrize(
    "trouble", [Trouble(401, "Bad credentials"), Trouble(404, "Not Found"), Trouble(403, "no")]
)
def test_a_github_that_refuses(desk: Desk, trouble: Trouble) -> None:
    """The outcome of the run stays what it is; that nobody was told is a warning."""
    desk.leave()
    desk.publish()
    desk.server.troubles = [trouble] * 3
    assert desk.run() == 0
    assert "no comment was written" in desk.stream.getvalue()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"issue": ""}, "give --issue N or --pr N"),
        ({"pr": "12"}, "cannot be combined"),
        ({"kind": "deploy"}, "'deploy' is unknown"),
        ({"lang": "de"}, "use en or ru"),
    ],
)
def test_wrong_usage(desk: Desk, given: dict[str, str], said: str) -> None:
    """Exit code 2, in one line."""
    with pytest.raises(UsageError, match=said):
        desk.run(**given)
