"""What an agent tells, read line by line, and what is made of it in the end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from codexctl_tasks.agent.events import (
    CANCELLED,
    LONGEST_LINE,
    LONGEST_MESSAGE,
    MOST_ERRORS,
    TIMED_OUT,
    Account,
    Ended,
    judge,
    usage_since,
)
from codexctl_tasks.agent.result import Status, Usage
from codexctl_tasks.agent.stderr import MEND_CONFIGURATION

THREAD = "01a21a94-5307-7641-8fce-094e3b3be7b0"
USED = {
    "input_tokens": 300,
    "cached_input_tokens": 20,
    "output_tokens": 40,
    "reasoning_output_tokens": 10,
}
STARTED = {"type": "thread.started", "thread_id": THREAD}
TURN = {"type": "turn.started"}
COMPLETED = {"type": "turn.completed", "usage": USED}
RECONNECTING = {"type": "error", "message": "Reconnecting... 1/5 (stream disconnected)"}
ITEM_ERROR = {"type": "item.completed", "item": {"type": "error", "message": "Model metadata"}}


def said(text: str) -> dict[str, Any]:
    """Return the event of a message."""
    return {"type": "item.completed", "item": {"type": "agent_message", "text": text}}


def failed(message: str) -> dict[str, Any]:
    """Return the event of a turn that failed."""
    return {"type": "turn.failed", "error": {"message": message}}


def lines(*events: Any) -> bytes:
    """Return events as the agent writes them."""
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def account_of(data: bytes, *, piece: int = 0) -> tuple[Account, list[str]]:
    """Read bytes, in pieces of a size; return the account and what was said."""
    account = Account()
    size = piece or len(data) or 1
    heard = [m for at in range(0, len(data), size) for m in account.read(data[at : at + size])]
    return account, [*heard, *account.finish()]


def verdict_of(*events: Any, **ended: Any) -> tuple[Status, str, bool]:
    """Judge a run of Codex that said these events."""
    account, _ = account_of(lines(*events))
    facts = {"exit_code": 0, "last_message": "Done.", **ended}
    verdict = judge(account, Ended(**facts), is_codex=True, schema=None)
    return verdict.status, verdict.reason, verdict.may_pass


@pytest.mark.parametrize("piece", [0, 1, 7, 1000])
def test_events_are_read_however_they_are_cut(piece: int) -> None:
    """Thread, messages, commands and tokens are found in pieces of any size."""
    command = {"type": "item.completed", "item": {"type": "command_execution"}}
    data = lines(STARTED, ITEM_ERROR, TURN, said("Ich prüfe…"), command, said("Done."), COMPLETED)
    account, heard = account_of(data, piece=piece)
    assert heard == ["Ich prüfe…", "Done."]
    assert (account.thread_id, account.commands, account.is_complete) == (THREAD, 1, True)
    assert account.total == Usage(300, 20, 40, 10)
    assert (account.events, account.strange) == (7, 0)
    assert account.errors == ["Model metadata"]


def test_errors_that_end_nothing_are_kept() -> None:
    """Each once, however often it is repeated, as one line, and not more than a few of them."""
    again = {"type": "error", "message": "Reconnecting... 2/5\n(stream disconnected)"}
    nothing = [{"type": "error"}, {"type": "error", "message": ["odd"]}]
    account, heard = account_of(lines(STARTED, ITEM_ERROR, RECONNECTING, again, *nothing))
    assert account.errors == ["Model metadata", RECONNECTING["message"]]
    assert not heard
    many = [{"type": "error", "message": "no tool " + "x" * length} for length in range(1000)]
    account, _ = account_of(lines(*many))
    assert len(account.errors) == MOST_ERRORS


def test_an_error_that_ends_the_turn_is_no_error_beside_it() -> None:
    """The reason of the run says it already."""
    error = {"type": "error", "message": "Quota exceeded"}
    account, _ = account_of(lines(STARTED, TURN, RECONNECTING, error, failed("Quota exceeded")))
    assert (account.failure, account.errors) == ("Quota exceeded", [RECONNECTING["message"]])


def test_a_line_of_a_megabyte_is_an_event() -> None:
    """The output of a command may be long."""
    account, heard = account_of(lines(said("x" * 2**20), COMPLETED), piece=4096)
    assert (len(heard[0]), account.is_complete) == (2**20, True)


@pytest.mark.parametrize(
    "strange",
    [
        b"npm warn deprecated\n",
        b"\xff\xfe\x00\n",
        b"[1, 2]\n",
        b'"text"\n',
        b'{"no": "type"}\n',
        b'{"type": "turn.compl\n',
        b"[" * 100_000 + b"\n",
        b"y" * (LONGEST_LINE + 1) + b"\n",
    ],
)
def test_what_is_no_event_is_left_alone(strange: bytes) -> None:
    """Garbage between events, even without an end, neither ends a run nor fails it."""
    account, _ = account_of(lines(STARTED) + strange + lines(COMPLETED), piece=2**20)
    assert (account.thread_id, account.is_complete, account.strange) == (THREAD, True, 1)


@pytest.mark.parametrize(
    "event",
    [
        {"type": ["turn.completed"]},
        {"type": "thread.started", "thread_id": "$(rm -rf /)"},
        {"type": "thread.started", "thread_id": None},
        {"type": "item.completed", "item": "text"},
        {"type": "item.completed", "item": {"type": "agent_message", "text": 1}},
        {"type": "item.completed", "item": {"type": ["agent_message"]}},
        {"type": "turn.completed", "usage": {"input_tokens": "many"}},
        {"type": "turn.completed", "usage": {"input_tokens": -1}},
        {"type": "turn.completed", "usage": [1]},
    ],
)
def test_events_of_another_shape_are_harmless(event: Any) -> None:
    """A version that writes something else is not believed, and does not end the run."""
    account, heard = account_of(lines(event))
    assert (account.thread_id, account.total, heard) == ("", None, [])


def test_a_complete_turn_with_an_answer_is_a_success() -> None:
    """What the agent notes about itself, and reconnecting, are no failures."""
    assert verdict_of(STARTED, ITEM_ERROR, TURN, RECONNECTING, said("Done."), COMPLETED) == (
        Status.SUCCESS,
        "",
        False,
    )


@pytest.mark.parametrize(
    ("events", "ended", "reason"),
    [
        ((STARTED, TURN), {}, "it ended in the middle of a turn"),
        ((TURN, COMPLETED, TURN), {}, "it ended in the middle of a turn"),
        ((), {}, "it ended in the middle of a turn"),
        ((TURN, said("I look."), COMPLETED), {"last_message": " \n"}, "it said nothing at the end"),
        ((TURN, failed("no\nroom"), COMPLETED), {"exit_code": 3}, "exit code 3"),
        ((TURN, failed("no\nroom")), {"exit_code": 1}, "no room"),
        ((TURN, {"type": "turn.failed"}), {}, "the agent gives no reason"),
        ((), {"exit_code": 1, "stderr": "WARNING\nError: a\n\n"}, "exit code 1: Error: a"),
        ((TURN, COMPLETED), {"exit_code": 137}, "exit code 137"),
        ((), {"exit_code": 1, "stderr": "no key\n 1 | x\n   | ^\n  |\n"}, "exit code 1: no key"),
        ((), {"exit_code": 1, "stderr": "  |\n ^\n"}, "exit code 1"),
    ],
)
def test_everything_else_is_a_failure_with_its_reason(
    events: tuple[Any, ...], ended: dict[str, Any], reason: str
) -> None:
    """Exit code, turn and answer all have to be right; the first thing that is not is told."""
    assert verdict_of(*events, **ended) == (Status.AGENT_FAILED, reason, False)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "5: invalid type: unit variant\n  |\n12 | approval_policy = 5\n   |           ^",
            "invalid type: unit variant, at approval_policy = 5",
        ),
        (
            "1: unknown configuration field `unknown_key`\n  |\n1 | unknown_key = 1\n  | ^^^^",
            "unknown configuration field `unknown_key`, at unknown_key = 1",
        ),
        ("1: invalid transport\n", "invalid transport"),
    ],
)
def test_a_configuration_that_codex_refuses_is_named(said: str, reason: str) -> None:
    """Its stderr ends with a caret; what is wrong, and what to mend, are told instead."""
    stderr = f"WARNING: odd\nError loading config.toml:\n/work space/config.toml:12:{said}\n"
    told = f"exit code 1: Codex refuses its configuration: {reason}: {MEND_CONFIGURATION}"
    assert verdict_of(exit_code=1, stderr=stderr)[1] == told
    assert MEND_CONFIGURATION not in verdict_of(STARTED, exit_code=1, stderr=stderr)[1]


@pytest.mark.parametrize(
    ("message", "may_pass"),
    [
        ("exceeded retry limit, last status: 429 Too Many Requests", True),
        ("exceeded retry limit, last status: 503 Service Unavailable", True),
        ("We\u2019re currently experiencing high demand, which may cause temporary errors.", True),
        ("stream disconnected before completion: stream closed before response.completed", True),
        ("unexpected status 502 Bad Gateway: , url: http://x/v1/responses", True),
        ("error sending request for url (http://x)", True),
        ("Quota exceeded. Check your plan and billing details.", False),
        ("unexpected status 401 Unauthorized: Incorrect API key provided", False),
        ("unexpected status 403 Forbidden: no", False),
        ('{"error": {"message": "Bad schema", "type": "invalid_request_error"}}', False),
        ("stream disconnected before completion: insufficient_quota", False),
        ("Codex ran out of room in the model's context window.", False),
        ("something new", False),
    ],
)
def test_only_what_may_pass_is_tried_again(message: str, may_pass: bool) -> None:
    """A refused key, a bad request or an empty account are not asked again, nor what is unknown."""
    assert verdict_of(TURN, failed(message), exit_code=1)[2] is may_pass


def test_cancellation_and_deadline_count_more_than_what_was_said() -> None:
    """What the launcher knows is the truth about the end."""
    told = (TURN, said("Done."), COMPLETED)
    assert verdict_of(*told, how=CANCELLED)[0] is Status.CANCELLED
    assert verdict_of(*told, how=TIMED_OUT)[0] is Status.TIMEOUT


def test_a_thread_that_is_not_there_is_known_by_its_error() -> None:
    """Continuing an unknown thread is told apart from other failures."""
    stderr = "Error: thread/resume failed: no rollout found for thread id x (code -32600)"
    verdict = judge(Account(), Ended(1, stderr=stderr), is_codex=True, schema=None)
    assert verdict.lacks_thread


def test_another_program_needs_no_events() -> None:
    """Exit code and message are all that a program of one's own has to give."""
    account, _ = account_of(b"working\n")
    assert judge(account, Ended(0, last_message="Hi"), is_codex=False, schema=None).status == (
        Status.SUCCESS
    )
    assert judge(account, Ended(0), is_codex=False, schema=None).status == Status.AGENT_FAILED


