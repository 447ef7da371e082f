"""``comment-pr``: an Issue or a pull request learns of its slot, in one comment."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import CodexctlError, UsageError
from codexctl_tasks.flows.slots.comment import comment_pr
from codexctl_tasks.hooks.builtin.comment_body import JOINER
from codexctl_tasks.settings import comment_request
from codexctl_tasks.settings.comments import COMMENT_STATES, LANGUAGES
from codexctl_tasks.slots.comment import STATES, Language
from codexctl_tasks.slots.record import DamagedRecord, Record, State
from codexctl_tasks.slots.store import Slots
from tests.support.fakes import FakeCluster, fake_outside
from tests.support.github_server import GitHubServer, Trouble, github_server
from tests.support.output_schema import check

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.fakes import FakeClock
    from tests.support.project import Project

SERVICES = """
project: shop
maxSlots: 9
baseDomain: {ai: ai.example.com}
state: {configmapNamespace: shop-system, configmapPrefix: shop-slot-}
codex:
  promptLang: en
  links: [{title: Shop, path: /}, {title: "API @octo", path: /api}]
"""
MARKER = "<!-- codexctl-slot: shop/ai -->"
USED = datetime(2026, 11, 26, 10, 30, tzinfo=UTC)
RECORD = Record(
    slot=3,
    env="ai",
    namespace="shop-dev-3",
    project="shop",
    repo="shop/web",
    issue=12,
    state=State.READY,
    used=USED,
)


class Desk:
    """Runs the task with a cluster that is a dictionary and a small GitHub."""

    def __init__(self, server: GitHubServer, clock: FakeClock) -> None:
        self.server, self.clock = server, clock
        self.cluster, self.stream = FakeCluster(), io.StringIO()
        self.slots = Slots(self.cluster, "shop-system", "shop-slot-")

    def run(self, **given: Any) -> int:
        """Run the task with these flags."""
        outside = fake_outside(self.cluster, self.clock, self.stream)
        return comment_pr(comment_request(**given), outside)

    def refused(self, **given: Any) -> CodexctlError:
        """Run the task that ends with an error; nothing was written."""
        with pytest.raises(CodexctlError) as caught:
            self.run(**given)
        assert [r.method for r in self.server.requests if r.method != "GET"] == []
        return caught.value

    def put(self, record: Record) -> None:
        """Write a record, or another version of it."""
        before = self.slots.get(record.slot)
        if before:
            self.slots.delete(before)
        assert self.slots.create(record)


@pytest.fixture
def server() -> Iterator[GitHubServer]:
    """Run a small GitHub."""
    with github_server() as running:
        yield running


@pytest.fixture
def desk(
    server: GitHubServer, clock: FakeClock, project: Project, monkeypatch: pytest.MonkeyPatch
) -> Desk:
    """Give the task a stack, slot 3 for Issue 12, and a person's token."""
    project.write(services_yaml=SERVICES)
    monkeypatch.setenv("CODEXCTL_GH_PAT", "secret-token")
    monkeypatch.setenv("GITHUB_API_URL", server.url)
    monkeypatch.setenv("GITHUB_REPOSITORY", "shop/web")
    made = Desk(server, clock)
    made.put(RECORD)
    return made


def test_an_issue_learns_of_its_slot(desk: Desk, server: GitHubServer) -> None:
    """Links, namespace, when and how it ends; nobody is called."""
    assert desk.run(issue="12") == 0

    [body] = server.bodies
    assert body == (
        f"{MARKER}\n"
        "### Slot 3 is ready\n"
        "\n"
        "- [Shop](https://dev-3.ai.example.com/)\n"
        f"- [API \\@{JOINER}octo](https://dev-3.ai.example.com/api)\n"
        "- Namespace: `shop-dev-3`\n"
        "\n"
        "It is taken down when this Issue is closed; at once with "
        "`codexctl cleanup --env ai --slot 3`. It may be taken down from 2026-12-03 10:30 UTC on, "
        "unless it is used again."
    )
    assert desk.stream.getvalue() == (
        "comment  shop/web#12: wrote: https://github.example/shop/web/issues/12#issuecomment-1001\n"
    )


def test_one_comment_however_often(desk: Desk, server: GitHubServer) -> None:
    """It is changed in place, also when the Issue gets another slot; unchanged, it is not sent."""
    desk.put(replace(RECORD, state=State.PREPARING))
    desk.run(issue="12")
    desk.put(RECORD)
    desk.run(issue="12")
    desk.run(slot="3")
    assert (len(server.sent("POST")), len(server.sent("PATCH"))) == (1, 1)

    record = desk.slots.get(3)
    assert record
    desk.slots.delete(record)
    desk.put(replace(RECORD, slot=5, namespace="shop-dev-5"))
    desk.run(issue="12")

    [body] = server.bodies
    assert body.startswith(f"{MARKER}\n### Slot 5 is ready\n")


