"""What a removal of slots tells (pure): in lines for people, as data for programs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codexctl_tasks.errors import CodexctlError

SCHEMA_VERSION = 1
"""Of the JSON document; see docs/output.md."""


class Fate(Enum):
    """What became of a slot."""

    STAYS = "stays"
    WOULD_GO = "would be removed"
    REMOVED = "removed"
    LEFT = "left"
    """It was to go, and something of it is still there."""


@dataclass(kw_only=True, slots=True)
class Account:
    """What is known of one slot."""

    slot: int
    owner: str
    """For whom it is, in words; empty: unknown."""
    namespace: str = ""
    """Empty: unknown."""
    fate: Fate = Fate.STAYS
    why: str = ""
    """Why it stays or goes; empty: somebody named it."""
    steps: Sequence[str] = ()
    """What a removal would do."""
    problems: Sequence[CodexctlError] = field(default=(), repr=False)


def line(account: Account) -> str:
    """Return a slot and what is to become of it, for a list."""
    verb = "keep" if account.fate is Fate.STAYS else "remove"
    owner = f" ({account.owner})" if account.owner else ""
    why = f": {account.why}" if account.why else ""
    return f"{verb:<6}  slot {account.slot}{owner}{why}"


def closing_line(accounts: Sequence[Account], *, deletes: bool, hint: str = "") -> tuple[str, str]:
    """Return the sum of all; *hint*: how a dry run becomes a real one."""
    done = [a for a in accounts if a.fate is (Fate.REMOVED if deletes else Fate.WOULD_GO)]
    parts = [f"{_counted(done)} {'removed' if deletes else 'would be removed'}"]
    for fate, words in ((Fate.STAYS, "kept"), (Fate.LEFT, "not removed")):
        if found := [a for a in accounts if a.fate is fate]:
            parts.append(f"{_counted(found)} {words}")
    told = f"{'DONE' if deletes else 'DRY RUN'}  {', '.join(parts)}"
    return "ready" if deletes else "", f"{told}; {hint}" if done and hint and not deletes else told


def as_json(
    accounts: Sequence[Account],
    problems: Sequence[CodexctlError],
    *,
    exit_code: int,
    deletes: bool,
) -> dict[str, Any]:
    """
    Return everything as JSON-like data.

    Args:
        accounts: Of all slots that were looked at.
        problems: What went wrong, of all slots and beside them.
        exit_code: Of the run.
        deletes: Whether it was to delete.
    """
    return {
        "version": SCHEMA_VERSION,
        "exitCode": exit_code,
        "dryRun": not deletes,
        "slots": [
            {
                "slot": account.slot,
                "for": account.owner,
                "namespace": account.namespace,
                "outcome": account.fate.value,
                "why": account.why,
                "steps": list(account.steps),
            }
            for account in accounts
        ],
        "problems": [{"where": e.where, "what": e.what, "fix": e.fix} for e in problems],
    }


def step_outputs(accounts: Sequence[Account], exit_code: int) -> dict[str, str]:
    """Return what later steps of a GitHub workflow read: numbers of slots, as JSON lists."""

    def numbers(*fates: Fate) -> str:
        return json.dumps([account.slot for account in accounts if account.fate in fates])

    return {
        "removed": numbers(Fate.REMOVED),
        "would-remove": numbers(Fate.WOULD_GO),
        "left": numbers(Fate.LEFT),
        "exit-code": str(exit_code),
    }


def _counted(accounts: Sequence[Account]) -> str:
    if not accounts:
        return "nothing"
    return f"{len(accounts)} slot{'s' * (len(accounts) != 1)}"
