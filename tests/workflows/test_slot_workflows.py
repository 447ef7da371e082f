"""Slots of the shop that are removed by its workflows: what was closed, and only that."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.github_server import github_server
from tests.support.shell import run
from tests.workflows.shop import SOURCE, Shop, slots_of_the_shop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.act import Run
    from tests.support.github_server import GitHubServer

pytestmark = pytest.mark.cluster

REPOSITORY = "team/shop"
ISSUE = os.getpid()
"""Other checkouts may be tested at the same time."""


class Team:
    """The shop's repository on a GitHub, and what its people do there."""

    def __init__(self, shop: Shop, github: GitHubServer) -> None:
        self._shop, self._github = shop, github
        github.repository = github.facts.repository = REPOSITORY
        github.facts.add_issue(ISSUE)

    def codexctl(self, task: str, *flags: str) -> str:
        """Run a task on the shop."""
        env = {**self._shop.cluster, "GITHUB_REPOSITORY": REPOSITORY}
        done = run(task, "--env", "ai", *flags, cwd=SOURCE, env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def take_slot(self) -> None:
        """Give the Issue a slot with something in it, as a run does that has ended."""
        words = ("--issue", str(ISSUE), "--slot-wait", "0s", "--output", "json")
        [slot] = json.loads(self.codexctl("ensure-slot", *words))["slots"]
        self.codexctl(
            "apply", "--slot", str(slot["slot"]), "--only-infra", "namespace,settings", *_NO_SERVICE
        )
        self.codexctl("release", "--issue", str(ISSUE))

    def has_slot(self) -> bool:
        """Tell whether the Issue has its slot, with its namespace."""
        asked = ("get", "configmaps,namespaces", "--all-namespaces", "--output", "json")
        found = json.loads(self._shop.kubectl(*asked))["items"]
        names = {each["metadata"]["name"] for each in found if each["kind"] == "Namespace"}
        records = [each.get("data") or {} for each in found if each["kind"] == "ConfigMap"]
        own = [each for each in records if each.get("issue") == str(ISSUE)]
        exists = any(each["namespace"] in names for each in own)
        assert exists or not own
        return exists

    @contextmanager
    def without_github(self) -> Iterator[None]:
        """Let GitHub refuse the token meanwhile."""
        accounts, self._github.accounts = self._github.accounts, {}
        yield
        self._github.accounts = accounts

    def open(self) -> None:
        """Open the Issue again."""
        self._github.facts.issues[ISSUE]["state"] = "open"

    def close(self) -> None:
        """Close the Issue."""
        self._github.facts.issues[ISSUE]["state"] = "closed"

    def event(self, name: str, payload: dict[str, Any]) -> Run:
        """Let GitHub start the workflow."""
        return self._shop.push(
            workflow="slots.yml",
            event=name,
            payload=payload,
            secrets={"GITHUB_TOKEN": "ghs_workflow"},
            env={"GITHUB_API_URL": self._github.url, "CODEXCTL_NAMESPACE": ""},
        )


_NO_SERVICE = ("--skip-services", "migrate,api,web,ingress")
CLOSED = {"action": "closed", "issue": {"number": ISSUE}, "repository": {"default_branch": "main"}}


@pytest.fixture(scope="module")
def team(shop: Shop) -> Iterator[Team]:
    with slots_of_the_shop(), github_server() as github:
        made = Team(shop, github)
        yield made
        made.codexctl("cleanup", "--issue", str(ISSUE), "--force")


def test_the_slot_of_a_closed_issue_goes(team: Team) -> None:
    """Not while the Issue is open, whatever the event says; then all of it, and no harm after."""
    team.take_slot()

    early = team.event("issues", CLOSED)
    assert early.exit_code == 0, early.tail
    assert team.has_slot()

    team.close()
    done = team.event("issues", CLOSED)
    assert done.exit_code == 0, done.tail
    assert not team.has_slot()
    assert len(json.loads(done.outputs["removed"])) == 1

    again = team.event("issues", CLOSED)
    assert again.exit_code == 0, again.tail
    assert json.loads(again.outputs["removed"]) == []


def test_what_cannot_be_read_is_not_over(team: Team) -> None:
    """Without an answer of GitHub neither workflow removes anything, and both say so."""
    team.take_slot()
    team.close()
    with team.without_github():
        for event, payload in (("issues", CLOSED), ("schedule", {"schedule": "17 4 * * *"})):
            run = team.event(event, payload)
            assert run.exit_code == 1
            assert any("401" in text for text, _ in run.errors), run.errors
            assert team.has_slot()


def test_each_night_what_is_over_goes(team: Team) -> None:
    """The slot of a closed Issue, with the reason in the log; one that is open stays."""
    team.take_slot()
    team.open()
    early = team.event("schedule", {"schedule": "17 4 * * *"})
    assert early.exit_code == 0, early.tail
    assert team.has_slot()

    team.close()
    run = team.event("schedule", {"schedule": "17 4 * * *"})
    assert run.exit_code == 0, run.tail
    assert any(f"Issue {ISSUE} is closed" in line for line in run.lines)
    assert not team.has_slot()
