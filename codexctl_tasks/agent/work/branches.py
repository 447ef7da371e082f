"""Where an agent's work may go (pure): its own branch, or a pull request's; never by force."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from codexctl_tasks.requests.agents import BRANCH_PREFIX

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_LONGEST = 200
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@=-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.+@=-]*)*")
_NEVER = frozenset({"head", "fetch_head", "orig_head", "merge_head"})


class PullRequest(Protocol):
    """What GitHub says of a pull request."""

    @property
    def is_open(self) -> bool:
        """Neither merged nor closed."""
        ...

    @property
    def is_from_fork(self) -> bool:
        """Its commits come from another repository, or nobody knows from where."""
        ...

    @property
    def head_ref(self) -> str:
        """Name of its branch."""
        ...

    @property
    def base_ref(self) -> str:
        """Name of the branch that it goes to."""
        ...


class RefusedBranchError(ValueError):
    """Nothing is pushed there; says what to do."""


def branch_of_issue(prefix: str, number: int) -> str:
    """
    Return the branch for an Issue.

    Raises:
        RefusedBranchError: The prefix makes no name that could only be an agent's.
    """
    name = f"{prefix.strip()}{number}"
    if not prefix.strip() or prefix.strip()[-1] not in "-/_" or not is_name(name):
        what = f"--branch-prefix {prefix!r} begins no name of a branch"
        raise RefusedBranchError(f"{what}: write something such as {BRANCH_PREFIX}")
    return name


def branch_of_pull_request(found: PullRequest) -> str:
    """
    Return the branch of a pull request.

    Raises:
        RefusedBranchError: It is closed, or its branch belongs to somebody else.
    """
    if not found.is_open:
        raise RefusedBranchError(
            "the pull request is closed: open it again, or start from its Issue"
        )
    if found.is_from_fork:
        what = "the pull request comes from a fork"
        raise RefusedBranchError(f"{what}: its author has to take the changes over")
    if not is_name(found.head_ref):
        raise RefusedBranchError(f"{found.head_ref!r} is no plain name of a branch: rename it")
    return found.head_ref


def check_branch(name: str, *, others: Collection[str], is_protected: bool) -> None:
    """
    Refuse branches that nobody may push to without a pull request.

    Args:
        name: Of the branch.
        others: The default branch, and the one that the work is to be merged into.
        is_protected: A rule of the repository protects it.

    Raises:
        RefusedBranchError: It is one of them.
    """
    if name.lower() in {other.lower() for other in others}:
        raise RefusedBranchError(f"{name} is what pull requests go to: choose another prefix")
    if is_protected:
        what = f"{name} is protected"
        raise RefusedBranchError(f"{what}: leave branches of agents out of the rule")


def needs_push(
    *, tip: str, base: str, history: Sequence[str], may_be_new: bool, again: str
) -> bool:
    """
    Tell whether a commit is to be pushed; False: it is there.

    Args:
        tip: Of the branch on the server; empty: it does not exist.
        base: Commit that the agent began with.
        history: All commits after that, the newest first; some may have been published before.
        may_be_new: The branch need not exist.
        again: What to do so that the next run begins where the branch is.

    Raises:
        RefusedBranchError: The branch has moved meanwhile.
    """
    if tip == history[0]:
        return False
    if tip in (base, *history) or (not tip and may_be_new):
        return True
    if not tip:
        raise RefusedBranchError("the branch of the pull request is gone: restore it and run again")
    moved = f"the branch is at {tip[:12]}, but the agent began at {base[:12]}"
    raise RefusedBranchError(f"{moved}: {again}; or delete the branch if nobody needs it")


def is_name(name: str) -> bool:
    """Tell whether a name is a plain one: git allows more, and some of it means something."""
    parts = name.split("/")
    return (
        len(name) <= _LONGEST
        and _PLAIN.fullmatch(name) is not None
        and ".." not in name
        and "@{" not in name
        and parts[0] != "refs"
        and name.lower() not in _NEVER
        and not re.fullmatch(r"[0-9a-f]{40,64}", name)
        and not any(part.endswith((".lock", ".")) for part in parts)
    )
