"""
All that a person or GitHub reads, except what a task prints on stdout as its result.

On a terminal the workloads are a live table; elsewhere a line appears only when something
changes, and a heartbeat when nothing does. Everything here goes to stderr.
"""

from __future__ import annotations

import json
import os.path
import re
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from secrets import token_hex
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from codexctl_tasks.errors import CodexctlError, Location

HEARTBEAT_S = 30.0
"""Longer silence makes people believe that a job hangs."""
SHORTEST_SECRET = 5
"""Masking shorter values would blacken ordinary words and numbers, and protect nothing."""
MASK = "***"
_NO_COMMAND = re.compile(r"^\s*(?=::)|(?<=##)(?=\[)", re.MULTILINE)
_UNWANTED = re.compile(r"(?!\x1b\[[0-9;]*m)[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters but tab, line feed and our colours: a log must not repaint the screen."""
_IN_URL = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")
"""Name and password, as error messages of registries and databases show them."""
_VERB_WIDTH = 8
_COLOURS = {
    "ready": "32",
    "failed": "31",
    "timed out": "31",
    "warning": "33",
    "error": "31",
    "+": "32",
    "-": "31",
    "~": "33",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One workload in the table of progress."""

    name: str
    state: str
    """``waiting``, ``ready`` or ``failed``."""
    detail: str


class Console:
    """Writes for one audience; which one is decided once, when it is made."""

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        live: bool = False,
        colour: bool = False,
        github: bool = False,
        workspace: Path | None = None,
        colour_result: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Choose the audience.

        Args:
            stream: Where to write; None: stderr as it is at the time of writing.
            live: The stream is a terminal that can redraw lines.
            colour: ANSI colours are welcome.
            github: The stream is the log of a GitHub Actions step.
            workspace: Folder of the repository, to which GitHub's annotations are relative.
            colour_result: ANSI colours are welcome on stdout.
            now: Seconds, for the heartbeat.
        """
        self._stream = stream
        self._colour, self._github, self._workspace = colour, github, workspace
        self._colour_result = colour_result
        self._live = _LiveTable(self._out) if live else None
        self._secrets: list[str] = []
        self._stopped_by = ""
        self._rows: dict[str, Row] = {}
        self._now, self._quiet_since = now, now()

    @property
    def folds(self) -> bool:
        """Whether what is written in a `group` is out of sight at first."""
        return self._github

    def hide(self, values: Iterable[str]) -> None:
        """Mask these values in everything that is written from now on, their lines too."""
        known = set(self._secrets)
        for value in values:
            # Logs are read line by line, and errors fold blanks: a key file shows up in pieces.
            known |= {value, " ".join(value.split()), *_lines_to_hide(value)}
        long_enough = (v for v in known if len(v.strip()) >= SHORTEST_SECRET)
        self._secrets = sorted(long_enough, key=len, reverse=True)

    def hide_everywhere(self, values: Iterable[str]) -> None:
        """Mask these values, and have GitHub mask them in all that the job writes."""
        found = tuple(values)
        self.hide(found)
        lines = {line.strip() for value in found for line in _lines_to_hide(value)}
        for line in sorted(lines) if self._github else ():
            if len(line) >= SHORTEST_SECRET:
                self._command(f"::add-mask::{_escaped(line)}")

    def masked(self, text: str) -> str:
        """Return *text* with every hidden value replaced, and every password in a URL."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return _IN_URL.sub(MASK, text) if "://" in text else text

    def masked_data(self, data: Any) -> Any:
        """Return JSON-like *data* with every hidden value replaced in its texts."""
        if isinstance(data, str):
            return self.masked(data)
        if isinstance(data, dict):
            return {key: self.masked_data(value) for key, value in data.items()}
        if isinstance(data, list | tuple):
            return [self.masked_data(value) for value in data]
        return data

    def step(self, verb: str, text: str) -> None:
        """Tell that a phase did something: ``apply    created ConfigMap shop/settings``."""
        self._write(f"{verb:<{_VERB_WIDTH}} {text}")

    def warn(self, text: str) -> None:
        """Tell of something that is odd but stops nothing."""
        if self._github:
            self._command(f"::warning::{_escaped(self.masked(text))}")
        else:
            self._write(self._painted("warning", "warning: ") + text)

    def retrying(self, text: str) -> None:
        """Tell that something is tried again; it is no news worth an annotation."""
        self.step("retry", text)

    def error(self, error: CodexctlError) -> None:
        """Report a failure: one line per problem, as an annotation in GitHub Actions."""
        self.stop_live()
        for problem in error.problems:
            if self._github:
                self.annotate(problem.location, str(problem))
            else:
                self._write(self._painted("error", "error: ") + str(problem))

    def annotate(self, location: Location | None, text: str) -> None:
        """Show an error at its file and line in GitHub Actions; elsewhere the report suffices."""
        if not self._github:
            return
        place = ""
        if location:
            file = _relative_to(self._workspace, location.file)
            place = f" file={_escaped(self.masked(file), in_property=True)}"
            place += f",line={location.line}" if location.line else ""
        self._command(f"::error{place}::{_escaped(self.masked(text))}")

    @contextmanager
    def group(self, title: str) -> Iterator[None]:
        """Fold the lines that are written meanwhile, in GitHub Actions; elsewhere do nothing."""
        if not self._github:
            yield
            return
        try:
            self._command(f"::group::{_escaped(self.masked(title))}")
            yield
        finally:  # whatever ends the run: its report stands outside
            self._command("::endgroup::")

    def progress(self, rows: Sequence[Row], elapsed_s: float) -> None:
        """Show where every workload stands."""
        if self._live:
            self._live.show(
                [Row(self.masked(row.name), row.state, self.masked(row.detail)) for row in rows],
                elapsed_s,
            )
            return
        for row in rows:
            known = self._rows.get(row.name)
            if known is None or known.state != row.state:
                self._row_line(row, elapsed_s)
            self._rows[row.name] = row
        if self._now() - self._quiet_since >= HEARTBEAT_S:
            self._heartbeat(rows, elapsed_s)

    def symptom(self, name: str, cause: str, elapsed_s: float, log: Sequence[str]) -> None:
        """Tell a cause when it is first seen, with the last lines of the log if there is one."""
        self.step("wait", f"{elapsed_s:5.1f} s  {name}  {self._painted('warning', cause)}")
        for line in log[-5:]:
            self._write(" " * (_VERB_WIDTH + 11) + f"| {line}")

    def output(self, line: str) -> None:
        """Tell a line that somebody else wrote."""
        self._write(" " * (_VERB_WIDTH + 1) + f"| {line}")

    def lines(self, lines: Iterable[tuple[str, str]]) -> None:
        """Write a prepared text; each line comes with the state that gives it its colour."""
        self.stop_live()
        for state, line in lines:
            self._write(self._painted(state, line) if state else line)

    def result(self, lines: Iterable[tuple[str, str]]) -> None:
        """Print what a task is asked for on stdout; each line comes with what colours it."""
        colour = self._colour_result
        for state, line in lines:
            text = self._harmless(line)
            code = _COLOURS.get(state) if colour else None
            print(f"\033[{code}m{text}\033[0m" if code else text)  # noqa: T201 - the result

    def result_as_json(self, data: Any) -> None:
        """Print what a task is asked for on stdout, for programs; hidden values are masked."""
        text = json.dumps(self.masked_data(data), indent=2, ensure_ascii=False)
        if self._github:  # the same text to whoever reads JSON
            text = text.replace("##[", "##\\u005b")
        print(text)  # noqa: T201 - the result

    def stop_live(self) -> None:
        """Take the table off the screen; the report says more."""
        if self._live:
            self._live.stop()

    def _row_line(self, row: Row, elapsed_s: float) -> None:
        state = self._painted(row.state, f"{row.state:<7}")
        self.step("wait", f"{elapsed_s:5.1f} s  {row.name}  {state}  {row.detail}")

    def _heartbeat(self, rows: Sequence[Row], elapsed_s: float) -> None:
        waiting = [f"{row.name} ({row.detail})" for row in rows if row.state == "waiting"]
        if waiting:
            self.step("wait", f"{elapsed_s:5.0f} s  still waiting for {', '.join(waiting)}")

    def _painted(self, state: str, text: str) -> str:
        colour = _COLOURS.get(state)
        return f"\033[{colour}m{text}\033[0m" if self._colour and colour else text

    def _write(self, text: str) -> None:
        text = self._harmless(text)
        if self._live and self._live.running:
            self._quiet_since = self._now()
            self._live.above(text)
        else:
            self._line(text)

    def _harmless(self, text: str) -> str:
        """Return *text* masked, without what repaints a screen or commands the runner."""
        text = _UNWANTED.sub("", self.masked(text).replace("\r", " "))
        return _NO_COMMAND.sub("\u200b", text) if self._github else text

    @contextmanager
    def among_strangers(self) -> Iterator[None]:
        """Keep what others write meanwhile, past this console, from commanding the runner."""
        if not self._github:
            yield
            return
        word = token_hex(16)  # unknown to them, or they could end it
        self._command(f"::stop-commands::{word}")
        self._stopped_by = word
        try:
            yield
        finally:
            self._stopped_by = ""
            self._line(f"::{word}::")

    def _command(self, text: str) -> None:
        """Write a workflow command; it is one also `among_strangers`."""
        if word := self._stopped_by:
            text = f"::{word}::\n{text}\n::stop-commands::{word}"
        self._line(text)

    def _line(self, text: str) -> None:
        self._quiet_since = self._now()
        out = self._out()
        out.write(f"{text}\n")  # in one piece: watches tell of their retries from threads
        out.flush()

    def _out(self) -> TextIO:
        return self._stream or sys.stderr


class _LiveTable:
    """The table of workloads at the bottom of a terminal."""

    def __init__(self, out: Any) -> None:
        self._out = out
        self._live: Any = None

    @property
    def running(self) -> bool:
        return self._live is not None

    def show(self, rows: Sequence[Row], elapsed_s: float) -> None:
        from rich.console import Console as Terminal
        from rich.live import Live

        if self._live is None:
            terminal = Terminal(file=self._out(), highlight=False)
            self._live = Live(console=terminal, refresh_per_second=8, transient=True)
            self._live.start()
        self._live.update(_table(rows, elapsed_s))

    def above(self, text: str) -> None:
        from rich.text import Text

        self._live.console.print(Text.from_ansi(text))

    def stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def _table(rows: Sequence[Row], elapsed_s: float) -> Any:
    from rich.console import Group
    from rich.text import Text

    marks = {"ready": ("✔", "green"), "failed": ("✘", "red"), "waiting": ("…", "yellow")}
    width = max((len(row.name) for row in rows), default=0)
    lines = [Text(f"{elapsed_s:.0f} s", "dim")]
    for row in rows:
        mark, colour = marks[row.state]
        line = Text.assemble((mark, colour), " ", row.name.ljust(width), "  ", (row.detail, colour))
        lines.append(line)
    for line in lines:  # one line each, however narrow the terminal
        line.no_wrap, line.overflow = True, "ellipsis"
    return Group(*lines)


def _escaped(text: str, *, in_property: bool = False) -> str:
    """Escape a workflow command's text, as actions/toolkit does."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if in_property else text


def _lines_to_hide(value: str) -> Iterator[str]:
    """Yield the lines of a secret as they are and trimmed; where a key in PEM begins is none."""
    for line in value.splitlines():
        if not line.startswith("-----"):
            yield from (line, line.strip())


def _relative_to(folder: Path | None, file: str) -> str:
    """Return the path of a file from *folder*, if it is inside of it; links are followed."""
    if folder is None:
        return file
    whole, root = os.path.realpath(file), os.path.realpath(folder)
    inside = os.path.commonpath([whole, root]) == root
    return os.path.relpath(whole, root) if inside else file


def standard_console(*, colour: bool, github: bool, workspace: Path | None = None) -> Console:
    """Return the console for this process's stderr."""
    terminal = sys.stderr.isatty() and not github
    return Console(
        live=terminal and colour,
        colour=terminal and colour,
        github=github,
        workspace=workspace,
        colour_result=colour and sys.stdout.isatty(),
    )
