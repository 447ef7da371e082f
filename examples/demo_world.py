"""What is around an agent's run, on this machine: a forge, its API, and a model with a script."""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from demo_tools import ROOT

sys.path.append(str(ROOT))

# The stand-ins are those of the tests.
from tests.support.git_server import GitServer, git_server, merge_base, run_git
from tests.support.github_server import GitHubServer, github_server
from tests.support.model_server import ModelServer, model_server, runs, says

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REPO, ISSUE, PERSON, LABEL = "demo/shop", 7, "ann", "[ai-dev]"
TITLE = "The page should say how many products there are"
TEXT = "Customers ask how large the shop is. Say it on the page, beside the number of visits."
BRANCH = f"codex/issue-{ISSUE}"
TOKEN = "ghs-of-the-demo"  # noqa: S105 - of a server that ends with the demo
KEY = "sk-of-the-demo"
LOOK = "git log --oneline; grep -n 'This page' web/page.py"
CHANGE = """\
sed -i 's/<p>This page/<p>{len(shelf.products)} products. This page/' web/page.py
python3 -B - <<'END'
import json, sys, types, urllib.request
sys.path.insert(0, "web")
from page import shelf_page
with urllib.request.urlopen("http://api/products") as answer:
    found = types.SimpleNamespace(**json.load(answer), visits=2)
page = shelf_page("Shop", "EUR", "next", found)
print([line for line in page.splitlines() if "This page" in line])
END
git -c user.name=Agent -c user.email=agent@example.com commit -qam 'Say how many products there are'
"""
SAID = """\
The page says how many products there are

The number stands before that of the visits, and is that of the products which the API tells of.

**Verified**: the page was rendered with what the API of this slot answers.
"""

OTHER_ISSUE, OTHER_TITLE = 9, "The page should greet whoever visits it"
"""For whoever goes on by hand."""
GREET = """\
sed -i 's/<p>This page/<p>Welcome! This page/' web/page.py
git -c user.name=Agent -c user.email=agent@example.com commit -qam 'Greet whoever visits the page'
"""


@dataclass(frozen=True)
class World:
    """All that a run meets outside of the cluster."""

    forge: GitServer
    github: GitHubServer
    model: ModelServer
    folder: Path

    @property
    def checkout(self) -> Path:
        """The repository as a job of GitHub Actions has it."""
        return self.folder / "shop"

    @property
    def repository(self) -> Path:
        """The repository on the git server."""
        return self.folder / "forge" / f"{REPO}.git"

    @property
    def result(self) -> dict[str, Any]:
        """What the agent's run has left."""
        found: dict[str, Any] = json.loads((self.folder / "result" / "result.json").read_text())
        return found

    @property
    def issues(self) -> list[int]:
        """The Issues that were opened, by their numbers; the pull request has one, too."""
        return [number for number in (ISSUE, OTHER_ISSUE) if number in self.github.facts.issues]

    def variables(self) -> dict[str, str]:
        """Return what GitHub and the workflow tell each of their jobs."""
        return {
            "GITHUB_REPOSITORY": REPO,
            "GITHUB_EVENT_NAME": "issues",
            "GITHUB_EVENT_PATH": str(self.folder / "event.json"),
            "GITHUB_ACTOR": PERSON,
            "GITHUB_WORKFLOW_REF": f"{REPO}/.github/workflows/ai-run.yml@refs/heads/main",
            "GITHUB_API_URL": self.github.url,
            "GITHUB_SERVER_URL": self.forge.url,
            "GITHUB_TOKEN": TOKEN,
            "CODEXCTL_KIND": "dev",
            "CODEXCTL_ISSUE": str(ISSUE),
            "CODEXCTL_RESULT_DIR": str(self.folder / "result"),
        }

    def by_hand(self) -> dict[str, str]:
        """Return what somebody exports who goes through the tasks by hand, for the other Issue."""
        return {
            "CODEXCTL_REPO": REPO,
            "CODEXCTL_ISSUE": str(OTHER_ISSUE),
            "CODEXCTL_GH_PAT": TOKEN,
            "OPENAI_API_KEY": KEY,
            "GITHUB_API_URL": self.github.url,
            "GITHUB_SERVER_URL": self.forge.url,
        }

    def open_other_issue(self) -> None:
        """Open another Issue, and let the model know what to do about it."""
        self._open(OTHER_ISSUE, OTHER_TITLE, "One word is enough.")
        self.model.play(runs(GREET, "I greet them."), says("The page greets its visitors.\n"))

    def add_label(self) -> None:
        """Let somebody add the label that starts a run, and GitHub tell of it."""
        issue = self._open(ISSUE, TITLE, TEXT)
        about = {"action": "labeled", "label": {"name": LABEL}, "sender": {"login": PERSON}}
        (self.folder / "event.json").write_text(json.dumps({**about, "issue": issue}))

    def _open(self, number: int, title: str, text: str) -> dict[str, Any]:
        return self.github.facts.add_issue(
            number,
            title=title,
            body=text,
            user={"login": PERSON, "type": "User"},
            labels=[{"name": LABEL}],
            updated_at=datetime.now(UTC).isoformat(),
        )


def push_agent_image(registry: str) -> str:
    """Make the image of the agent; return its reference."""
    from tests.support.agent_image import push_agent_image  # needs packages that a demo brings

    return push_agent_image(registry)


@contextmanager
def world(address: str, folder: Path) -> Iterator[World]:
    """
    Run all of it until the end of the block; what is in the folder stays.

    Args:
        address: Of this machine, as pods reach it: the model listens there.
        folder: Is emptied first.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with (
        git_server(folder / "forge") as forge,
        github_server() as github,
        model_server(address) as model,
    ):
        made = World(forge, github, model, folder)
        _fill(made)
        yield made


def _fill(made: World) -> None:
    """Give the forge the shop's repository, and the model its script."""
    forge, github = made.forge, made.github
    forge.tokens = {TOKEN: True}
    bare = forge.create(REPO)
    shutil.copytree(
        ROOT / "examples" / "shop",
        made.checkout,
        ignore=shutil.ignore_patterns("pins.json", "__pycache__"),
    )
    run_git(made.checkout, "init", "--quiet", "--initial-branch", "main")
    run_git(made.checkout, "add", "--all")
    run_git(made.checkout, "commit", "--quiet", "--message", "The shop")
    run_git(made.checkout, "push", "--quiet", str(bare), "main")
    github.accounts = {TOKEN: ("github-actions", "Bot")}
    github.repository = github.facts.repository = REPO
    github.facts.issues.clear()
    github.facts.people = {PERSON: ("User", "write")}
    github.facts.merge_base = lambda branch, commit: merge_base(bare, branch, commit)
    made.model.play(
        runs(LOOK, "I look for the place where the page tells its visits."),
        runs(CHANGE, "I say the number, and render the page with what the API answers."),
        says(SAID),
    )
