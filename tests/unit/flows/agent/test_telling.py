"""The log of an agent's run: short however much it says, and never silent."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from codexctl_tasks.agent.events import LONGEST_LINE, MOST_ERRORS, Account
from codexctl_tasks.agent.result import Usage
from codexctl_tasks.flows.agent.telling import (
    LEFT_OUT,
    MOST_LINES,
    Recording,
    Telling,
)
from tests.support.fakes import FakeCluster, fake_outside

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fakes import FakeClock


def test_an_hour_of_chatter_stays_a_short_log(clock: FakeClock) -> None:
    """A message is one line, cut where it is long; an hour has less than 2,000 of them."""
    stream = io.StringIO()
    telling, account = Telling(fake_outside(FakeCluster(), clock, stream)), Account()
    for second in range(3600):
        clock.pass_time(1)
        telling.hear(f"message {second}\nwith {'many ' * 100}words")
        telling.beat(account)
    lines = stream.getvalue().splitlines()
    assert MOST_LINES * 59 <= len(lines) < 2000
    assert max(map(len, lines)) < 260
    assert "agent    message 0 with many" in lines[0]
    assert "messages not shown" in stream.getvalue()


def test_silence_is_told_of_twice_a_minute(clock: FakeClock) -> None:
    """Who watches sees that something is done, and how much of it."""
    stream = io.StringIO()
    telling, account = Telling(fake_outside(FakeCluster(), clock, stream)), Account()
    account.events, account.commands, account.total = 12, 3, Usage(100, 0, 20)
    for _ in range(60):
        clock.pass_time(1)
        telling.beat(account)
    assert stream.getvalue().splitlines() == [
        "agent    works; said nothing for 30 s; 12 events, 3 commands, 120 tokens",
        "agent    works; said nothing for 60 s; 12 events, 3 commands, 120 tokens",
    ]


def test_errors_of_the_agent_are_warnings(clock: FakeClock) -> None:
    """A tool that does not work is seen in the log: once, masked, without control characters."""
    stream = io.StringIO()
    outside = fake_outside(FakeCluster(), clock, stream)
    outside.console.hide(["run-token-1234"])
    telling, account = Telling(outside), Account()
    account.errors = ["Code Mode is \x1b[2Junavailable: run-token-1234"]
    telling.warn(account)
    telling.warn(account)
    assert stream.getvalue() == "warning: agent: Code Mode is [2Junavailable: ***\n"


def test_errors_without_end_are_few_warnings(clock: FakeClock) -> None:
    """All attempts together fill no log; the last warning says where the others are."""
    stream = io.StringIO()
    telling = Telling(fake_outside(FakeCluster(), clock, stream))
    for attempt in range(3):
        account = Account()
        account.errors = [f"error {number} of attempt {attempt}" for number in range(MOST_ERRORS)]
        telling.warn(account)
    lines = stream.getvalue().splitlines()
    assert len(lines) == MOST_ERRORS
    assert (
        lines[-1]
        == "warning: agent: error 9 of attempt 0 (more of them stand in events.jsonl alone)"
    )


def test_recorded_events_hold_no_secret(clock: FakeClock, tmp_path: Path) -> None:
    """What is kept as an artifact is masked, also where a secret came in two pieces."""
    outside = fake_outside(FakeCluster(), clock, io.StringIO())
    outside.console.hide(["run-token-1234"])
    file = tmp_path / "new" / "events.jsonl"
    recording = Recording(file, outside)
    for piece in (b'{"a": "run-tok', b'en-1234"}\n{"b": "\xff"}\n', b'{"c": "run-token-1234'):
        recording.take(piece)
    recording.close()
    assert file.read_text().splitlines() == ['{"a": "***"}', '{"b": "�"}', '{"c": "***']


def test_a_line_without_end_is_left_out_of_what_is_kept(clock: FakeClock, tmp_path: Path) -> None:
    """Memory does not grow with it, no half of a secret is kept, and what follows is there."""
    outside = fake_outside(FakeCluster(), clock, io.StringIO())
    outside.console.hide(["run-token-1234"])
    file = tmp_path / "events.jsonl"
    recording = Recording(file, outside)
    recording.take(b"1\n" + b"y" * (LONGEST_LINE - 4))
    recording.take(b"run-token")
    recording.take(b"-1234")
    recording.take(b"\n2\n3\n4" + b"z" * LONGEST_LINE)
    recording.close()
    assert file.read_bytes().splitlines() == [b"1", LEFT_OUT, b"2", b"3", LEFT_OUT]


def test_what_is_kept_does_not_fill_the_disk(clock: FakeClock, tmp_path: Path) -> None:
    """Beyond a limit nothing is added; it is told once, and the run goes on."""
    stream = io.StringIO()
    file = tmp_path / "events.jsonl"
    recording = Recording(file, fake_outside(FakeCluster(), clock, stream), most_bytes=2**20)
    for _ in range(3):
        recording.take(b"x" * (2**19 - 1) + b"\n")
    recording.take(b"more\n")
    recording.close()
    assert file.stat().st_size == 2**20
    assert stream.getvalue().count("its events beyond 1 MiB are not kept") == 1
