"""What leads to GitHub: the token, its server, the proxy, and what a run of a workflow is about."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from codexctl_tasks.references import check_repository
from codexctl_tasks.world.github import GitHub
from codexctl_tasks.world.github_answers import GitHubError, Reason
from codexctl_tasks.world.github_connection import API_URL, Connection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codexctl_tasks.console import Console
    from codexctl_tasks.world.clock import Clock

__all__ = ("TOKENS", "Thread", "check_repository", "number_of_event", "open_github")

TOKENS = ("CODEXCTL_GH_PAT", "GITHUB_TOKEN")
"""The first that is set is used."""


class Thread(NamedTuple):
    """Where comments belong: an issue or a pull request."""

    repository: str
    number: int

    def __str__(self) -> str:
        return f"{self.repository}#{self.number}"


def open_github(
    variables: Mapping[str, str],
    console: Console,
    clock: Clock,
    *,
    where: str = "GitHub",
    deadline_s: float = math.inf,
) -> GitHub:
    """
    Return GitHub with the token of the run, which is masked from now on.

    Args:
        variables: Hold the token, ``GITHUB_API_URL`` and proxies.
        console: Masks the token, and tells of pauses.
        clock: For the pauses.
        where: Who asks, for the error.
        deadline_s: No pause ends after this moment of the clock.

    Raises:
        GitHubError: There is no token, or token or address cannot be used.
    """
    values = (variables.get(name, "") for name in TOKENS)
    token = next((value for value in values if value.strip()), "")
    if not token:
        fix = f"set {' or '.join(TOKENS)}"
        raise GitHubError(where, "there is no token", fix, reason=Reason.UNAUTHORIZED)
    console.hide([token, token.strip()])
    url = variables.get("GITHUB_API_URL") or API_URL
    return GitHub(
        Connection(
            token=token,
            clock=clock,
            announce=console.retrying,
            url=url,
            proxy=_proxy(variables, url),
            deadline_s=deadline_s,
        )
    )


def _proxy(variables: Mapping[str, str], url: str) -> str:
    """Return the proxy that leads to an address; empty: none does."""
    try:
        parts = urlsplit(url)
    except ValueError:  # whoever uses the address says so
        return ""
    name = f"{parts.scheme}_proxy"
    proxy = variables.get(name) or variables.get(name.upper()) or ""
    exceptions = variables.get("no_proxy") or variables.get("NO_PROXY") or ""
    host = f".{parts.hostname}"
    names = [each.strip().lstrip(".") for each in exceptions.split(",") if each.strip()]
    is_direct = any(name == "*" or host.endswith(f".{name}") for name in names)
    return "" if is_direct else proxy


def number_of_event(variables: Mapping[str, str]) -> int:
    """Return the issue or pull request that a run in GitHub Actions is about; 0: none."""
    if found := re.match(r"refs/pull/(\d+)/", variables.get("GITHUB_REF") or ""):
        return int(found[1])
    path = variables.get("GITHUB_EVENT_PATH")
    try:
        event = json.loads(Path(path).read_bytes()) if path else {}
        about = event.get("pull_request") or event.get("issue") or event
        number = about.get("number")
    except (OSError, ValueError, AttributeError):
        return 0
    return number if isinstance(number, int) else 0
