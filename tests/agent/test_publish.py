"""``publish``: from what a run has left to a draft pull request; real git, a small GitHub."""

from __future__ import annotations

import io
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.agent.publication import FILE, read_publication
from codexctl_tasks.agent.result import Result, Status, write_result
from codexctl_tasks.agent.work import bundle
from codexctl_tasks.errors import CodexctlError, UsageError
from codexctl_tasks.flows.agent.publish import publish
from codexctl_tasks.hooks.builtin.comment_body import JOINER
from codexctl_tasks.requests.agents import Kind
from codexctl_tasks.settings import publish_request
from tests.agent.conftest import NAME
from tests.support.fakes import FakeCluster, fake_outside
from tests.support.git_server import merge_base, run_git
from tests.support.github_server import GitHubServer, Trouble, github_server
from tests.support.output_schema import check
from tests.support.shell import run

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.support.fakes import FakeClock
    from tests.support.git_server import GitServer
    from tests.support.project import Project
    from tests.support.workspaces import Workspace

SERVICES = """
project: shop
codex:
  publish:
    paths: {docs/private/**: block, "*.snap": allow, src/strange: maybe}
    reviewers: [ann, shop/backend]
"""
BRANCH = "codex/issue-12"
MESSAGE = "**Prices** are rounded now\n\nThanks @octo, fixes #99. ![x](https://evil.example/?s=1)"
TOKEN = "secret-token"


class Desk:
    """Runs the task on what a run has left."""

    def __init__(
        self, folder: Path, workspace: Workspace, forge: GitServer, github: GitHubServer
    ) -> None:
        self.folder, self.workspace, self.forge, self.github = folder, workspace, forge, github
        self.stream = io.StringIO()
        self.result = Result(
            status=Status.SUCCESS,
            repo=NAME,
            issue=12,
            base=workspace.base,
            final_message=MESSAGE,
            run="run-1",
        )

    def leave(self, **changes: Any) -> None:
        """Write what the run leaves."""
        self.result = replace(self.result, **changes)
        write_result(self.folder, self.result)

    def work(self, *names: str) -> None:
        """Let the agent write files, and take its work."""
        for name in names:
            self.workspace.write(name)
        self.workspace.fetch(self.folder / bundle.FILE)
        self.leave()

    def run(self, **given: Any) -> int:
        """Run the task."""
        given = {"issue": "12", "result_dir": str(self.folder), **given}
        outside = fake_outside(FakeCluster(), self.clock, self.stream)
        return publish(publish_request(**given), outside)

    clock: FakeClock

    def told(self) -> Any:
        """Return what the task has left for the next one."""
        return read_publication(json.loads((self.folder / FILE).read_text()))

    def go_on(self, branch: str = BRANCH) -> str:
        """Let the next run begin where the branch is; return that commit."""
        tip = self.forge.tip(NAME, branch)
        bare = (self.forge.root / f"{NAME}.git").as_uri()
        self.workspace.git("fetch", "--quiet", bare, branch)
        self.workspace.git("reset", "--quiet", "--hard", tip)
        self.workspace.base = tip
        self.result = replace(self.result, base=tip)
        return tip

    def blocked(self, **given: Any) -> str:
        """Run the task that publishes nothing; return why."""
        before = self.forge.tip(NAME, BRANCH)
        assert self.run(**given) == 1
        assert (self.told().status, self.forge.tip(NAME, BRANCH)) == ("publish-blocked", before)
        assert self.github.sent("POST") == []
        return str(self.told().reason)


@pytest.fixture
def github(forge: GitServer) -> Iterator[GitHubServer]:
    """Run a small GitHub that knows the history of the git server."""
    bare = forge.root / f"{NAME}.git"
    with github_server() as running:
        running.facts.merge_base = lambda branch, commit: merge_base(bare, branch, commit)
        yield running


