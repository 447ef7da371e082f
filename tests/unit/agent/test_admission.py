"""Who may start a run: the whole table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from codexctl_tasks.agent.admission import Case, Person, policy_of, refusal
from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.requests.agents import Kind

WRITER = Person("octo", is_bot=False, may_write=True)
READER = Person("reader", is_bot=False, may_write=False)
BOT = Person("renovate[bot]", is_bot=True, may_write=False)
WRITING_BOT = replace(BOT, may_write=True)
NAMESAKE = Person("renovate", is_bot=False, may_write=False)
CASE = Case(
    kind=Kind.DEV,
    actor=WRITER,
    triggering=WRITER,
    sender="octo",
    is_pull_request=False,
    is_open=True,
    is_fork=False,
    runs=1,
)


def _refusal(
    users: str = "", bots: str = "", *, forks: bool = False, most: int = 3, **changes: Any
) -> str:
    policy = policy_of(users.split(","), bots.split(","), allows_forks=forks, most_runs=most)
    return refusal(replace(CASE, **changes), policy)


def _by(person: Person, **more: Any) -> dict[str, Any]:
    return {"actor": person, "triggering": person, "sender": person.login, **more}


PULL = {"is_pull_request": True}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"sender": "OCTO"},
        {"sender": ""},
        _by(READER, users=" Reader , x"),
        _by(READER, users="READER"),
        {"triggering": READER, "users": "reader"},
        _by(BOT, bots="Renovate[bot]"),
        {**PULL, "is_fork": True, "forks": True, "kind": Kind.REVIEW},
        {**PULL, "kind": Kind.REVIEW},
        {"kind": Kind.PLAN},
        {"kind": Kind.REPAIR},
        {"runs": 3},
        {"runs": 99, "most": 0},
    ],
)
def test_allowed(given: dict[str, Any]) -> None:
    """Whoever may write, and whoever is named."""
    assert _refusal(**given) == ""


@pytest.mark.parametrize(
    ("given", "part"),
    [
        (_by(READER), "may not write"),
        (_by(READER, users=" , "), "may not write"),
        (_by(READER, users="read"), "may not write"),
        (_by(READER, users="reader[bot]"), "may not write"),
        ({"triggering": READER}, "reader may not write"),
        ({"actor": READER, "sender": "reader"}, "reader may not write"),
        (_by(BOT), "is a bot"),
        (_by(WRITING_BOT), "is a bot"),
        (_by(BOT, users="renovate[bot]"), "is a bot"),
        (_by(BOT, bots="renovate"), "is a bot"),
        (_by(NAMESAKE, bots="renovate,renovate[bot]"), "may not write"),
        (_by(BOT, bots="renovate[bot]", sender="octo"), "a bot acts"),
        (_by(BOT, bots="renovate[bot]", triggering=WRITER), "a bot acts"),
        ({"triggering": BOT, "bots": "renovate[bot]"}, "a bot acts"),
        ({"sender": "mallory"}, "the event is of mallory"),
        ({"is_open": False}, "issue is closed"),
        ({**PULL, "is_open": False}, "pull request is closed"),
        ({**PULL, "is_fork": True}, "from a fork"),
        ({**PULL, "is_fork": True, "forks": True}, "to which nothing is pushed"),
        ({**PULL, "is_fork": True, "forks": True, "kind": Kind.REPAIR}, "nothing is pushed"),
        ({"kind": Kind.REVIEW}, "no changes"),
        ({**PULL, "kind": Kind.PLAN}, "plans are made for issues"),
        ({**PULL, "kind": Kind.PLAN_REVIEW}, "plans are made for issues"),
        ({"runs": 4}, "4 runs within an hour"),
    ],
)
def test_refused(given: dict[str, Any], part: str) -> None:
    """With a reason in one line."""
    assert part in _refusal(**given)


@pytest.mark.parametrize("flag", ["users", "bots"])
@pytest.mark.parametrize("name", ["*", " * ", "octo,*", "*[bot]", "dep*"])
def test_everybody_is_nobody(flag: str, name: str) -> None:
    """A star is a mistake of whoever set the workflow up, and is told to him."""
    with pytest.raises(ConfigurationError, match="everybody"):
        _refusal(**{flag: name})
