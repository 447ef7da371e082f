"""What a GitHub replies about its issues, pull requests, runs and branches, and in GraphQL."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Reply = tuple[int, Any, dict[str, str]]
NOT_FOUND: Reply = (404, {"message": "Not Found"}, {})
INTEGRATION: Reply = (403, {"message": "Resource not accessible by integration"}, {})
_GRAPHQL_PAGE = 2


@dataclass
class Facts:
    """One repository, as far as it is no comment."""

    repository: str = "shop/web"
    url: str = ""
    """Of the API."""
    issues: dict[int, dict[str, Any]] = field(default_factory=dict)
    pulls: dict[int, dict[str, Any]] = field(default_factory=dict)
    runs: dict[int, dict[str, Any]] = field(default_factory=dict)
    branches: dict[str, dict[str, Any]] = field(default_factory=dict)
    moved: dict[int, str] = field(default_factory=dict)
    """Issues that were moved: the address each has now."""
    deleted: set[int] = field(default_factory=set)
    lists: dict[str, list[dict[str, Any] | None]] = field(default_factory=dict)
    """In GraphQL, by the name of the field."""
    has_drafts: bool = True
    """Pull requests may be drafts."""
    merge_base: Callable[[str, str], str] | None = None
    """Tells where a branch and a commit meet, empty: nowhere; None: nobody knows the commit."""
    talk: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """In GraphQL: ``comments``, ``reviews``, ``reviewThreads`` of any issue, and of a ``node``."""
    people: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Type and permission by login."""
    members: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """``check_runs``, ``statuses``, ``workflow_runs``, and ``files`` of a pull request."""
    shas: Any = field(default_factory=lambda: (f"{n:040x}" for n in itertools.count(1)))

    def add_issue(self, number: int, **more: Any) -> dict[str, Any]:
        """Open an issue."""
        self.issues[number] = {
            "number": number,
            "state": "open",
            "title": f"Issue {number}",
            "body": None,
            "user": {"login": "octo", "type": "User"},
            "labels": [],
            "locked": False,
            "repository_url": f"{self.url}/repos/{self.repository}",
            "html_url": f"https://github.example/{self.repository}/issues/{number}",
            **more,
        }
        return self.issues[number]

    def add_pull(
        self, number: int, ref: str, repository: str | None = "", **more: Any
    ) -> dict[str, Any]:
        """Open a pull request from a branch; *repository*: None: a fork that was deleted."""
        fork = self.repository if repository == "" else repository
        owner = (fork or "ghost").partition("/")[0]
        self.pulls[number] = {
            "number": number,
            "state": "open",
            "title": f"Change {number}",
            "body": "Closes #12",
            "user": {"login": owner, "type": "User"},
            "draft": False,
            "merged_at": None,
            "html_url": f"https://github.example/{self.repository}/pull/{number}",
            "head": {
                "label": f"{owner}:{ref}",
                "ref": ref,
                "sha": next(self.shas),
                "repo": {"full_name": fork} if fork else None,
            },
            "base": {
                "ref": "main",
                "sha": next(self.shas),
                "repo": {"full_name": self.repository},
            },
            **more,
        }
        self.add_issue(number, pull_request={"url": f"{self.url}/pulls/{number}"})
        return self.pulls[number]

    def add_branch(self, name: str, *, protected: bool = False) -> None:
        """Push a branch."""
        commit = {"sha": next(self.shas)}
        self.branches[name] = {"name": name, "commit": commit, "protected": protected}


def issue(facts: Facts, number: int) -> Reply:
    """Reply about an issue; one that was moved or deleted is not just missing."""
    if address := facts.moved.get(number):
        return 301, {"message": "Moved Permanently"}, {"Location": address}
    if number in facts.deleted:
        return 410, {"message": "This issue was deleted"}, {}
    known = facts.issues.get(number)
    return (200, known, {}) if known else NOT_FOUND


def pull(facts: Facts, number: int, change: Mapping[str, Any] | None = None) -> Reply:
    """Reply about a pull request, or change it; alone it tells more than in a list."""
    known = facts.pulls.get(number)
    if known is None:
        return NOT_FOUND
    known.update(change or {})
    return 200, {**known, "merged": known["merged_at"] is not None, "mergeable": None}, {}


def open_pull(facts: Facts, asked: Mapping[str, Any]) -> Reply:
    """Open a pull request, once for each branch."""
    if asked["draft"] and not facts.has_drafts:
        message = "Draft pull requests are not supported in this repository."
        return 422, {"message": message}, {}
    if any(each["head"]["ref"] == asked["head"] for each in facts.pulls.values()):
        errors = [{"message": f"A pull request already exists for {asked['head']}."}]
        return 422, {"message": "Validation Failed", "errors": errors}, {}
    number = max(facts.issues) + 1
    told = {key: asked[key] for key in ("title", "body", "draft")}
    return 201, facts.add_pull(number, asked["head"], **told), {}


