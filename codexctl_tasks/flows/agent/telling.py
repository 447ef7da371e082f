"""What is told of an agent while it works: its messages, and that it still does something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codexctl_tasks.agent.events import first_line

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from codexctl_tasks.agent.events import Account
    from codexctl_tasks.world.outside import Outside

HEARTBEAT_S = 30.0
MOST_LINES = 20
"""In a minute; who says more is read in the artifact."""
_LONGEST = 240


class Telling:
    """Lines in the log of one run: at most some 1,320 in an hour."""

    def __init__(self, outside: Outside) -> None:
        self._console, self._clock = outside.console, outside.clock
        self._told_s = self._minute_s = self._heard_s = outside.clock.now()
        self._lines = self._left_out = 0

    def hear(self, message: str) -> None:
        """Tell what the agent said."""
        now_s = self._clock.now()
        if now_s - self._minute_s >= 60:  # noqa: PLR2004 - a minute
            self._minute_s, self._lines = now_s, 0
        self._heard_s = now_s
        self._lines += 1
        if self._lines > MOST_LINES:
            self._left_out += 1
            return
        self._say(first_line(message, _LONGEST))

    def beat(self, account: Account) -> None:
        """Tell that the agent works, if nothing was told for long."""
        now_s = self._clock.now()
        if now_s - self._told_s < HEARTBEAT_S:
            return
        used = account.total
        more = f", {used.input + used.output} tokens" if used else ""
        hidden = f", {self._left_out} messages not shown" if self._left_out else ""
        self._say(
            f"works; said nothing for {now_s - self._heard_s:.0f} s; "
            f"{account.events} events, {account.commands} commands{more}{hidden}"
        )

    def _say(self, text: str) -> None:
        self._told_s = self._clock.now()
        self._console.step("agent", text)


class Recording:
    """The events of all attempts in one file, line by line, with secrets masked."""

    def __init__(self, path: Path, outside: Outside) -> None:
        """Begin with an empty file."""
        self._masked = outside.console.masked
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = path.open("wb")
        self._rest = b""

    def take(self, news: bytes) -> None:
        """Write the lines that are whole by now."""
        whole, feed, rest = (self._rest + news).rpartition(b"\n")
        self._rest = rest
        if feed:
            self._write(whole)

    def close(self) -> None:
        """Write what is left."""
        if self._rest:
            self._write(self._rest)
        self._file.close()

    def _write(self, data: bytes) -> None:
        text = self._masked(data.decode("utf-8", "replace"))
        self._file.write(f"{text}\n".encode("utf-8", "replace"))
        self._file.flush()
