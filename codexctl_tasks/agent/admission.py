"""Who may start a run (pure). What is not certain is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.requests.agents import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """Who may, beside those who may write to the repository."""

    users: frozenset[str] = frozenset()
    """Logins of people, in lower case."""
    bots: frozenset[str] = frozenset()
    """Logins of bots, such as ``renovate[bot]``, in lower case."""
    allows_forks: bool = False
    most_runs: int = 20
    """Of one account within an hour; 0: no limit."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, as the API tells."""

    login: str
    is_bot: bool
    may_write: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """Everything that a decision rests on."""

    kind: Kind
    actor: Person
    triggering: Person
    """Who started this attempt: another one than *actor* when a run was repeated."""
    sender: str
    """Who caused the event; empty: GitHub does not say."""
    is_pull_request: bool
    is_open: bool
    is_fork: bool
    runs: int
    """Of the actor within the last hour, this one included."""


def policy_of(
    users: Iterable[str], bots: Iterable[str], *, allows_forks: bool, most_runs: int
) -> Policy:
    """
    Return a policy; names are trimmed, and upper and lower case are the same.

    Raises:
        ConfigurationError: Everybody would be allowed.
    """
    named = {}
    for flag, given in (("--allowed-users", users), ("--allowed-bots", bots)):
        names = frozenset(filter(None, (each.strip().casefold() for each in given)))
        if any("*" in name for name in names):
            fix = "name each one; whoever may write to the repository needs no name"
            raise ConfigurationError(flag, "* would let everybody start runs", fix)
        named[flag] = names
    return Policy(
        users=named["--allowed-users"],
        bots=named["--allowed-bots"],
        allows_forks=allows_forks,
        most_runs=most_runs,
    )


def refusal(case: Case, policy: Policy) -> str:
    """Return why a run may not be; empty: it may."""
    people = {each.login.casefold(): each for each in (case.actor, case.triggering)}
    for person in people.values():
        if not _may_start(person, policy):
            named = "--allowed-bots" if person.is_bot else "--allowed-users"
            lacks = "is a bot" if person.is_bot else "may not write to the repository"
            return f"{person.login} {lacks} and is not named in {named}"
    names = {*people, *([case.sender.casefold()] if case.sender else [])}
    if any(each.is_bot for each in people.values()) and len(names) > 1:
        return f"a bot acts on what somebody else did: {', '.join(sorted(names))}"
    if case.sender and case.sender.casefold() != case.actor.login.casefold():
        return f"the event is of {case.sender}, the run of {case.actor.login}"
    return _refusal_of_subject(case, policy) or _refusal_of_rate(case, policy)


def _may_start(person: Person, policy: Policy) -> bool:
    """Tell whether somebody may; a bot and a person of one name are two."""
    name = person.login.casefold()
    if person.is_bot:
        return name in policy.bots
    return person.may_write or name in policy.users


def _refusal_of_subject(case: Case, policy: Policy) -> str:
    what = "pull request" if case.is_pull_request else "issue"
    if not case.is_open:
        return f"the {what} is closed"
    if case.is_fork and not policy.allows_forks:
        return "the pull request comes from a fork"
    if case.is_fork and case.kind.makes_commits:
        return "the pull request comes from a fork, to which nothing is pushed"
    if case.kind is Kind.REVIEW and not case.is_pull_request:
        return "an issue has no changes that could be reviewed"
    if case.kind in (Kind.PLAN, Kind.PLAN_REVIEW) and case.is_pull_request:
        return "plans are made for issues, not for pull requests"
    return ""


def _refusal_of_rate(case: Case, policy: Policy) -> str:
    if policy.most_runs and case.runs > policy.most_runs:
        return (
            f"{case.actor.login} has started {case.runs} runs within an hour,"
            f" and {policy.most_runs} are allowed"
        )
    return ""
