"""``github.comment``: one comment on an Issue or pull request, kept up to date."""

from __future__ import annotations

import re
from contextlib import closing
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.hooks.builtin.comment_body import compose
from codexctl_tasks.hooks.builtin.github_access import find_thread, open_github
from codexctl_tasks.hooks.contract import Flag, HookContext, Parameters, Text, Whole, hook
from codexctl_tasks.world.github_access import check_repository
from codexctl_tasks.world.github_comments import ATTEMPTS, Done, OwnComment

__all__ = ("ATTEMPTS", "GitHubComment", "comment_on_github")

MOST_MARKER = 200


def _check_body(text: str) -> str:
    if text.strip():
        return text
    raise ValueError("GitHub takes no empty comment")


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
    repo: Annotated[Text, AfterValidator(check_repository)] = ""
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
    thread = find_thread(given.repo, given.issue or given.pr, context)
    marker = f"<!-- codexctl: {given.marker or _default_marker(context)} -->"
    with closing(open_github(context)) as github:
        body = context.console.masked(given.body)  # by now it knows the token, too
        text = compose(body, marker if given.update else "", mentions=given.mentions)
        if not given.update:
            written = github.create_comment(*thread, text)
            context.tell(f"{thread}: wrote {written.url}")
            return
        done, url = OwnComment(github, thread, marker, context.clock).write(text)
        said = f"{done}: {url}" if done is Done.UNCHANGED else f"{done} {url}"
        context.tell(f"{thread}: {said}")


def _default_marker(context: HookContext) -> str:
    parts = (context.project, context.env, str(context.slot) if context.slot else "")
    try:
        return _check_marker("/".join(part for part in parts if part))
    except ValueError as error:
        raise ConfigurationError(context.hook, str(error), "write a marker") from error
