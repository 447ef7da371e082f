"""Where an agent's work may go: never over what others have."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from codexctl_tasks.agent.work.branches import (
    RefusedBranchError,
    branch_of_issue,
    branch_of_pull_request,
    check_branch,
    is_name,
    needs_push,
)


@dataclass(frozen=True)
class Pull:
    """A pull request."""

    head_ref: str = "ann/prices"
    is_open: bool = True
    is_from_fork: bool = False
    base_ref: str = "main"


def test_names() -> None:
    """An Issue has its own branch, a pull request the one that it has."""
    assert branch_of_issue("codex/issue-", 12) == "codex/issue-12"
    assert branch_of_pull_request(Pull()) == "ann/prices"


@pytest.mark.parametrize("prefix", ["", " ", "v", "release", "refs/heads/", "a..b-", "-x/", "a b-"])
def test_prefixes_that_could_be_anything(prefix: str) -> None:
    """With `v` the work for Issue 1 would be the branch v1."""
    with pytest.raises(RefusedBranchError, match="--branch-prefix"):
        branch_of_issue(prefix, 1)


@pytest.mark.parametrize(
    ("pull", "said"),
    [
        (Pull(is_open=False), "closed"),
        (Pull(is_from_fork=True), "its author has to take"),
        (Pull(head_ref="a:b"), "rename it"),
    ],
)
def test_pull_requests_of_others(pull: Pull, said: str) -> None:
    """Nothing is pushed to forks, nor to what is over."""
    with pytest.raises(RefusedBranchError, match=said):
        branch_of_pull_request(pull)


def test_branches_that_pull_requests_go_to() -> None:
    """Neither the default branch, in any case of letters, nor a protected one."""
    check_branch("codex/issue-1", others=("main",), is_protected=False)
    with pytest.raises(RefusedBranchError, match="pull requests go to"):
        check_branch("Main", others=("main",), is_protected=False)
    with pytest.raises(RefusedBranchError, match="is protected"):
        check_branch("codex/issue-1", others=(), is_protected=True)


@pytest.mark.parametrize(
    ("tip", "is_new", "needs"),
    [
        ("base", False, True),
        ("base", True, True),
        ("", True, True),
        ("before", False, True),
        ("commit", False, False),
    ],
)
def test_what_is_pushed(tip: str, *, is_new: bool, needs: bool) -> None:
    """What is there already is not pushed again; a branch that holds a part of it grows."""
    history = ("commit", "before")
    asked = needs_push(tip=tip, base="base", history=history, may_be_new=is_new, again="")
    assert asked is needs


@pytest.mark.parametrize(
    ("tip", "is_new", "said"),
    [
        ("other", True, "go on there; or delete the branch"),
        ("other", False, "at other"),
        ("", False, "gone"),
    ],
)
def test_a_branch_that_moved(tip: str, said: str, *, is_new: bool) -> None:
    """It is left alone, and what to do is said."""
    history = ("commit",)
    with pytest.raises(RefusedBranchError, match=said):
        needs_push(tip=tip, base="base", history=history, may_be_new=is_new, again="go on there")


@pytest.mark.parametrize(
    ("name", "is_plain"),
    [
        ("main", True),
        ("feature/a-b_c.d", True),
        ("HEAD", False),
        ("-x", False),
        ("a/-x", False),
        ("a//b", False),
        ("a.lock", False),
        ("a/b.", False),
        ("a..b", False),
        ("a@{1}", False),
        ("refs/heads/x", False),
        ("a:b", False),
        ("a b", False),
        ("ветка", False),
        ("0" * 40, False),
        ("x" * 201, False),
    ],
)
def test_plain_names(name: str, *, is_plain: bool) -> None:
    """Git allows more, and some of it means something else to it."""
    assert is_name(name) is is_plain