@pytest.fixture
def desk(  # noqa: PLR0917 - fixtures
    tmp_path: Path,
    workspace: Workspace,
    forge: GitServer,
    github: GitHubServer,
    clock: FakeClock,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
) -> Desk:
    """Give the task a stack, a token and a folder."""
    project.write(services_yaml=SERVICES)
    for name in [each for each in os.environ if each.startswith(("CODEXCTL_", "GITHUB_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CODEXCTL_GH_PAT", TOKEN)
    monkeypatch.setenv("GITHUB_API_URL", github.url)
    monkeypatch.setenv("GITHUB_SERVER_URL", forge.url)
    monkeypatch.setenv("GITHUB_REPOSITORY", NAME)
    folder = tmp_path / "result"
    folder.mkdir()
    made = Desk(folder, workspace, forge, github)
    made.clock = clock
    return made


def test_from_an_issue_to_a_pull_request(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """A draft that closes the Issue; what the agent said does nothing by itself."""
    desk.work("src/prices.py", "package.json")

    assert desk.run(output="json") == 0

    [pull] = desk.github.facts.pulls.values()
    assert (pull["draft"], pull["head"]["ref"], pull["title"]) == (
        *(True, BRANCH),
        "Prices are rounded now",
    )
    marker, _, body = pull["body"].partition("\n")
    assert marker == f"<!-- codexctl-pull-request: {BRANCH} -->"
    assert body.startswith("Closes #12\n\n**Look closely at these files")
    assert "- `package.json: dependencies`" in body
    assert (
        f"Thanks @{JOINER}octo, fixes{JOINER} #99. !{JOINER}[x](https://evil.example/?s=1)" in body
    )
    assert pull["reviewers"] == ["ann", "backend"]
    commit = desk.forge.tip(NAME, BRANCH)
    bare = desk.forge.root / f"{NAME}.git"
    assert run_git(bare, "diff", "--name-only", "main", commit) == "package.json\nsrc/prices.py"
    data = json.loads(capsys.readouterr().out)
    check(data, "publish")
    assert (data["status"], data["pr"], data["commit"]) == ("success", pull["number"], commit)
    assert desk.told().review == ("package.json: dependencies",)
    assert TOKEN not in desk.stream.getvalue()


def test_repeated(desk: Desk) -> None:
    """Nothing is published twice; what has changed is brought up to date."""
    desk.work("src/prices.py")
    desk.run()
    sent = len(desk.github.requests)
    pushed = desk.forge.requests.count(f"POST /{NAME}.git/git-receive-pack")
    first = desk.forge.tip(NAME, BRANCH)

    assert desk.run() == 0

    assert {each.method for each in desk.github.requests[sent:]} == {"GET"}
    assert desk.forge.requests.count(f"POST /{NAME}.git/git-receive-pack") == pushed
    assert desk.forge.tip(NAME, BRANCH) == first
    desk.leave(final_message="Said better")
    desk.run()
    [pull] = desk.github.facts.pulls.values()
    assert "Said better" in pull["body"]


def test_a_second_round_on_the_same_branch(desk: Desk) -> None:
    """It grows; there is still one pull request."""
    desk.work("src/prices.py")
    desk.run()
    tip = desk.go_on()
    desk.work("src/more.py")

    assert desk.run() == 0

    assert run_git(desk.forge.root / f"{NAME}.git", "rev-parse", f"{BRANCH}^") == tip
    assert len(desk.github.facts.pulls) == 1


def test_what_an_earlier_run_changed_stays_named(desk: Desk) -> None:
    """The text is that of the last run; the files are those that the pull request shows."""
    desk.work("services.yaml", "src/prices.py")
    desk.workspace.write("run.sh").chmod(0o755)
    desk.work()
    desk.run()
    desk.go_on()
    desk.work("src/more.py")
    desk.leave(final_message="One more page")

    assert desk.run() == 0

    [pull] = desk.github.facts.pulls.values()
    assert "One more page" in pull["body"]
    assert "- `services.yaml: deployment`" in pull["body"]
    assert "- `run.sh: can be run as a program`" in pull["body"]
    assert desk.told().review == ("services.yaml: deployment",)


def test_what_people_pushed_to_the_branch_is_named(desk: Desk) -> None:
    """It blocks nothing, because they may; whoever merges it reads of it."""
    desk.work("src/prices.py")
    desk.run()
    desk.go_on()
    desk.workspace.write(".github/workflows/new.yml")
    desk.workspace.commit("by Ann")
    bare = (desk.forge.root / f"{NAME}.git").as_uri()
    desk.workspace.git("push", "--quiet", bare, f"HEAD:{BRANCH}")
    desk.go_on()
    desk.work("src/more.py")

    assert desk.run() == 0

    [pull] = desk.github.facts.pulls.values()
    named = ".github/workflows/new.yml: the policy blocks .github/ (on the branch before)"
    assert f"- `{named}`" in pull["body"]


def test_limits_hold_for_all_runs_together(desk: Desk, project: Project) -> None:
    """Two runs may not do what one may not; a run in a branch of people counts alone."""
    project.write(services_yaml=f"{SERVICES}    maxFiles: 2\n")
    desk.work("src/one.py", "src/two.py")
    desk.run()
    desk.go_on()
    desk.work("src/three.py")
    sent = len(desk.github.sent("POST"))
    assert desk.run() == 1
    assert desk.told().reason == "with what is on the branch: 3 files were changed, more than 2"
    assert len(desk.github.sent("POST")) == sent
    bare = desk.forge.root / f"{NAME}.git"
    run_git(bare, "update-ref", "refs/heads/ann/prices", desk.workspace.base)
    desk.github.facts.add_pull(20, "ann/prices", body="Mine")
    desk.result = replace(desk.result, issue=0, pr=20)
    desk.leave()
    assert desk.run(issue="", pr="20") == 0


def test_a_second_round_in_a_workspace_that_was_kept(desk: Desk) -> None:
    """It began at main again, but holds what is published: the branch grows, nothing is lost."""
    desk.work("src/prices.py")
    desk.run()
    tip = desk.forge.tip(NAME, BRANCH)
    bare = desk.forge.root / f"{NAME}.git"
    desk.workspace.git("fetch", "--quiet", bare.as_uri(), BRANCH)
    desk.workspace.git("reset", "--quiet", "--hard", tip)
    desk.work("src/more.py")

    assert desk.run() == 0

    assert run_git(bare, "rev-parse", f"{BRANCH}^") == tip
    assert desk.told().commit == desk.forge.tip(NAME, BRANCH) != tip


def test_what_was_blocked_stays_blocked(desk: Desk) -> None:
    """A next run in the same workspace does not bring along what the last one might not publish."""
    desk.workspace.write(".github/workflows/evil.yml")
    desk.workspace.commit("evil")
    desk.work("src/prices.py")
    assert ".github/workflows/evil.yml" in desk.blocked()
    desk.work("src/more.py")
    assert ".github/workflows/evil.yml" in desk.blocked()


def test_the_branch_of_a_pull_request(desk: Desk) -> None:
    """A review is answered by commits; the author's own words stay."""
    bare = desk.forge.root / f"{NAME}.git"
    run_git(bare, "update-ref", "refs/heads/ann/prices", desk.workspace.base)
    desk.github.facts.add_pull(20, "ann/prices", body="Mine")
    desk.result = replace(desk.result, issue=0, pr=20)
    desk.work("src/prices.py")

    assert desk.run(issue="", pr="20") == 0

    assert desk.forge.tip(NAME, "ann/prices") == desk.told().commit != desk.workspace.base
    assert desk.github.facts.pulls[20]["body"] == "Mine"
    assert desk.told().pr == 20


def test_files_to_review_in_a_pull_request_of_somebody(desk: Desk) -> None:
    """Its text is not ours: a comment for each commit names them; its author is not asked."""
    bare = desk.forge.root / f"{NAME}.git"
    run_git(bare, "update-ref", "refs/heads/ann/prices", desk.workspace.base)
    author = {"login": "Ann", "type": "User"}
    desk.github.facts.add_pull(20, "ann/prices", body="Mine", user=author)
    desk.result = replace(desk.result, issue=0, pr=20)
    desk.work("src/prices.py", "go.mod")

    assert [desk.run(issue="", pr="20") for _ in range(2)] == [0, 0]

    [body] = desk.github.bodies
    commit = desk.forge.tip(NAME, "ann/prices")
    assert body == (
        f"<!-- codexctl-files: {commit} -->\n"
        "**Look closely at these files: they decide what runs later.**\n\n"
        "- `go.mod: dependencies`"
    )
    assert desk.github.facts.pulls[20]["body"] == "Mine"
    assert desk.github.facts.pulls[20]["reviewers"] == ["backend"]
    desk.go_on("ann/prices")
    desk.work("src/more.py")
    desk.run(issue="", pr="20")
    assert desk.github.bodies == [body]


def test_reviewers_whom_nobody_can_ask(desk: Desk, project: Project) -> None:
    """The others are asked all the same."""
    project.write(services_yaml=SERVICES.replace("[ann,", "[stranger, ann,"))
    desk.work("package.json")
    assert desk.run() == 0
    [pull] = desk.github.facts.pulls.values()
    assert pull["reviewers"] == ["ann", "backend"]
    assert "codex.publish.reviewers: stranger is not asked" in desk.stream.getvalue()


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("Prices [skip ci]", "says [skip ci], so that no checks would run"),
        ("Prices\n\n\nskip-checks: true", "says skip-checks: true"),
        ("Fixes #99", "closes #99 when it is merged"),
    ],
)
def test_messages_that_do_something(desk: Desk, message: str, said: str) -> None:
    """Also of a commit that is not the last one."""
    desk.workspace.write("src/prices.py")
    commit = desk.workspace.commit(message)
    desk.work("src/more.py")
    assert f"commit {commit[:12]}: its message {said}" in desk.blocked()


def test_a_message_that_closes_the_issue_of_the_branch(desk: Desk) -> None:
    """Of this run, or of the pull request that came of it."""
    desk.workspace.write("src/prices.py")
    desk.workspace.commit("Closes #12")
    desk.work()
    assert desk.run() == 0
    [number] = desk.github.facts.pulls
    desk.go_on()
    desk.workspace.write("src/more.py")
    desk.workspace.commit("Fixes #12")
    desk.result = replace(desk.result, issue=0, pr=number)
    desk.work()
    assert desk.run(issue="", pr=str(number)) == 0


def test_a_pull_request_that_is_refused(desk: Desk) -> None:
    """What was pushed is told all the same."""
    desk.work("package.json")
    desk.github.fails = f"/repos/{NAME}/pulls"

    assert desk.run() == 1

    told, commit = desk.told(), desk.forge.tip(NAME, BRANCH)
    assert (told.status, told.branch, told.commit) == ("infra-failed", BRANCH, commit)
    assert told.reason.startswith(f"{BRANCH} has the work, but its pull request could not be")
    assert (told.pr, told.review) == (0, ("package.json: dependencies",))


def test_files_that_nobody_could_be_told_of(desk: Desk) -> None:
    """The work is there, the comment is not: that is no success."""
    bare = desk.forge.root / f"{NAME}.git"
    run_git(bare, "update-ref", "refs/heads/ann/prices", desk.workspace.base)
    desk.github.facts.add_pull(20, "ann/prices", body="Mine")
    desk.github.fails = f"/repos/{NAME}/issues/20/comments"
    desk.result = replace(desk.result, issue=0, pr=20)
    desk.work("go.mod")

    assert desk.run(issue="", pr="20") == 1

    told = desk.told()
    assert (told.status, told.pr, told.branch) == ("infra-failed", 20, "ann/prices")
    assert told.reason.startswith("ann/prices has the work, but who has to look at its files could")


def test_another_prefix(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """By flag or variable, as the gate has it."""
    desk.work("src/prices.py")
    monkeypatch.setenv("CODEXCTL_BRANCH_PREFIX", "bot/")
    assert desk.run() == 0
    assert desk.told().branch == "bot/12"
    assert desk.run(branch_prefix="robot/") == 0
    assert desk.told().branch == "robot/12"


@pytest.mark.parametrize(
    ("pull", "said"),
    [
        ({"ref": "prices", "repository": "stranger/web"}, "comes from a fork"),
        ({"ref": "prices", "repository": None}, "comes from a fork"),
        ({"ref": "prices", "state": "closed"}, "is closed: open it again"),
        ({"ref": "main"}, "main is what pull requests go to"),
        ({"ref": "prices"}, "is gone: restore it"),
        ({"ref": "-x"}, "no plain name"),
    ],
)
def test_pull_requests_that_get_nothing(desk: Desk, pull: dict[str, Any], said: str) -> None:
    """Forks, closed ones, the default branch, branches that are gone."""
    desk.github.facts.add_pull(20, **pull)
    desk.result = replace(desk.result, issue=0, pr=20)
    desk.work("src/prices.py")
    assert said in desk.blocked(issue="", pr="20")


def test_a_branch_that_has_moved(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What others have pushed is neither lost nor mixed in; what to do is said."""
    bare = desk.forge.root / f"{NAME}.git"
    tree = run_git(bare, "rev-parse", "main^{tree}")
    other = run_git(bare, "commit-tree", tree, "-p", "main", "-m", "other")
    run_git(bare, "update-ref", f"refs/heads/{BRANCH}", other)
    desk.work("src/prices.py")
    assert f"the branch is at {other[:12]}" in desk.blocked()
    assert f"check out {BRANCH} first" in desk.told().reason
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert "run the agent again, which begins there" in desk.blocked()


def test_a_rule_that_nobody_reads(desk: Desk, project: Project) -> None:
    """A mistyped key is told of: what it was to protect is published."""
    project.write(services_yaml=SERVICES.replace("publish:", "publich:"))
    desk.work("src/prices.py")
    with pytest.raises(CodexctlError, match="did you mean 'publish'"):
        desk.run(strict=True)
    assert desk.run() == 0
    said = "warning: services.yaml:4: codex.publich is not a known key"
    assert desk.stream.getvalue().count(said) == 1


def test_branches_that_are_protected(desk: Desk) -> None:
    """As GitHub says before, or as the server says when it is pushed."""
    desk.work("src/prices.py")
    desk.github.facts.add_branch(BRANCH, protected=True)
    assert "is protected: leave branches of agents out" in desk.blocked()
    del desk.github.facts.branches[BRANCH]
    desk.forge.protect(NAME, "codex/*")
    assert "the server does not take it: hook declined" in desk.blocked()
    assert f"refs/heads/{BRANCH} is protected" in desk.told().reason


def test_work_that_began_elsewhere(desk: Desk) -> None:
    """A commit that is in no history of ours, such as of a fork, hides what it brings along."""
    bare = desk.forge.root / f"{NAME}.git"
    tree = run_git(bare, "rev-parse", "main^{tree}")
    stray = run_git(bare, "commit-tree", tree, "-p", "main", "-m", "of a fork")
    desk.workspace.git("fetch", "--quiet", bare.as_uri(), stray)
    desk.workspace.git("reset", "--quiet", "--hard", stray)
    desk.workspace.base = stray
    desk.result = replace(desk.result, base=stray)
    desk.work("src/prices.py")
    assert "where the agent began, is not in main" in desk.blocked()


def test_work_on_what_was_never_published(desk: Desk) -> None:
    """What an earlier run was not allowed to publish does not come along with the next one."""
    desk.workspace.write(".github/workflows/evil.yml")
    desk.workspace.base = desk.workspace.commit("blocked before")
    desk.result = replace(desk.result, base=desk.workspace.base)
    desk.work("src/prices.py")
    assert "where the agent began, was never published" in desk.blocked()


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        (".github/workflows/new.yml", ".github/"),
        ("docs/private/plan.md", "docs/private/**"),
        ("src/strange", "src/strange"),
        ("src/CODEOWNERS", "CODEOWNERS"),
        (".MCP.json", ".mcp.json"),
    ],
)
def test_files_that_may_not_be_changed(desk: Desk, name: str, pattern: str) -> None:
    """Workflows, owners, settings of agents, what the stack names; an unknown word blocks."""
    desk.work(name, "src/fine.py")
    said = f"{name}: the policy blocks {pattern}"
    assert desk.blocked() == said
    assert desk.told().blocked == (said,)


def test_a_link(desk: Desk) -> None:
    """It could lead anywhere on the machine of whoever checks it out."""
    (desk.workspace.folder / "passwords").symlink_to("/etc/passwd")
    desk.work("src/fine.py")
    assert desk.blocked() == "passwords: it is a symbolic link"


def test_no_changes(desk: Desk) -> None:
    """Neither a branch nor a pull request, and no failure."""
    desk.leave(status=Status.NO_CHANGES)
    assert desk.run() == 0
    assert desk.told().status == "no-changes"
    desk.result = replace(desk.result, status=Status.SUCCESS)
    desk.workspace.commit("empty")
    desk.work()
    assert desk.run() == 0
    assert desk.told().status == "no-changes"
    assert (desk.forge.branches(NAME), desk.github.requests) == (["main"], [])


def test_work_that_nobody_can_tell_of(desk: Desk) -> None:
    """Without a base nobody knows what has changed; a bundle that is lost is no lack of work."""
    desk.leave(base="")
    assert desk.blocked() == "nobody has recorded with which commit the agent began"
    desk.leave(base=desk.workspace.base)
    assert desk.run() == 1
    assert desk.told().status == "infra-failed"
    assert desk.told().reason.startswith("work.bundle is missing")
    desk.work("src/prices.py")
    file = desk.folder / bundle.FILE
    file.rename(desk.folder / "elsewhere")
    file.symlink_to(desk.folder / "elsewhere")
    assert desk.run() == 1
    assert desk.told().status == "infra-failed"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (Status.AGENT_FAILED, 1),
        (Status.INFRA_FAILED, 1),
        (Status.TIMEOUT, 70),
        (Status.CANCELLED, 130),
        (Status.SLOT_TIMEOUT, 70),
        (Status.DENIED, 0),
    ],
)
def test_a_run_that_failed_stays_failed(desk: Desk, status: Status, code: int) -> None:
    """Whatever it has left: nothing is published, nobody is asked."""
    desk.work("src/prices.py")
    desk.leave(status=status, reason="so it is")
    assert desk.run() == code
    assert (desk.told().status, desk.told().reason) == (status, "so it is")
    assert (desk.github.requests, desk.forge.branches(NAME)) == ([], ["main"])


@pytest.mark.parametrize(
    "change", [{"issue": 13}, {"repo": "shop/api"}, {"kind": Kind.REPAIR}, {"issue": 0, "pr": 12}]
)
def test_a_result_of_another_run(desk: Desk, change: dict[str, Any]) -> None:
    """What the run itself says does not decide where its work goes."""
    desk.work("src/prices.py")
    desk.leave(**change)
    assert "the result is of another run" in desk.blocked()


@pytest.mark.parametrize("kind", [Kind.PLAN, Kind.REVIEW, Kind.PLAN_REVIEW])
def test_an_answer(desk: Desk, kind: Kind) -> None:
    """One comment for each run, however often it is repeated; no branch, also if files changed."""
    desk.work("src/prices.py")
    desk.leave(kind=kind)
    assert [desk.run(kind=kind.value) for _ in range(2)] == [0, 0]
    [body] = desk.github.bodies
    assert body.startswith(f"<!-- codexctl-answer: {kind} run-1 -->\n**Prices** are rounded now")
    assert f"@{JOINER}octo" in body
    desk.leave(run="run-2")
    desk.run(kind=kind.value)
    assert len(desk.github.bodies) == 2
    assert desk.forge.branches(NAME) == ["main"]


def test_a_dry_run(desk: Desk) -> None:
    """All is verified and judged, nothing written."""
    desk.work("src/prices.py")
    assert desk.run(dry_run=True) == 0
    would = "would be pushed to codex/issue-12, for main; files: 1, commits: 1"
    assert would in desk.stream.getvalue()
    assert (desk.github.sent("POST"), desk.forge.branches(NAME)) == ([], ["main"])
    assert not (desk.folder / FILE).exists()


def test_a_token_that_is_refused(desk: Desk) -> None:
    """One line, exit code 5; the next job learns that it is not the agent's fault."""
    desk.work("src/prices.py")
    desk.forge.tokens[TOKEN] = False
    with pytest.raises(CodexctlError, match="the token needs the permission contents: write") as e:
        desk.run()
    assert (e.value.exit_code, desk.told().status) == (5, "infra-failed")
    assert (desk.told().reason, TOKEN in str(e.value)) == (str(e.value), False)
    assert desk.stream.getvalue().endswith("status: infra-failed\n")


def test_a_server_that_stumbles(desk: Desk) -> None:
    """It is asked again."""
    desk.work("src/prices.py")
    desk.forge.failures = [503]
    assert desk.run() == 0
    assert "attempt 2 of 5" in desk.stream.getvalue()


def test_a_pull_request_whose_answer_was_lost(desk: Desk) -> None:
    """There is one all the same."""
    desk.work("src/prices.py")
    desk.github.before["POST"] = lambda: desk.github.troubles.append(Trouble(502, is_done=True))
    assert desk.run() == 0
    assert len(desk.github.facts.pulls) == 1


def test_a_repository_without_drafts(desk: Desk) -> None:
    """The pull request is opened as usual, with a warning."""
    desk.github.facts.has_drafts = False
    desk.work("package.json")
    assert desk.run() == 0
    [pull] = desk.github.facts.pulls.values()
    assert pull["draft"] is False
    assert "no draft pull requests" in desk.stream.getvalue()


def test_a_damaged_bundle(desk: Desk) -> None:
    """It blocks, and says so."""
    desk.work("src/prices.py")
    file = desk.folder / bundle.FILE
    file.write_bytes(file.read_bytes()[:-30])
    assert desk.blocked() == "the bundle of its work: it is damaged, or was cut"


def test_as_a_step_of_a_workflow(desk: Desk, tmp_path: Path) -> None:
    """The token is in no argument of git, in no file and in nothing that is printed."""
    desk.work("src/prices.py")
    tools, log = tmp_path / "tools", tmp_path / "arguments"
    tools.mkdir()
    (tools / "git").write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >> {log}\nexec {shutil.which("git")} "$@"\n'
    )
    (tools / "git").chmod(0o755)
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"issue": {"number": 12}}))
    variables = {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "CODEXCTL_GH_PAT": TOKEN,
        "CODEXCTL_RESULT_DIR": str(desk.folder),
        "CODEXCTL_KIND": "dev",
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": desk.github.url,
        "GITHUB_SERVER_URL": desk.forge.url,
        "GITHUB_REPOSITORY": NAME,
        "GITHUB_RUN_ID": "7",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_OUTPUT": str(tmp_path / "outputs"),
        "TMPDIR": str(tmp_path),
    }
    done = run("ci", "publish", cwd=Path.cwd(), env=variables)

    assert done.returncode == 0, done.stderr
    assert desk.forge.tip(NAME, BRANCH)
    assert "push" in log.read_text().splitlines()
    masks = [line for line in done.stderr.splitlines() if line.startswith("::add-mask::")]
    rest = "".join(line for line in done.stderr.splitlines() if line not in masks)
    assert TOKEN not in log.read_text() + rest + done.stdout + (tmp_path / "outputs").read_text()
    told = finish(desk, tmp_path)
    assert told.returncode == 0, told.stderr
    assert "### ✅ The agent is done" in desk.github.bodies[0]