def test_what_another_program_says_of_turns_is_not_believed() -> None:
    """A program of one's own that prints the events of some Codex is judged as it has ended."""
    account, _ = account_of(lines(TURN, failed("no room")))
    ended = Ended(0, last_message="Hi")
    assert judge(account, ended, is_codex=False, schema=None).status is Status.SUCCESS
    assert judge(account, ended, is_codex=True, schema=None).reason == "no room"


def test_halves_of_characters_can_be_told_of() -> None:
    """JSON can hold them, a file cannot: they are replaced when they are read."""
    account, heard = account_of(
        lines(said("a \ud800 b"), failed("c \udfff")) + b'{"type": "\xed\xa0\x80"}\n'
    )
    assert (heard, account.last_message) == (["a \ufffd b"], "a \ufffd b")
    assert account.failure == "c \ufffd"
    whole = "\U0001f600"  # JSON writes it as two halves
    assert account_of(lines(said(whole)))[1] == [whole]


def test_a_message_without_end_is_cut() -> None:
    """It has to fit into what later jobs read."""
    account, heard = account_of(lines(said("x" * (LONGEST_MESSAGE + 1))))
    assert heard == [account.last_message] == ["x" * LONGEST_MESSAGE]


@pytest.mark.parametrize("digits", [17, 4000, 5000])
def test_tokens_that_nobody_can_have_used_are_not_told(digits: int) -> None:
    """A number of thousands of digits can neither be added nor written."""
    usage = f'{{"input_tokens": {"9" * digits}}}'
    account, _ = account_of(b'{"type": "turn.completed", "usage": %s}\n' % usage.encode())
    assert account.total is None


