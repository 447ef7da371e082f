"""
What came of an agent's run, as jobs hand it on to each other; pure.

A file `result.json` in a folder that is passed as an artifact. Whoever reads it does not trust the
job that wrote it with more than it says: no command, no path, no address is taken from it.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from codexctl_tasks.agent.schema import writable
from codexctl_tasks.errors import DONE, TIMED_OUT, WORKLOAD_FAILED, ConfigurationError
from codexctl_tasks.requests.agents import Kind

if TYPE_CHECKING:
    from pathlib import Path

FILE = "result.json"
_IGNORED = ".gitignore"
MOST_TOKENS = 2**53
"""Whoever tells of more has not counted them."""
_LARGEST_BYTES = 8 * 2**20
"""A megabyte of last message, with everything in it escaped, has room in it."""
_CANCELLED = 130
"""What a shell says of a program that Ctrl-C has ended."""
_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_FIX = "name the folder that codexctl prompt-run has written to, or run the agent again"


class Status(StrEnum):
    """How it ended, or why it did not begin."""

    SUCCESS = "success"
    NO_CHANGES = "no-changes"
    """The agent is content, and there is nothing to publish."""
    AGENT_FAILED = "agent-failed"
    TIMEOUT = "timeout"
    """The agent's time ran out."""
    CANCELLED = "cancelled"
    DENIED = "denied"
    """Whoever started it may not."""
    SLOT_TIMEOUT = "slot-timeout"
    """All slots were taken for too long."""
    INFRA_FAILED = "infra-failed"
    """Slot, environment or pod failed, not the agent."""
    PUBLISH_BLOCKED = "publish-blocked"
    """The agent is content, but what it made may not be published."""

    @property
    def exit_code(self) -> int:
        """What the task ends with; a run that nobody may start is no failure."""
        return _EXIT_CODES.get(self, WORKLOAD_FAILED)


_EXIT_CODES = {
    Status.SUCCESS: DONE,
    Status.NO_CHANGES: DONE,
    Status.DENIED: DONE,
    Status.TIMEOUT: TIMED_OUT,
    Status.SLOT_TIMEOUT: TIMED_OUT,
    Status.CANCELLED: _CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one run, not of all that continued a thread."""

    input: int = 0
    cached_input: int = 0
    """Part of *input*."""
    output: int = 0
    reasoning: int = 0
    """Part of *output*."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What came of a run."""

    status: Status
    reason: str = ""
    """One line for people: why it is not a success; empty where the status says all."""
    kind: Kind = Kind.DEV
    run: str = ""
    """Name of the run's folder in the pod; empty: nothing was started."""
    repo: str = ""
    """``owner/name``."""
    issue: int = 0
    """0: it was not about an Issue."""
    pr: int = 0
    """0: it was not about a pull request."""
    slot: int = 0
    """0: none."""
    namespace: str = ""
    thread_id: str = ""
    """Of the agent, to go on with it; empty: unknown."""
    model: str = ""
    effort: str = ""
    base: str = ""
    """Commit that the agent began with; empty: nothing can be published."""
    final_message: str = ""
    """What the agent said last, with secrets masked; untrusted text."""
    usage: Usage = Usage()
    duration_s: float = 0.0
    attempts: int = 0
    """How often the agent was started."""

    def ended(self, status: Status, reason: str) -> Result:
        """Return it with another end."""
        return replace(self, status=status, reason=" ".join(reason.split()))


def write_result(folder: Path, result: Result) -> None:
    """
    Write it; a reader never sees half of it.

    A new or empty folder is hidden from git: in a checkout it would be part of the sources, and a
    later run would publish it as the agent's work.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        (folder / _IGNORED).write_text("*\n", "utf-8")
    fresh = folder / f".{FILE}"
    fresh.write_text(json.dumps(asdict(result), indent=1, ensure_ascii=False) + "\n", "utf-8")
    fresh.replace(folder / FILE)


def read_result(folder: Path) -> Result:
    """
    Return what a run has left.

    Raises:
        ConfigurationError: There is no such file, or it makes no sense.
    """
    path = folder / FILE
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(str(path), f"cannot be read: {error.strerror}", _FIX) from error
    try:
        return _read(data)
    except (ValueError, TypeError, RecursionError) as error:
        what = f"is no result of a run: {str(error)[:200]}"
        raise ConfigurationError(str(path), what, _FIX) from error


def _read(data: bytes) -> Result:
    """Return it with every field checked; a key that is not known is an error."""
    if len(data) > _LARGEST_BYTES:
        raise ValueError("it is too large")
    found = json.loads(data)
    if not isinstance(found, dict):
        raise TypeError("it is no mapping")
    if missing := [name for name in ("status", "kind", "usage") if name not in found]:
        raise ValueError(f"{missing[0]} is missing")
    status, kind = Status(found.pop("status")), Kind(found.pop("kind"))
    usage = Usage(**found.pop("usage"))
    result = Result(status=status, kind=kind, usage=usage, **found)
    empty = Result(status=status)
    for name, value in asdict(result).items():
        _check(name, value, getattr(empty, name))
    for name, value in asdict(usage).items():
        _check(f"usage.{name}", value, 0)
    if result.base and not _SHA.fullmatch(result.base):
        raise ValueError("base is no commit")
    return result


def _check(name: str, value: Any, example: Any) -> None:
    """Refuse what has another type than it must have, and what nobody counts or writes."""
    if isinstance(example, Usage):
        return  # its fields are checked one by one
    if isinstance(example, str):
        is_right = isinstance(value, str) and value == writable(value)
    else:
        is_right = type(value) in {int, type(example)} and 0 <= value <= MOST_TOKENS
    if not is_right:
        raise TypeError(f"{name} is no value: {ascii(value)[:100]}")
