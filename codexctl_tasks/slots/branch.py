"""Which branches of an agent may go (pure): when in doubt a branch stays."""

from __future__ import annotations

import re
from typing import Protocol


class PullRequest(Protocol):
    """What GitHub says of a pull request."""

    @property
    def is_open(self) -> bool:
        """Neither merged nor closed."""
        ...

    @property
    def head_repository(self) -> str:
        """``owner/name`` that its branch is in; empty: it is gone."""
        ...

    @property
    def is_from_fork(self) -> bool:
        """Whether its branch is in another repository than it goes to, or nobody knows where."""
        ...

    @property
    def head_ref(self) -> str:
        """Its branch."""
        ...


def why_branch_stays(found: PullRequest, prefix: str) -> str:
    """
    Return why the branch of a pull request is not deleted; empty: it may go.

    Args:
        found: The pull request.
        prefix: What the branches of agents begin with; digits follow, and nothing else.
    """
    if found.is_open:
        return "the pull request is open"
    if found.is_from_fork:
        return f"it is in {found.head_repository or 'a repository that is gone'}"
    if not prefix or not re.fullmatch(re.escape(prefix) + "[0-9]+", found.head_ref):
        return f"its name is not {prefix or 'a prefix'} and a number"
    return ""
