"""The shop's agent, through its own workflow: from a label to a pull request, and on from there."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.agent_image import push_agent_image
from tests.support.git_server import git_server, merge_base, run_git
from tests.support.github_server import github_server
from tests.support.model_server import model_server, runs, says
from tests.support.shell import run
from tests.workflows.shop import MARK, SOURCE, Shop, slots_of_the_shop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.act import Run
    from tests.support.git_server import GitServer
    from tests.support.github_server import GitHubServer
    from tests.support.model_server import ModelServer

pytestmark = pytest.mark.cluster

REPOSITORY = "team/shop"
ISSUE = os.getpid()
"""Other checkouts may be tested at the same time."""
BRANCH = f"codex/issue-{ISSUE}"
PERSON, STRANGER = "ann", "eve"
KEY, TOKEN, JOB_TOKEN = f"sk-{MARK}", f"ghp-{MARK}", f"ghs-{MARK}"
COMMIT = "git -c user.name=Agent -c user.email=agent@example.com commit --quiet --all --message"


class Team:
    """The shop's repository on a GitHub, its people, and a model that follows a script."""

    def __init__(
        self, shop: Shop, github: GitHubServer, forge: GitServer, model: ModelServer
    ) -> None:
        self.shop, self.github, self.forge, self.model = shop, github, forge, model
        forge.tokens = {TOKEN: True}
        self.repository = forge.create(REPOSITORY)
        github.repository = github.facts.repository = REPOSITORY
        github.accounts = {TOKEN: ("shop-bot", "User"), JOB_TOKEN: ("github-actions", "Bot")}
        github.facts.people = {PERSON: ("User", "write"), STRANGER: ("User", "read")}
        repository = self.repository
        github.facts.merge_base = lambda branch, commit: merge_base(repository, branch, commit)
        self.issue = github.facts.add_issue(
            ISSUE,
            title="Say how many products there are",
            body="Customers ask.",
            user={"login": PERSON, "type": "User"},
            labels=[{"name": "[ai-dev]"}],
            updated_at=datetime.now(UTC).isoformat(),
        )

    def label(self, name: str, who: str = PERSON) -> Run:
        """Let somebody add a label to the Issue: the workflow runs to its end."""
        about = {"action": "labeled", "label": {"name": name}, "issue": self.issue}
        self.issue["labels"] = [{"name": name}]
        return self.event("issues", about, who)

    def event(self, name: str, about: dict[str, Any], who: str = PERSON) -> Run:
        """Let something happen that the workflow listens to."""
        for branch in self.forge.branches(REPOSITORY):
            self.github.facts.add_branch(branch)
        repository = {"default_branch": "main", "full_name": REPOSITORY}
        return self.shop.push(
            workflow="ai-run.yml",
            event=name,
            payload={**about, "sender": {"login": who}, "repository": repository},
            secrets={
                "GITHUB_TOKEN": JOB_TOKEN,
                "OPENAI_API_KEY": KEY,
                "CODEXCTL_GH_PAT": TOKEN,
            },
            variables={"SHOP_AGENT_IMAGE": self.image},
            env={
                "CHECKOUT_ROOT": str(self.forge.root),
                "GITHUB_API_URL": self.github.url,
                "GITHUB_SERVER_URL": self.forge.url,
                "GITHUB_WORKFLOW_REF": f"{REPOSITORY}/.github/workflows/ai-run.yml@refs/heads/main",
                "SHOP_MODEL_URL": self.model.url,
                "CODEXCTL_NAMESPACE": "",
            },
            actor=who,
        )

    @property
    def image(self) -> str:
        """What agents work in."""
        return push_agent_image(self.shop.registry)

    def artifacts(self) -> list[Path]:
        """Return the files that jobs have left for each other."""
        return [path for path in self.shop.folder.glob("*/artifacts/*/*") if path.is_file()]

    def log(self) -> list[str]:
        """Return the commits of the agent's branch that main has not, the newest first."""
        return run_git(self.repository, "log", "--format=%an: %s", f"main..{BRANCH}").splitlines()

    def clean(self) -> None:
        """Remove the slot."""
        words = ("cleanup", "--issue", str(ISSUE), "--force", "--repo", REPOSITORY)
        env = {**self.shop.cluster, "SHOP_AGENT_IMAGE": self.image}
        done = run(*words, "--env", "ai", cwd=SOURCE, env=env)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def team(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("agent")
    address = shop.cluster["SANDBOX_HOST"]
    with (
        slots_of_the_shop(),
        git_server(folder / "forge") as forge,
        github_server() as github,
        model_server(address) as model,
    ):
        made = Team(shop, github, forge, model)
        _push_shop(made, folder / "shop")
        yield made
        made.clean()


def _push_shop(team: Team, checkout: Path) -> None:
    ignored = shutil.ignore_patterns("pins.json", "__pycache__")
    shutil.copytree(SOURCE, checkout, ignore=ignored)
    run_git(checkout, "init", "--quiet", "--initial-branch", "main")
    run_git(checkout, "add", "--all")
    run_git(checkout, "commit", "--quiet", "--message", "The shop")
    run_git(checkout, "push", "--quiet", str(team.repository), "main")


def test_a_stranger_starts_nothing(team: Team) -> None:
    """The run is green and says why; no slot is taken, nobody is told on the Issue."""
    done = team.label("[ai-dev]", STRANGER)

    assert done.exit_code == 0, done.tail
    assert done.outputs["status"] == "denied"
    assert "eve" in done.summary
    assert "Take a slot" not in done.steps
    assert team.github.comments == []
    assert team.model.asked == []


def test_from_a_label_to_a_pull_request(team: Team) -> None:
    """A draft with the agent's own commit, one comment, the slot given back; no secret shown."""
    team.model.play(
        runs(f"sed -i 's/This page/Products: 3. This page/' web/page.py; {COMMIT} 'Say how many'"),
        says("The page says how many products there are."),
    )

    done = team.label("[ai-dev]")

    assert done.exit_code == 0, done.tail
    assert done.outputs["status"] == "success"
    assert team.log() == ["Agent: Say how many"]
    [pull] = team.github.facts.pulls.values()
    assert (pull["draft"], pull["head"]["ref"], pull["base"]["ref"]) == (True, BRANCH, "main")
    assert len(team.github.comments) == 1
    assert {asked.headers["Authorization"] for asked in team.model.asked} == {f"Bearer {KEY}"}
    shown = (*done.lines, done.summary, done.outputs, team.github.bodies, pull)
    assert not [each for each in shown if MARK in str(each)]
    assert {path.name for path in team.artifacts()} >= {
        "result.json",
        "work.bundle",
        "events.jsonl",
    }
    assert not [path for path in team.artifacts() if MARK.encode() in path.read_bytes()]
    assert MARK not in team.shop.objects()


def test_a_second_label_goes_on(team: Team) -> None:
    """The agent knows what it has said, and its next commit stands on the branch's last one."""
    before = team.forge.tip(REPOSITORY, BRANCH)
    team.model.play(
        runs(f"sed -i 's/Products: 3/3 products/' web/page.py; {COMMIT} 'Say it shorter'"),
        says("It is shorter now."),
    )
    count = len(team.model.asked)

    done = team.label("[ai-dev]")

    assert done.exit_code == 0, done.tail
    assert "The page says how many products there are." in team.model.asked[count].text
    assert team.log() == ["Agent: Say it shorter", "Agent: Say how many"]
    assert run_git(team.repository, "rev-parse", f"{BRANCH}^") == before
    assert len(team.github.facts.pulls) == 1
    assert len(team.github.comments) == 1


def test_a_review_that_requests_changes(team: Team) -> None:
    """What the reviewer wants is pushed to the same pull request."""
    [pull] = team.github.facts.pulls.values()
    review = {
        "id": 1,
        "state": "changes_requested",
        "body": "Write the number in words.",
        "user": {"login": PERSON, "type": "User"},
        "submitted_at": datetime.now(UTC).isoformat(),
    }
    team.model.play(
        runs(f"sed -i 's/3 products/Three products/' web/page.py; {COMMIT} 'In words'"),
        says("In words now."),
    )
    about = {"action": "submitted", "review": review, "pull_request": pull}

    done = team.event("pull_request_review", about)

    assert done.exit_code == 0, done.tail
    assert team.log()[0] == "Agent: In words"
    assert len(team.github.facts.pulls) == 1


def test_a_plan_is_a_comment(team: Team) -> None:
    """Nothing is pushed."""
    before = team.forge.branches(REPOSITORY), team.forge.tip(REPOSITORY, BRANCH)
    team.model.play(says("First count the products, then say it."))

    done = team.label("[ai-plan]")

    assert done.exit_code == 0, done.tail
    assert (team.forge.branches(REPOSITORY), team.forge.tip(REPOSITORY, BRANCH)) == before
    assert any("First count the products" in body for body in team.github.bodies)


def test_what_may_not_be_published_stays_here(team: Team) -> None:
    """A workflow that the agent adds is not pushed: the run is red, and says which file."""
    before = team.forge.tip(REPOSITORY, BRANCH)
    team.model.play(
        runs(f"touch .github/workflows/own.yml; git add --all; {COMMIT} 'A workflow'"),
        says("Now there is a workflow."),
    )

    done = team.label("[ai-dev]")

    assert done.exit_code == 1
    assert done.outputs["status"] == "publish-blocked"
    assert team.forge.tip(REPOSITORY, BRANCH) == before
    assert any(".github/workflows/own.yml" in body for body in team.github.bodies)
