"""What leads to GitHub: the token, its server, and the Issue or pull request a run is about."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.hooks.contract import HookContext, HookError
from codexctl_tasks.world.github import API_URL, GitHub

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKENS = ("CODEXCTL_GH_PAT", "GITHUB_TOKEN")
"""The first that is set is used."""


class Thread(NamedTuple):
    """Where a comment belongs."""

    repository: str
    number: int

    def __str__(self) -> str:
        return f"{self.repository}#{self.number}"


def check_repository(text: str) -> str:
    """Return the name of a repository, or an empty one; others raise ``ValueError``."""
    if not text or re.fullmatch(r"[\w-][\w.-]*/[\w.-]*[\w-][\w.-]*", text, re.ASCII):
        return text
    raise ValueError(f"{text!r} is no repository: write owner/name")


def open_github(context: HookContext) -> GitHub:
    """
    Return GitHub with the token of the run, which is masked from now on.

    Raises:
        HookError: There is no token.
        GitHubError: Token or address cannot be used.
    """
    values = (context.variables.get(name, "") for name in TOKENS)
    token = next((value for value in values if value.strip()), "")
    if not token:
        raise HookError(context.hook, "there is no token", f"set {' or '.join(TOKENS)}")
    context.hide([token, token.strip()])
    url = context.variables.get("GITHUB_API_URL") or API_URL
    return GitHub(
        token=token,
        clock=context.clock,
        announce=context.console.retrying,
        url=url,
        proxy=_proxy(context.variables, url),
        deadline_s=context.deadline_s,
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
    number = number or _number_of_event(context.variables)
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


def _number_of_event(variables: Mapping[str, str]) -> int:
    """Return the Issue or pull request that a run in GitHub Actions is about; 0: none."""
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