def test_two_runs_at_once(desk: Desk, server: GitHubServer) -> None:
    """The older comment stays, with what was said last."""
    server.before["POST"] = lambda: server.add(f"{MARKER}\nof the other run")

    desk.run(issue="12")

    assert [each["id"] for each in server.comments] == [1001]
    assert "### Slot 3 is ready" in server.bodies[0]


@pytest.mark.parametrize(
    ("token", "login", "kind"),
    [("secret-token", "mallory", "User"), ("ghs_workflow", "dependabot[bot]", "Bot")],
)
def test_comments_of_others(
    desk: Desk,
    server: GitHubServer,
    monkeypatch: pytest.MonkeyPatch,
    *,
    token: str,
    login: str,
    kind: str,
) -> None:
    """Whoever copies the marker, person or bot, keeps what was written."""
    monkeypatch.setenv("CODEXCTL_GH_PAT", token)
    server.add(f"{MARKER}\nmine", login=login, kind=kind)

    for _ in range(2):
        desk.run(issue="12")

    assert server.bodies[0] == f"{MARKER}\nmine"
    assert len(server.comments) == 2


def test_a_pull_request(desk: Desk, server: GitHubServer) -> None:
    """That of the slot, if only the slot is named; the flag need not say which of the two it is."""
    server.facts.add_pull(15, "codex/issue-12")
    desk.put(replace(RECORD, pr=15, branch="codex/issue-12"))

    desk.run(slot="3")
    desk.run(issue="15")

    [comment] = server.comments
    assert comment["issue"] == 15
    assert "when this pull request is closed" in comment["body"]
    assert "- Branch: `codex/issue-12`" in comment["body"]


def test_what_the_event_is_about(
    desk: Desk, server: GitHubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a workflow nothing need be named."""
    (tmp_path / "event.json").write_text('{"issue": {"number": 12}}')
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event.json"))

    desk.run()

    assert server.comments[0]["issue"] == 12


def test_the_repository_of_the_record(
    desk: Desk, server: GitHubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slot of another repository is told there; one that was renamed is found."""
    monkeypatch.setenv("GITHUB_REPOSITORY", "shop/infra")
    desk.put(replace(RECORD, repo="old/web"))
    server.renamed = f"{server.url}/repos/shop/web"

    desk.run(slot="3")

    assert [each["issue"] for each in server.comments] == [12]
    assert "shop/web#12: wrote" in desk.stream.getvalue()


def test_the_language(desk: Desk, server: GitHubServer, project: Project) -> None:
    """The flag, else that of prompts; of one that nobody has translated, a warning."""
    desk.run(issue="12", lang="ru")
    assert "Слот 3 готов" in server.bodies[0]

    project.write(services_yaml=SERVICES.replace("promptLang: en", "promptLang: ru-RU"))
    desk.run(issue="12")
    assert "Слот 3 готов" in server.bodies[0]

    project.write(services_yaml=SERVICES.replace("promptLang: en", "promptLang: de"))
    desk.run(issue="12")
    assert "Slot 3 is ready" in server.bodies[0]
    assert "warning: codex.promptLang: comments are not written in 'de'" in desk.stream.getvalue()


def test_a_slot_that_is_gone(desk: Desk, server: GitHubServer) -> None:
    """The comment says so; where there was none, none is written."""
    gone = desk.slots.get(3)
    assert gone
    desk.slots.delete(gone)
    desk.run(issue="12", state="released")
    assert server.bodies == []
    assert "shop/web#12: nothing\n" in desk.stream.getvalue()

    server.add(f"{MARKER}\n### Slot 3 is ready")
    desk.run(issue="12", state="released")
    desk.run(issue="12", slot="3", state="released")
    assert server.bodies == [
        f"{MARKER}\n### Slot 3 was taken down\n\nThis Issue has no environment of its own any more."
    ]


def test_a_slot_that_another_one_has_now(desk: Desk, server: GitHubServer) -> None:
    """Its old Issue is told that it is gone, and nothing of the new one."""
    desk.put(replace(RECORD, issue=13))
    server.add(f"{MARKER}\n### Slot 3 is ready")

    desk.run(issue="12", slot="3", state="released")

    assert "### Slot 3 was taken down" in server.bodies[0]


def test_a_slot_that_was_taken_again(desk: Desk, server: GitHubServer) -> None:
    """A late word of its end is not believed."""
    desk.run(issue="12", state="released")

    assert "### Slot 3 is ready" in server.bodies[0]
    assert "warning: slot 3 is still there: ready" in desk.stream.getvalue()


def test_what_programs_are_told(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON, and outputs of a step."""
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "outputs"))

    desk.run(issue="12", output="json", state="unhealthy")

    data = json.loads(capsys.readouterr().out)
    check(data, "comment-pr")
    url = "https://github.example/shop/web/issues/12#issuecomment-1001"
    assert (data["slot"], data["state"], data["comment"]) == (3, "unhealthy", "wrote")
    assert (data["repo"], data["number"], data["url"]) == ("shop/web", 12, url)
    told = (tmp_path / "outputs").read_text().splitlines()
    assert [told[at + 1] for at, line in enumerate(told) if "<<" in line] == [
        *("3", "shop-dev-3", "wrote", url),
    ]


def test_secrets_are_not_published(
    desk: Desk, server: GitHubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even a branch that is called like one."""
    monkeypatch.setenv("DB_PASSWORD", "hunter2-hunter2")
    desk.put(replace(RECORD, branch="hunter2-hunter2/secret-token"))

    desk.run(issue="12")

    assert "- Branch: `***/***`" in server.bodies[0]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "give --slot N, --issue N or --pr N"),
        ({"slot": "10"}, "maxSlots in services.yaml allows 1 to 9"),
        ({"slot": "4"}, "slot 4 is not taken"),
        ({"issue": "99"}, "shop/web#99 has no slot"),
        ({"issue": "12", "repo": "shop/api"}, "shop/api#12 has no slot"),
        ({"issue": "12", "pr": "12"}, "cannot be combined"),
        ({"issue": "12", "repo": "web"}, "write owner/name"),
        ({"issue": "12", "lang": "de"}, "use en or ru"),
        ({"issue": "12", "state": "fine"}, "'fine' is unknown"),
        ({"issue": "12", "ttl": "soon"}, "is no duration"),
        ({"slot": "3", "env": "qa"}, "give --env ai"),
    ],
)
def test_wrong_usage(desk: Desk, given: dict[str, str], said: str) -> None:
    """Exit code 2, in one line; GitHub is not asked."""
    error = desk.refused(**given)
    assert isinstance(error, UsageError)
    assert said in str(error)
    assert desk.server.requests == []


