"""``github.comment``: one comment on an Issue or pull request, kept up to date."""

from __future__ import annotations

import json
import re
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.hooks.comment_body import compose
from codexctl_tasks.hooks.contract import (
    Flag,
    HookContext,
    HookError,
    Parameters,
    Text,
    Whole,
    hook,
)
from codexctl_tasks.world.github import API_URL, GitHub
from codexctl_tasks.world.github_answers import UnansweredError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.github_answers import Comment

TOKENS = ("CODEXCTL_GH_PAT", "GITHUB_TOKEN")
"""The first that is set is used."""
MOST_MARKER = 200
ATTEMPTS = 3
PAUSE_S = 2.0
"""What GitHub has taken shows up in lists a moment later."""


def _check_body(text: str) -> str:
    if text.strip():
        return text
    raise ValueError("GitHub takes no empty comment")


def _check_repository(text: str) -> str:
    if not text or re.fullmatch(r"[\w-][\w.-]*/[\w.-]*[\w-][\w.-]*", text, re.ASCII):
        return text
    raise ValueError(f"{text!r} is no repository: write owner/name")


def _check_marker(text: str) -> str:
    if re.search(r"--!?>|<!--|[^\x20-\x7e]", text) or len(text) > MOST_MARKER:
        raise ValueError("a marker is one line of plain text without the signs of a comment")
    return text.strip()


_Number = Annotated[Whole, Field(ge=1)]


class GitHubComment(Parameters):
    """``with`` of ``github.comment``."""

    body: Annotated[Text, AfterValidator(_check_body)]
    """Markdown."""
    issue: _Number | None = None
    """Number of the Issue. Default, also for `pr`: that of the event in GitHub Actions."""
    pr: _Number | None = None
    """Number of the pull request."""
    repo: Annotated[Text, AfterValidator(_check_repository)] = ""
    """`owner/name`; default: `GITHUB_REPOSITORY`."""
    marker: Annotated[Text, AfterValidator(_check_marker)] = ""
    """By which the comment is found again; it stands in its first line, unseen. Several comments
    on one Issue need one each. Default: made of project, environment and slot."""
    update: Flag = True
    """Change the comment that is there; `false`: add another one each time."""
    mentions: Flag = False
    """Let `@name` in the body call people and teams."""

    @model_validator(mode="after")
    def _check_choices(self) -> GitHubComment:
        if self.issue is not None and self.pr is not None:
            raise ValueError("issue and pr exclude each other")
        return self


class Thread(NamedTuple):
    """Where a comment belongs."""

    repository: str
    number: int

    def __str__(self) -> str:
        return f"{self.repository}#{self.number}"


@hook(
    "github.comment",
    GitHubComment,
    example="""
        - use: github.comment
          with:
            pr: 12
            body: "**{{ Env }}** is at https://shop-{{ Slot }}.example.com"
    """,
    replaces="""
        gh pr comment 12 --repo "$GITHUB_REPOSITORY" --edit-last --create-if-none \\
          --body "**$ENV** is at https://shop-$SLOT.example.com"
    """,
)
def comment_on_github(given: GitHubComment, context: HookContext) -> None:
    """
    Write a comment on an Issue or a pull request, or bring the one that is there up to date.

    The comment is found again by a marker in its first line that nobody sees, if it was written
    with the same account; what a person quotes is left alone. It is written only if it differs. Two
    runs at once leave one comment.

    The token is `CODEXCTL_GH_PAT` or `GITHUB_TOKEN`, the first that is set. It needs the permission
    `issues: write`, on pull requests `pull-requests: write`. `GITHUB_API_URL` leads to a server of
    your own; proxies are taken from `HTTPS_PROXY` and `NO_PROXY`.

    `@name` calls nobody, unless `mentions` is set: values in the body may come from outside.
    References such as `#12` stay: they call nobody, and in comments words like `fixes #12` close
    nothing. Secrets that codexctl knows are masked. A body above 65,536 characters is cut at the
    end of a line, and says so.

    Rate limits are waited for if the step has the time; otherwise the error says when it is
    possible again.
    """
    thread = _thread(given, context)
    marker = f"<!-- codexctl: {given.marker or _default_marker(context)} -->"
    with closing(_github(context)) as github:
        body = context.console.masked(given.body)  # by now it knows the token, too
        text = compose(body, marker if given.update else "", mentions=given.mentions)
        if not given.update:
            written = github.create_comment(*thread, text)
            context.tell(f"{thread}: wrote {written.url}")
            return
        writer = _Writer(github, thread, marker, context.clock)
        context.tell(f"{thread}: {writer.write(text)}")