def finish(desk: Desk, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the last step in another job, which gets the outputs of the one before."""
    lines = (folder / "outputs").read_text().splitlines()
    outputs = {
        line.partition("<<")[0]: lines[at + 1] for at, line in enumerate(lines) if "<<" in line
    }
    needs = {"agent": {"result": "success"}, "publish": {"result": "success", "outputs": outputs}}
    variables = {
        "CODEXCTL_GH_PAT": TOKEN,
        "CODEXCTL_RESULT_DIR": str(desk.folder),
        "CODEXCTL_NEEDS": json.dumps(needs),
        "CODEXCTL_ISSUE": "12",
        "GITHUB_API_URL": desk.github.url,
        "GITHUB_REPOSITORY": NAME,
    }
    return run("ci", "finish", cwd=folder, env=variables)


def test_what_programs_are_told(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outputs of a step, which the next job reads."""
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "outputs"))
    desk.work(".github/workflows/new.yml")
    desk.run()
    told = (tmp_path / "outputs").read_text().splitlines()
    found = {line.partition("<<")[0]: told[at + 1] for at, line in enumerate(told) if "<<" in line}
    assert (found["status"], found["pr-number"]) == ("publish-blocked", "")
    assert found["blocked"] == ".github/workflows/new.yml: the policy blocks .github/"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"issue": ""}, "give --issue N or --pr N"),
        ({"pr": "3"}, "cannot be combined with --pr"),
        ({"kind": "merge"}, "'merge' is unknown"),
        ({"repo": "../web/x"}, "write owner/name"),
        ({"repo": "shop/.."}, "write owner/name"),
        ({"issue": "-1"}, "is no number"),
        ({"issue": "0"}, "--issue: there is no number 0"),
    ],
)
def test_wrong_usage(desk: Desk, given: dict[str, str], said: str) -> None:
    """Exit code 2, in one line; nobody is asked."""
    with pytest.raises(UsageError, match=said):
        desk.run(**given)
    assert (desk.github.requests, desk.forge.requests) == ([], [])


def test_a_run_that_left_nothing(desk: Desk) -> None:
    """Exit code 3: it is not taken for one without changes."""
    with pytest.raises(CodexctlError, match=r"result\.json: cannot be read") as caught:
        desk.run()
    assert caught.value.exit_code == 3
