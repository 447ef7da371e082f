"""The log of an agent's run: short however much it says, and never silent."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from codexctl_tasks.agent.events import Account
from codexctl_tasks.agent.result import Usage
from codexctl_tasks.flows.agent.telling import MOST_LINES, Recording, Telling
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