def test_an_answer_that_violates_its_schema_is_a_failure() -> None:
    """The agent does not check what the model makes of a schema."""
    account, _ = account_of(lines(TURN, COMPLETED))
    ended = Ended(0, last_message='{"ok": 1}')
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}}
    verdict = judge(account, ended, is_codex=True, schema=schema)
    assert verdict.reason == "its answer violates the schema: $.ok is no boolean"


def test_a_run_counts_only_what_it_used_of_a_thread() -> None:
    """Usage of a thread that goes on is cumulative; a total that shrinks is not negative."""
    assert usage_since(Usage(100, 10, 20, 5), Usage(300, 20, 40, 10)) == Usage(200, 10, 20, 5)
    assert usage_since(Usage(100, 10, 20, 5), None) == Usage()
    assert usage_since(Usage(100, 10, 20, 5), Usage(50, 5, 5, 5)) == Usage()


def test_an_answer_that_is_handed_on_as_it_came_is_read() -> None:
    """What the server says, not its JSON; it is told once, as the reason."""
    answer = '{"error": {"message": "allowed models: a", "type": "x", "code": "model"}}'
    account, _ = account_of(lines(TURN, {"type": "error", "message": answer}, failed(answer)))
    verdict = judge(account, Ended(1), is_codex=True, schema=None)
    assert (verdict.reason, account.errors) == ("allowed models: a", [])
    assert verdict.refuses_key is verdict.may_pass is False


@pytest.mark.parametrize(
    ("message", "refused"),
    [
        ("unexpected status 401 Unauthorized: Incorrect API key provided", True),
        ("exceeded retry limit, last status: 403 Forbidden", True),
        ("unexpected status 400 Bad Request: 401 apples", False),
        ("exceeded retry limit, last status: 429 Too Many Requests", False),
    ],
)
def test_a_key_that_was_refused_is_known(message: str, *, refused: bool) -> None:
    """It is not the agent's fault, and another attempt would not help."""
    account, _ = account_of(lines(TURN, failed(message)))
    verdict = judge(account, Ended(1), is_codex=True, schema=None)
    assert verdict.refuses_key is refused