@dataclass(frozen=True)
class _Writer:
    """Keeps one comment of ours in a thread."""

    github: GitHub
    thread: Thread
    marker: str
    clock: Clock

    def write(self, text: str) -> str:
        """Make the comment say *text*; return what was done."""
        if known := self._own():
            return self._update(known[0], text)
        written = self._create(text)
        known = self._own()
        if not known or known[0].id == written.id:
            for double in known[1:]:  # of an attempt whose answer was lost
                self.github.delete_comment(self.thread.repository, double.id)
            return f"wrote {written.url}"
        # Another run was faster by a moment.
        self.github.delete_comment(self.thread.repository, written.id)
        return self._update(known[0], text)

    def _update(self, known: Comment, text: str) -> str:
        if known.body.replace("\r\n", "\n").rstrip() == text.rstrip():
            return f"unchanged: {known.url}"
        self.github.update_comment(self.thread.repository, known.id, text)
        return f"updated {known.url}"

    def _create(self, text: str) -> Comment:
        """Write a comment; before it is sent again, look whether it has arrived after all."""
        for _ in range(ATTEMPTS - 1):
            try:
                return self.github.create_comment(*self.thread, text)
            except UnansweredError:
                self.clock.sleep(PAUSE_S)
                if known := self._own():
                    return known[0]
        return self.github.create_comment(*self.thread, text)

    def _own(self) -> list[Comment]:
        """Return the comments with our marker that we have written, the oldest first."""
        marked = [
            each
            for each in self.github.comments(*self.thread)
            if each.body.partition("\n")[0].strip() == self.marker
        ]
        return sorted(filter(self._is_own, marked), key=lambda each: each.id)

    def _is_own(self, comment: Comment) -> bool:
        # Tokens of apps and workflows have no name; no person is a bot.
        return comment.author == self._login if self._login else comment.is_by_bot

    @cached_property
    def _login(self) -> str:
        return self.github.login()


def _github(context: HookContext) -> GitHub:
    token = next((value for name in TOKENS if (value := context.variables.get(name))), "")
    if not token.strip():
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
    parts = urlsplit(url)
    name = f"{parts.scheme}_proxy"
    proxy = variables.get(name) or variables.get(name.upper()) or ""
    exceptions = variables.get("no_proxy") or variables.get("NO_PROXY") or ""
    host = f".{parts.hostname}"
    names = [each.strip().lstrip(".") for each in exceptions.split(",") if each.strip()]
    is_direct = any(name == "*" or host.endswith(f".{name}") for name in names)
    return "" if is_direct else proxy


def _default_marker(context: HookContext) -> str:
    parts = (context.project, context.env, str(context.slot) if context.slot else "")
    return _checked(_check_marker, "/".join(part for part in parts if part), context)


def _thread(given: GitHubComment, context: HookContext) -> Thread:
    repository = given.repo or context.variables.get("GITHUB_REPOSITORY") or ""
    number = given.issue or given.pr or _number_of_event(context.variables)
    if not repository:
        what = "repo is not set, and neither is GITHUB_REPOSITORY"
        raise ConfigurationError(context.hook, what, "write repo: owner/name")
    if not number:
        what = "neither issue nor pr is set, and this run is about none"
        raise ConfigurationError(context.hook, what, "write issue: 12 or pr: 12")
    return Thread(_checked(_check_repository, repository, context), number)


def _checked(check: Callable[[str], str], text: str, context: HookContext) -> str:
    try:
        return check(text)
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
