"""What GitHub says of the Issue or pull request that a slot is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codexctl_tasks.world.github_answers import GitHubError, Reason

if TYPE_CHECKING:
    from codexctl_tasks.slots.record import Owner
    from codexctl_tasks.world.github import GitHub


def is_closed(github: GitHub, owner: Owner) -> bool | None:
    """
    Tell whether an Issue, or a pull request if it is for one, is closed; None: there is none.

    Raises:
        GitHubError: It cannot be read.
    """
    try:
        if owner.pr:
            return not github.pull_request(owner.repo, owner.pr).is_open
        return not github.issue(owner.repo, owner.issue).is_open
    except GitHubError as error:
        if error.reason in (Reason.NOT_FOUND, Reason.GONE):
            return None
        raise
