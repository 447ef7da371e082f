"""
What an agent tells while it works, one JSON object in a line; pure.

Whatever is no event that is known is counted and left alone: a line of a megabyte, one that was
cut, or what some program wrote to the wrong stream must not end the run.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codexctl_tasks.agent.result import MOST_TOKENS, Status, Usage
from codexctl_tasks.agent.schema import violation, writable
from codexctl_tasks.agent.stderr import MEND_CONFIGURATION, configuration_error, reason_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LONGEST_LINE = 16 * 2**20
"""Bytes; of a longer one nothing is kept."""
LONGEST_MESSAGE = 2**20
"""Characters of a message, and bytes of the last one, that are kept."""
MOST_ERRORS = 10
"""Of what the agent calls an error, so many are kept, each once."""
ENDED, TIMED_OUT, CANCELLED = "ended", "timeout", "cancelled"
"""How the launcher says that it ended."""
_LONGEST_REASON = 500
_PASSING = re.compile(
    r"high demand|stream disconnected|last status: (?:429|5\d\d)|unexpected status 5\d\d|"
    r"error sending request|connection (?:failed|closed|reset|refused)|timed? ?out|"
    r"server_error|overloaded",
    re.IGNORECASE,
)
_LASTING = re.compile(r"quota|billing|status:? (?:400|401|403)|invalid_request", re.IGNORECASE)
_REFUSED = re.compile(r"\bstatus:? 40[13]\b")
_THREAD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_DIGITS = re.compile(r"\d+")
_NO_THREAD = re.compile(r"no rollout found for thread", re.IGNORECASE)


class Account:
    """What was read so far."""

    def __init__(self) -> None:
        self.thread_id = ""
        self.total: Usage | None = None
        """Of the whole thread; None: the agent has not told yet."""
        self.events = self.commands = self.strange = 0
        """How many; *strange*: lines that are no event."""
        self.failure = ""
        """What the agent says about a turn that failed."""
        self.is_complete = False
        self.last_message = ""
        self.errors: list[str] = []
        """What it complained of without giving up, such as a tool that it lacks; a line each."""
        self._line = bytearray()
        self._skips = False

    def read(self, data: bytes) -> Iterator[str]:
        """Take the next bytes, and yield what the agent said in them."""
        *whole, rest = data.split(b"\n")
        for piece in whole:
            self._add(piece)
            line, skipped = bytes(self._line), self._skips
            self._line.clear()
            self._skips = False
            if skipped:
                self.strange += 1
            elif line.strip():
                yield from self._event(line)
        self._add(rest)

    def finish(self) -> Iterator[str]:
        """Take what came without a line feed at the end."""
        yield from self.read(b"\n")

    def _add(self, piece: bytes) -> None:
        if self._skips or len(self._line) + len(piece) > LONGEST_LINE:
            self._skips = True
            self._line.clear()
        else:
            self._line += piece

    def _event(self, line: bytes) -> Iterator[str]:
        try:
            event = json.loads(line.decode("utf-8", "replace"))
            kind = event["type"]
        except (ValueError, TypeError, KeyError, RecursionError):
            self.strange += 1
            return
        self.events += 1
        if kind == "thread.started":
            thread = event.get("thread_id")
            is_usable = isinstance(thread, str) and _THREAD.fullmatch(thread)
            self.thread_id = thread if is_usable else ""
        elif kind == "turn.started":
            self.failure, self.is_complete = "", False
        elif kind == "turn.completed":
            self.failure, self.is_complete = "", True
            self.total = _usage(event.get("usage")) or self.total
        elif kind == "turn.failed":
            self.is_complete = False
            self.failure = _message(event.get("error")) or "the agent gives no reason"
            if (said := _one_line(_plain(self.failure))) in self.errors:  # told just before, too
                self.errors.remove(said)
        elif kind == "error":
            self._complain(event)
        elif kind == "item.completed":
            yield from self._item(event.get("item"))

    def _item(self, item: Any) -> Iterator[str]:
        kind = item.get("type") if isinstance(item, dict) else ""
        if kind == "command_execution":
            self.commands += 1
        elif kind == "error":
            self._complain(item)
        elif kind == "agent_message" and isinstance(item.get("text"), str):
            self.last_message = writable(item["text"][:LONGEST_MESSAGE])
            yield self.last_message

    def _complain(self, error: Any) -> None:
        """Keep an error; one that differs from another by a number alone is the same again."""
        said = _one_line(_plain(_message(error)))
        known = {_DIGITS.sub("", each) for each in self.errors}
        if said and len(known) < MOST_ERRORS and _DIGITS.sub("", said) not in known:
            self.errors.append(said)


@dataclass(frozen=True, slots=True)
class Ended:
    """How the program ended, as the pod tells."""

    exit_code: int
    how: str = ENDED
    last_message: str = ""
    """What it left in the file for that."""
    stderr: str = ""
    """The end of what it wrote there, in whole lines."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one start of the agent came to."""

    status: Status
    """SUCCESS, also if nothing was changed; AGENT_FAILED, TIMEOUT or CANCELLED."""
    reason: str = ""
    may_pass: bool = False
    """The same thread may succeed later."""
    lacks_thread: bool = False
    """The thread that was to go on is not there."""
    refuses_key: bool = False
    """The model has not accepted the key, or not for this."""


