"""What GitHub tells of who does something: accounts, their rights, and the runs they started."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from codexctl_tasks.world.github_answers import GitHubError, Reason, no_github
from codexctl_tasks.world.github_objects import Fields

if TYPE_CHECKING:
    from codexctl_tasks.world.github import GitHub

PERMISSIONS = ("none", "read", "triage", "write", "maintain", "admin")
"""From the least to the most."""
_LOGIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,99})(?:\[bot\])?")
_METADATA = "metadata: read"


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody on GitHub."""

    login: str
    is_bot: bool
    permission: str = "none"
    """On the repository; one of `PERMISSIONS`."""

    @property
    def may_write(self) -> bool:
        """Whether the account can push to the repository."""
        return self.permission in ("write", "maintain", "admin")


def read_account(github: GitHub, repository: str, login: str) -> Account:
    """
    Return who somebody is, and what they may do.

    Raises:
        GitHubError: Nobody is called that, or GitHub does not tell.
    """
    found = Fields(github.get(f"/users/{_checked(login)}", _METADATA), "user")
    name, kind = found.text("login"), found.text("type")
    if name.casefold() != login.casefold():
        raise no_github(f"answered a question about {login} with {name[:100]}")
    permission = read_permission(github, repository, login) if kind == "User" else "none"
    return Account(name, kind != "User", permission)


def read_permission(github: GitHub, repository: str, login: str) -> str:
    """Return one of `PERMISSIONS`; of somebody whom the repository does not know, ``none``."""
    address = f"{github.path(repository)}/collaborators/{_checked(login)}/permission"
    try:
        found = Fields(github.get(address, _METADATA), "permission")
    except GitHubError as error:
        if error.reason is Reason.NOT_FOUND:
            return "none"
        raise
    user = found.part("user").words("login")
    if user and user.casefold() != login.casefold():
        raise no_github(f"answered a question about {login} with {user[:100]}")
    permission = found.text("permission")
    return permission if permission in PERMISSIONS else "none"


def count_runs(github: GitHub, repository: str, workflow: str, actor: str, since: datetime) -> int:
    """
    Return how often somebody started a workflow, repetitions included.

    Args:
        github: Where to ask.
        repository: ``owner/name``.
        workflow: Name of its file, such as ``ai-run.yml``.
        actor: Login.
        since: Earlier runs do not count, nor do those whose jobs were all skipped.
    """
    moment = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    asked = urlencode({"actor": actor, "created": f">={moment}", "per_page": 100})
    if not re.fullmatch(r"[\w.-]*[\w-][\w.-]*", workflow, re.ASCII):
        raise GitHubError("workflow", f"{workflow[:100]!r} is no name of a file")
    address = f"{github.path(repository)}/actions/workflows/{quote(workflow)}/runs?{asked}"
    runs = (
        Fields(each, "run")
        for page in github.pages(address, "actions: read", "workflow_runs")
        for each in page
    )
    return sum(_attempts(run) for run in runs if run.words("conclusion") != "skipped")


def _attempts(run: Fields) -> int:
    return run.number("run_attempt") if run.has("run_attempt") else 1


def _checked(login: str) -> str:
    """Return a login as part of a path, out of which it does not lead."""
    if not _LOGIN.fullmatch(login):
        raise GitHubError("account", f"{login[:100]!r} is no login")
    return quote(login, safe="")


def moment_of(data: Any) -> datetime | None:
    """Return a moment that GitHub wrote; None of anything else."""
    try:
        found = datetime.fromisoformat(data)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else None
