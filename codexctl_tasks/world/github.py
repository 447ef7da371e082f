"""GitHub's API, as much of it as codexctl needs: typed questions, thin."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from codexctl_tasks.references import check_repository
from codexctl_tasks.world import github_graphql
from codexctl_tasks.world.github_answers import GitHubError, Reason
from codexctl_tasks.world.github_objects import (
    Branch,
    Comment,
    Issue,
    PullRequest,
    Run,
    read_branch,
    read_comment,
    read_default_branch,
    read_issue,
    read_merge_base,
    read_pull_request,
    read_run,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from codexctl_tasks.world.github_connection import Connection

PAGE = 100
"""Objects per page of a list; more are not given."""
_PULLS, _RUNS, _CONTENTS = "pull-requests: read", "actions: read", "contents: write"
_READ, _WRITES_PULLS = "contents: read", "pull-requests: write"
_VIEWER = "query { viewer { login } }"


class GitHub:
    """
    One server, with the rights of one token.

    Every question raises `GitHubError`, whose reason tells apart what does not exist, what was
    deleted, what is forbidden and what nobody could answer. Renamed repositories are followed.
    """

    def __init__(self, connection: Connection) -> None:
        """Ask over a connection, which ends with `close`."""
        self._connection, self._ask = connection, connection.ask

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def login(self) -> str:
        """
        Return who the token belongs to.

        Apps and workflows write comments as ``NAME[bot]``; empty: nobody tells.
        """
        try:
            return _login(self._ask("GET", "/user").data)
        except GitHubError as error:
            if error.reason not in (Reason.FORBIDDEN, Reason.NOT_FOUND):
                raise
        try:
            return _login(self.query(_VIEWER, {}).get("viewer"))
        except GitHubError as error:
            if error.reason in (Reason.LIMITED, Reason.UNAVAILABLE):
                raise
            return ""

    def issue(self, repository: str, number: int) -> Issue:
        """Return an issue or a pull request; one that was moved is returned as what it is now."""
        return read_issue(self._ask("GET", f"{_path(repository)}/issues/{number}").data)

    def pull_request(self, repository: str, number: int) -> PullRequest:
        """Return a pull request; an issue is not found."""
        address = f"{_path(repository)}/pulls/{number}"
        return read_pull_request(self._ask("GET", address, needs=_PULLS).data)

    def open_pull_requests(self, repository: str, branch: str) -> list[PullRequest]:
        """Return the open pull requests whose commits come from a branch of the repository."""
        owner = repository.partition("/")[0]
        head = quote(f"{owner}:{branch}", safe="")
        address = f"{_path(repository)}/pulls?state=open&head={head}&per_page={PAGE}"
        pages = self._connection.pages(address, _PULLS)
        found = (read_pull_request(each) for page in pages for each in page)
        # An owner can have a fork of its own repository, with a branch of that name.
        return [each for each in found if each.head_ref == branch and not each.is_from_fork]

    def run(self, repository: str, run: int) -> Run:
        """Return a run of a workflow."""
        address = f"{_path(repository)}/actions/runs/{run}"
        return read_run(self._ask("GET", address, needs=_RUNS).data)

    def branch(self, repository: str, name: str) -> Branch | None:
        """Return a branch; None: there is none of that name, unless the repository is hidden."""
        address = f"{_path(repository)}/branches/{_branch(name)}"
        try:
            found = read_branch(self._ask("GET", address, needs="contents: read").data)
        except GitHubError as error:
            if error.reason is Reason.NOT_FOUND:
                return None
            raise
        return found if found.name == name else None  # a renamed one is followed by GitHub

    def delete_branch(self, repository: str, name: str) -> bool:
        """Delete a branch; tell whether it was there."""
        address = f"{_path(repository)}/git/refs/heads/{_branch(name)}"
        try:
            self._ask("DELETE", address, needs=_CONTENTS)
        except GitHubError as error:
            is_invalid = error.status == HTTPStatus.UNPROCESSABLE_ENTITY
            if is_invalid and "does not exist" in error.what:
                return False
            raise
        return True

    def default_branch(self, repository: str) -> str:
        """Return the branch that a repository shows first."""
        return read_default_branch(self._ask("GET", _path(repository), needs=_READ).data)

    def merge_base(self, repository: str, branch: str, commit: str) -> str:
        """
        Return the newest commit that a branch and a commit have both grown out of.

        It is the commit itself if the branch has it; empty: there is none.
        """
        span = f"{_branch(branch)}...{quote(commit, safe='')}"
        address = f"{_path(repository)}/compare/{span}?per_page=1"
        try:
            return read_merge_base(self._ask("GET", address, needs=_READ).data)
        except GitHubError as error:
            if error.reason is Reason.NOT_FOUND:
                return ""
            raise

    def create_pull_request(
        self, repository: str, *, head: str, base: str, title: str, body: str, is_draft: bool
    ) -> PullRequest:
        """
        Open a pull request from a branch of the repository.

        Raises:
            UnansweredError: It may be open, or not: it is not sent again.
        """
        content = {"head": head, "base": base, "title": title, "body": body, "draft": is_draft}
        address = f"{_path(repository)}/pulls"
        return read_pull_request(self._ask("POST", address, content, needs=_WRITES_PULLS).data)

    def update_pull_request(self, repository: str, number: int, body: str) -> None:
        """Replace the text of a pull request."""
        address = f"{_path(repository)}/pulls/{number}"
        self._ask("PATCH", address, {"body": body}, needs=_WRITES_PULLS)

    def request_review(self, repository: str, number: int, reviewer: str) -> None:
        """
        Ask for a review of a pull request: a person, or a team with its owner before a slash.

        One at a time: of several GitHub asks nobody if it refuses one, such as the author.
        """
        address = f"{_path(repository)}/pulls/{number}/requested_reviewers"
        _, slash, team = reviewer.partition("/")
        asked = {"team_reviewers": [team]} if slash else {"reviewers": [reviewer]}
        self._ask("POST", address, asked, repeats=True, needs=_WRITES_PULLS)

    def comments(self, repository: str, number: int) -> list[Comment]:
        """Return the comments of an issue or a pull request, the oldest first."""
        address = f"{_path(repository)}/issues/{number}/comments?per_page={PAGE}"
        return [read_comment(each) for page in self._connection.pages(address) for each in page]

    def create_comment(self, repository: str, number: int, body: str) -> Comment:
        """
        Write a comment.

        Raises:
            UnansweredError: It may have been written, or not: it is not sent again.
        """
        address = f"{_path(repository)}/issues/{number}/comments"
        return read_comment(self._ask("POST", address, {"body": body}).data)

    def update_comment(self, repository: str, comment: int, body: str) -> Comment:
        """Replace the text of a comment."""
        address = f"{_path(repository)}/issues/comments/{comment}"
        return read_comment(self._ask("PATCH", address, {"body": body}).data)

    def delete_comment(self, repository: str, comment: int) -> None:
        """Delete a comment; one that is gone is fine."""
        try:
            self._ask("DELETE", f"{_path(repository)}/issues/comments/{comment}")
        except GitHubError as error:
            if error.reason is not Reason.NOT_FOUND:
                raise

    def get(self, address: str, needs: str) -> Any:
        """Return what is at a path of the API; *needs*: permission of the token."""
        return self._ask("GET", address, needs=needs).data

    def pages(self, address: str, needs: str, member: str = "") -> Iterator[list[Any]]:
        """Yield the pages of a list; see `Connection.pages`."""
        return self._connection.pages(address, needs, member)

    @staticmethod
    def path(repository: str) -> str:
        """Return where a repository is in the API."""
        return _path(repository)

    def query(self, text: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return the data that a GraphQL query asks for; see `github_graphql.query`."""
        return github_graphql.query(self._connection, text, variables)

    def nodes(
        self, text: str, variables: Mapping[str, Any], *path: str
    ) -> Iterator[dict[str, Any]]:
        """Yield the objects of a list in GraphQL, page by page; see `github_graphql.nodes`."""
        return github_graphql.nodes(self._connection, text, variables, path)


def _path(repository: str) -> str:
    """Return where a repository is; a name with dots and slashes must not lead elsewhere."""
    if not repository:
        raise GitHubError("repository", "none is named", "write owner/name")
    try:
        return f"/repos/{check_repository(repository)}"
    except ValueError as error:
        raise GitHubError("repository", str(error)) from error


def _branch(name: str) -> str:
    """Return the name of a branch as part of a path, out of which it does not lead."""
    if not name or ".." in name or "//" in f"/{name}/" or "/." in f"/{name}":
        raise GitHubError("branch", f"{name!r} is no name of a branch")
    return quote(name)


def _login(data: Any) -> str:
    login = data.get("login") if isinstance(data, dict) else None
    return login if isinstance(login, str) else ""
