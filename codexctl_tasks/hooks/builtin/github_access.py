"""GitHub as a hook reaches it: with the variables and the deadline of its step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.world import github_access
from codexctl_tasks.world.github_access import Thread, check_repository, number_of_event

if TYPE_CHECKING:
    from codexctl_tasks.hooks.contract import HookContext
    from codexctl_tasks.world.github import GitHub


def open_github(context: HookContext) -> GitHub:
    """
    Return GitHub with the token of the run, which is masked from now on.

    Raises:
        GitHubError: There is no token, or token or address cannot be used.
    """
    return github_access.open_github(
        *(context.variables, context.console, context.clock),
        where=context.hook,
        deadline_s=context.deadline_s,
    )


def find_thread(repository: str, number: int | None, context: HookContext) -> Thread:
    """
    Return where a comment belongs.

    Args:
        repository: As it was given; empty: that of the run in GitHub Actions.
        number: As it was given; None: what the run is about.
        context: Tells of the run.

    Raises:
        ConfigurationError: Neither was given, nor does the run tell.
    """
    repository = repository or context.variables.get("GITHUB_REPOSITORY") or ""
    number = number or number_of_event(context.variables)
    if not repository:
        what = "repo is not set, and neither is GITHUB_REPOSITORY"
        raise ConfigurationError(context.hook, what, "write repo: owner/name")
    if not number:
        what = "neither issue nor pr is set, and this run is about none"
        raise ConfigurationError(context.hook, what, "write issue: 12 or pr: 12")
    try:
        return Thread(check_repository(repository), number)
    except ValueError as error:
        raise ConfigurationError(context.hook, str(error)) from error