def reviewers(facts: Facts, number: int, asked: Mapping[str, Any]) -> Reply:
    """Ask for reviews: of nobody if one is a stranger or the author."""
    people, teams = asked.get("reviewers", []), asked.get("team_reviewers", [])
    known = facts.pulls[number]
    if "stranger" in people:
        return 422, {"message": "Reviews may only be requested from collaborators."}, {}
    if known["user"]["login"] in people:
        return 422, {"message": "Review cannot be requested from pull request author."}, {}
    known["reviewers"] = list(dict.fromkeys([*known.get("reviewers", []), *people, *teams]))
    return 201, known, {}


def compare(facts: Facts, span: str) -> Reply:
    """Reply where two histories of the real repository meet."""
    first, _, second = unquote(span).partition("...")
    met = facts.merge_base(first, second) if facts.merge_base else ""
    return (200, {"merge_base_commit": {"sha": met}}, {}) if met else NOT_FOUND


def repository(facts: Facts) -> Reply:
    """Reply about the repository itself."""
    return 200, {"full_name": facts.repository, "default_branch": "main"}, {}


def pulls(facts: Facts, query: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Return the pull requests of a state and a head, the newest first."""
    state, head = query.get("state", ["open"])[0], query.get("head", [""])[0]
    return [
        each
        for _, each in sorted(facts.pulls.items(), reverse=True)
        if state in ("all", each["state"]) and head in ("", each["head"]["label"])
    ]


def run(facts: Facts, number: int) -> Reply:
    """Reply about a run of a workflow."""
    known = facts.runs.get(number)
    return (200, {"id": number, **known}, {}) if known else NOT_FOUND


def branch(facts: Facts, method: str, name: str) -> Reply:
    """Reply about a branch, or delete it."""
    name = unquote(name)
    known = facts.branches.get(name)
    if method == "GET":
        return (200, known, {}) if known else (404, {"message": "Branch not found"}, {})
    if known is None:
        return 422, {"message": "Reference does not exist"}, {}
    if known["protected"]:
        return 422, {"message": "Cannot delete protected branch"}, {}
    del facts.branches[name]
    return 204, None, {}


def user(facts: Facts, login: str) -> Reply:
    """Reply about an account."""
    login = unquote(login)
    known = facts.people.get(login)
    return (200, {"login": login, "type": known[0]}, {}) if known else NOT_FOUND


def permission(facts: Facts, login: str) -> Reply:
    """Reply what an account may do; of one that GitHub does not know it says nothing."""
    login = unquote(login)
    if login not in facts.people:
        return NOT_FOUND
    return 200, {"permission": facts.people[login][1], "user": {"login": login}}, {}


def _talk(facts: Facts, text: str, cursor: Any) -> Reply:
    """Reply with a page of what was said."""
    outer = {"node": "node(", "reviewThreads": "reviewThreads(", "reviews": "reviews("}
    name = next((name for name, mark in outer.items() if mark in text), "comments")
    begin, found = int(cursor or 0), facts.talk.get(name, [])
    info = {"hasNextPage": begin + _GRAPHQL_PAGE < len(found), "endCursor": f"{begin + 2}"}
    page = {"nodes": found[begin : begin + _GRAPHQL_PAGE], "pageInfo": info}
    if name == "node":
        return 200, {"data": {"node": {"comments": page}}}, {}
    about = "issueOrPullRequest" if name == "comments" else "pullRequest"
    return 200, {"data": {"repository": {about: {name: page}}}}, {}


def graphql(facts: Facts, body: Mapping[str, Any], login: str) -> Reply:
    """Reply to a query about the viewer, or about one list of the repository."""
    text, variables = body["query"], body["variables"]
    if "viewer {" in text:
        return 200, {"data": {"viewer": {"login": login}}}, {}
    if "node(" in text:
        return _talk(facts, text, variables.get("cursor"))
    if f"{variables.get('owner')}/{variables.get('name')}" != facts.repository:
        error = {
            "type": "NOT_FOUND",
            "path": ["repository"],
            "message": "Could not resolve to a Repository with that name.",
        }
        return 200, {"data": {"repository": None}, "errors": [error]}, {}
    if "ullRequest(" in text:
        return _talk(facts, text, variables.get("cursor"))
    name = next((each for each in facts.lists if f"{each}(" in text), "")
    if not name:
        error = {"message": 'Parse error on "}" (RCURLY) at [1, 9]'}
        return 200, {"errors": [error]}, {}
    begin = int(variables.get("cursor") or 0)
    end = begin + _GRAPHQL_PAGE
    info = {"hasNextPage": end < len(facts.lists[name]), "endCursor": str(end)}
    found = {"nodes": facts.lists[name][begin:end], "pageInfo": info}
    return 200, {"data": {"repository": {name: found}}}, {}