def test_a_slot_for_nobody(desk: Desk, server: GitHubServer) -> None:
    """There is no place for the comment until somebody names one."""
    desk.put(replace(RECORD, issue=0))
    assert "slot 3 is for no Issue or PR" in str(desk.refused(slot="3"))

    desk.run(slot="3", issue="12")
    assert len(server.comments) == 1


def test_a_damaged_record(desk: Desk) -> None:
    """It is named, exit code 3."""
    [(_, stored)] = [each for each in desk.cluster.objects.items() if each[0][0] == "ConfigMap"]
    stored["data"]["issue"] = "twelve"
    error = desk.refused(slot="3")
    assert isinstance(error, DamagedRecord)
    assert "ConfigMap shop-system/shop-slot-3: issue is 'twelve'" in str(error)


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (Trouble(404, "Not Found"), "it does not exist, or the token may not see it"),
        (Trouble(410, "This issue was deleted"), "it was deleted"),
        (Trouble(401, "Bad credentials"), "the token has expired"),
        (Trouble(301, headers={"Location": "https://evil.example/"}), "not sent to another host"),
        (Trouble(200, body=[]), "is no issue"),
    ],
)
def test_an_issue_that_github_does_not_show(desk: Desk, trouble: Trouble, said: str) -> None:
    """Exit code 5, in one line."""
    desk.server.troubles = [trouble]
    error = desk.refused(issue="12")
    assert (error.exit_code, said in str(error)) == (5, True)


def test_a_locked_conversation(desk: Desk, server: GitHubServer) -> None:
    """What to do about it is said."""
    server.facts.issues[12]["locked"] = True
    with pytest.raises(CodexctlError, match="unlock the conversation"):
        desk.run(issue="12")


def test_no_token(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says which variables are looked at."""
    monkeypatch.delenv("CODEXCTL_GH_PAT")
    error = desk.refused(issue="12")
    assert "comment-pr: there is no token: set CODEXCTL_GH_PAT or GITHUB_TOKEN" in str(error)


def test_names_in_settings() -> None:
    """Flags allow what there are texts for."""
    assert set(COMMENT_STATES) == set(STATES)
    assert set(LANGUAGES) == set(Language)