_CUT_SHORT = {
    CANCELLED: Verdict(Status.CANCELLED, "it was cancelled"),
    TIMED_OUT: Verdict(Status.TIMEOUT, "its time ran out"),
}


def judge(
    account: Account, ended: Ended, *, is_codex: bool, schema: Mapping[str, Any] | None
) -> Verdict:
    """
    Say what came of it.

    Args:
        account: All that the agent told.
        ended: How its program ended.
        is_codex: Its events are those of Codex; of another program only exit code and last
            message count.
        schema: What the last message has to meet; None: nothing.
    """
    if ended.how in _CUT_SHORT:
        return _CUT_SHORT[ended.how]
    if is_codex and account.failure:
        return _failed_turn(account.failure)
    if ended.exit_code:
        return _failed_program(ended, is_begun=bool(account.thread_id) or not is_codex)
    what = _shortcoming(account, ended, schema, is_codex=is_codex)
    return Verdict(Status.AGENT_FAILED, what) if what else Verdict(Status.SUCCESS)


def _shortcoming(
    account: Account, ended: Ended, schema: Mapping[str, Any] | None, *, is_codex: bool
) -> str:
    """Return what a program that is content has not done; empty: nothing."""
    if is_codex and not account.is_complete:
        return "it ended in the middle of a turn"
    if not ended.last_message.strip():
        return "it said nothing at the end"
    what = violation(ended.last_message, schema) if schema is not None else ""
    return f"its answer violates the schema: {what}" if what else ""


def usage_since(before: Usage, total: Usage | None) -> Usage:
    """Return what one run used of a thread; the agent counts all runs of it."""
    if total is None:
        return Usage()
    return Usage(
        *(
            max(getattr(total, name) - getattr(before, name), 0)
            for name in ("input", "cached_input", "output", "reasoning")
        )
    )


def first_line(text: str, longest: int) -> str:
    """Return a message as one line, cut where it is too long."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _failed_turn(failure: str) -> Verdict:
    return Verdict(
        Status.AGENT_FAILED,
        _one_line(_plain(failure)),
        may_pass=bool(_PASSING.search(failure) and not _LASTING.search(failure)),
        refuses_key=bool(_REFUSED.search(failure)),
    )


def _failed_program(ended: Ended, *, is_begun: bool) -> Verdict:
    """Judge a program by its exit code; *is_begun*: it was not its configuration that failed."""
    said = _one_line(reason_in(ended.stderr))
    if not is_begun and (what := configuration_error(ended.stderr)):
        said = f"{_one_line(what)}: {MEND_CONFIGURATION}"
    reason = f"exit code {ended.exit_code}" + (f": {said}" if said else "")
    return Verdict(Status.AGENT_FAILED, reason, lacks_thread=bool(_NO_THREAD.search(ended.stderr)))


def _usage(given: Any) -> Usage | None:
    if not isinstance(given, dict):
        return None
    names = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens")
    numbers = [given.get(name, 0) for name in names]
    is_usable = all(type(number) is int and 0 <= number <= MOST_TOKENS for number in numbers)
    return Usage(*numbers) if is_usable else None


def _message(error: Any) -> str:
    message = error.get("message") if isinstance(error, dict) else error
    return writable(message) if isinstance(message, str) else ""


def _plain(message: str) -> str:
    """Return what an answer of the model's server says that Codex hands on as it came."""
    try:
        error = json.loads(message)["error"]["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return message
    return writable(error) if isinstance(error, str) and error.strip() else message


def _one_line(text: str) -> str:
    return first_line(text, _LONGEST_REASON)
