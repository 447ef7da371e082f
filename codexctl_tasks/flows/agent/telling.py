"""What is told of an agent while it works: its messages, and that it still does something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codexctl_tasks.agent.events import LONGEST_LINE, MOST_ERRORS, first_line
from codexctl_tasks.agent.sanitizing import visible

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from codexctl_tasks.agent.events import Account
    from codexctl_tasks.world.outside import Outside

HEARTBEAT_S = 30.0
MOST_LINES = 20
"""In a minute; who says more is read in the artifact."""
MOST_RECORDED_BYTES = 256 * 2**20
LEFT_OUT = b'{"type": "codexctl.left-out", "what": "a line that is too long"}'
"""Stands for it in what is kept."""
_LONGEST = 240


class Telling:
    """Lines in the log of one run: at most some 1,320 in an hour."""

    def __init__(self, outside: Outside) -> None:
        self._console, self._clock = outside.console, outside.clock
        self._told_s = self._minute_s = self._heard_s = outside.clock.now()
        self._lines = self._left_out = 0
        self._warned: set[str] = set()

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

    def warn(self, account: Account) -> None:
        """Warn of each error that the agent has met, once in all attempts."""
        for error in account.errors:
            if error in self._warned or len(self._warned) >= MOST_ERRORS:
                continue
            self._warned.add(error)
            is_last = len(self._warned) == MOST_ERRORS
            more = " (more of them stand in events.jsonl alone)" if is_last else ""
            self._console.warn(f"agent: {visible(error)}{more}")

    def _say(self, text: str) -> None:
        self._told_s = self._clock.now()
        self._console.step("agent", text)


class Recording:
    """The events of all attempts in one file, line by line, with secrets masked."""

    def __init__(self, path: Path, outside: Outside, most_bytes: int = MOST_RECORDED_BYTES) -> None:
        """Begin with an empty file; it never gets larger than *most_bytes*."""
        self._console, self._most_bytes = outside.console, most_bytes
        self._size = 0
        self._is_full = False
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = path.open("wb")
        self._rest = bytearray()
        self._skips = False
        """The line that comes is left out: part of it could be part of a secret."""

    def take(self, news: bytes) -> None:
        """Write the lines that are whole by now."""
        whole, feed, rest = news.rpartition(b"\n")
        if feed:
            first, _, others = whole.partition(b"\n")
            self._add(first)
            self._end_line()
            if others:
                self._write(others)
        self._add(rest)

    def close(self) -> None:
        """Write what is left."""
        try:
            if self._rest or self._skips:
                self._end_line()
        finally:
            self._file.close()

    def _add(self, piece: bytes) -> None:
        if self._skips or len(self._rest) + len(piece) > LONGEST_LINE:
            self._skips = True
            self._rest.clear()
        else:
            self._rest += piece

    def _end_line(self) -> None:
        self._write(LEFT_OUT if self._skips else bytes(self._rest))
        self._rest.clear()
        self._skips = False

    def _write(self, lines: bytes) -> None:
        if self._is_full:
            return
        text = self._console.masked(lines.decode("utf-8", "replace"))
        data = f"{text}\n".encode("utf-8", "replace")
        self._size += len(data)
        if self._size > self._most_bytes:
            self._is_full = True
            more = f"its events beyond {self._most_bytes // 2**20} MiB are not kept"
            self._console.warn(f"{self._file.name}: {more}")
            return
        self._file.write(data)
        self._file.flush()
