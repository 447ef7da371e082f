"""
One start of the agent, from here: begun, followed, ended.

The run goes on in the pod whatever becomes of this process. So following it is asking again and
again what is new: each question waits for an answer, and one that is cut is asked once more.
"""

from __future__ import annotations

import io
import json
import secrets
import tarfile
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from codexctl_tasks.agent import events, scripts
from codexctl_tasks.agent.command import as_shell, quoted
from codexctl_tasks.agent.pod import LostRunError
from codexctl_tasks.agent.result import MOST_TOKENS, Usage
from codexctl_tasks.errors import ClusterError, CodexctlError, DeadlineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from codexctl_tasks.agent.pod import Shell
    from codexctl_tasks.world.clock import Clock

LOOK_S = 15
"""One question waits so long for news."""
LATE_S = 60.0
"""Beyond its deadline: then the launcher in the pod has not kept it."""
CANCEL_S = 4
"""How long to wait for the end of what was cancelled: a runner kills 10 s after it asked."""
UNREACHABLE_S = 300.0
MOST_AFTER_BYTES = 64 * 2**20
"""Of events are still read when a run has ended: the last ones."""
_MOST_DIGITS = 15
_NEVER = "9" * _MOST_DIGITS
"""As birth of a run: only what has its token, or descends from that, is its own."""
_PAUSE_S = 1.0
_NOTHING = Usage()


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What is to be run."""

    prompt: bytes
    command: list[str]
    configuration: str
    variables: Mapping[str, str]
    """For the agent's environment; not secret."""
    secrets: Mapping[str, str] = field(repr=False)
    """The same, secret: they are on the volume only until the agent begins."""
    schema: str = ""
    """Empty: none."""
    limit_s: float
    """The pod ends it then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """What a container knows before a run."""

    version: str = ""
    """Of Codex; empty: there is none."""
    head: str = ""
    """Commit of the workspace; empty: it has none, or no git there can tell."""
    holds_base: bool = False
    """It is, or grew out of, the commit that was asked for."""
    thread: str = ""
    """That is to go on; empty: none, or the last run has left none."""
    used: Usage = _NOTHING
    """Of the thread that is to go on, by now."""
    has_key: bool = False
    """There is a key of a model in the container's environment."""
    has_token: bool = False
    """There is a token of GitHub in it."""
    has_folder: bool = False
    going_on: tuple[str, ...] = ()
    """Numbers of runs that have not ended, with their pods: ``NUMBER POD``."""


class Run:
    """One start of the agent in a container."""

    def __init__(self, shell: Shell, clock: Clock) -> None:
        self._shell, self._clock, self._site = shell, clock, shell.site
        self.number = ""
        """Of its folder; empty: it was not started."""
        self._offset, self._token = 0, secrets.token_hex(16)
        self._born = _NEVER
        """When it was, in ticks of the machine."""

    def survey(self, thread: str, base: str) -> Survey:
        """Look at the container; *thread*, *base*: what the run is to begin with, or empty."""
        site = self._site
        told = self._shell.run(scripts.SURVEY, site.runs, site.home, site.folder, thread, base)
        lines = [line.partition(" ") for line in told.decode(errors="replace").splitlines()]
        found = {word: rest.strip() for word, _, rest in lines}
        return Survey(
            version=found.get("version", "").rpartition(" ")[2],
            head=found.get("head", ""),
            holds_base="base" in found,
            thread=found.get("thread", ""),
            used=_usage_of(found.get("usage", "")),
            has_key="key" in found,
            has_token="token" in found,
            has_folder="folder" in found,
            going_on=_going_on(told),
        )

    def start(self, order: Order) -> None:
        """
        Start the agent, once, however often the stream is cut.

        Raises:
            DeadlineError: Another run goes on in this workspace.
            LostRunError, ClusterError: It cannot be started.
        """
        site = self._site
        given = [_archive(order, self._token)]
        where = (site.runs, site.home, site.folder, str(round(order.limit_s)), self._token)
        told = self._shell.run(scripts.START, *where, given=given).decode().split()
        if told[:1] == [scripts.STARTED]:
            self.number, *born = told[1:]
            self._born = next(filter(_is_number, born), _NEVER)
            return
        number = told[1] if len(told) > 1 else "unknown"
        fix = "wait for it, or give --force to cancel it"
        raise DeadlineError(str(site), f"run {number} of an agent goes on there", fix)

    def follow(
        self,
        account: events.Account,
        *,
        deadline_s: float,
        hear: Callable[[str], None],
        keep: Callable[[bytes], None],
        check: Callable[[], None],
    ) -> events.Ended:
        """
        Read what the agent tells into *account*, until it has ended.

        Args:
            account: Of this start.
            deadline_s: By our clock; the pod keeps it, we only make sure.
            hear: Is told each message of the agent.
            keep: Is given all events as they came.
            check: Is called several times a minute; what it raises ends the run.
        """
        heard_s = self._clock.now()
        while True:
            check()
            try:
                state, news = self._look()
            except ClusterError as error:
                self._refuse_silence(heard_s, error)
                continue
            heard_s = self._clock.now()
            check()  # what ends a run of ours would end that of the next holder, too
            keep(news)
            for message in account.read(news):
                hear(message)
            if state[0] == scripts.OVER and self._offset >= int(state[-1]):
                for message in account.finish():
                    hear(message)
                return self._left(int(state[1]), state[2])
            if state[0] in (scripts.DEAD, scripts.GONE):
                return self._end_remains(state[0])
            if heard_s > deadline_s + LATE_S:
                return self._end_late()

    def cancel(self, wait_s: float = CANCEL_S) -> bool:
        """
        End all of the run in the pod; return whether it has ended by now.

        One whose start was interrupted is ended, too: it may be there without our knowing.
        """
        token = "" if self.number else self._token
        return cancel(self._shell, self.number or "-", wait_s, token=token)

    def remember(self, thread: str, used: Usage) -> None:
        """Note what a thread has used by now, for the next run of it; a failure is no matter."""
        with suppress(CodexctlError):
            self._shell.run(scripts.REMEMBER, self._site.home, thread, json.dumps(asdict(used)))

    def _look(self) -> tuple[list[str], bytes]:
        """Ask what is new; return the words of the state, and the news."""
        where = (self._site.runs, self.number, str(self._offset))
        limits = (str(LOOK_S), str(scripts.MOST_BYTES))
        told = self._shell.run(scripts.LOOK, *where, *limits, repeats=False)
        head, _, news = told.partition(b"\n")
        state = head.decode(errors="replace").split()
        if len(state) < 2 or (state[0] == scripts.OVER and not _is_end(state)):  # noqa: PLR2004
            raise ClusterError(str(self._site), f"a run tells nonsense: {head[:100]!r}")
        self._offset += len(news)
        if state[0] == scripts.OVER:  # a file with a hole is as large as its owner likes
            self._offset = max(self._offset, int(state[-1]) - MOST_AFTER_BYTES)
        return state, news

    def _refuse_silence(self, heard_s: float, error: ClusterError) -> None:
        """Pause, unless there is no hope any more."""
        if self._clock.now() - heard_s > UNREACHABLE_S:
            what = f"cannot be reached for {UNREACHABLE_S / 60:.0f} minutes: {error.what}"
            raise LostRunError(str(self._site), what, "its deadline is kept there; look then")
        self._clock.sleep(_PAUSE_S)

    def _end_late(self) -> events.Ended:
        self._left(137, events.TIMED_OUT)
        self.cancel()
        return events.Ended(137, events.TIMED_OUT)

    def _end_remains(self, state: str) -> events.Ended:
        """Clean up after a launcher that did not end by itself."""
        if why := self._shell.why_lost():
            raise LostRunError(str(self._site), why, "run again")
        self._left(137, events.ENDED)
        if state == scripts.DEAD:
            self.cancel()
        said = "its launcher was killed" if state == scripts.DEAD else "its folder was removed"
        return events.Ended(137, events.ENDED, stderr=said)

    def _left(self, code: int, how: str) -> events.Ended:
        """
        End what is left of it, and read what it has left.

        Its launcher has done the former, if it could: the agent can kill it, and write for it that
        all is over.
        """
        token = secrets.token_hex(16)
        where = (self._site.runs, self.number, token, str(events.LONGEST_MESSAGE))
        ours = (self._token, self._born)
        told = self._shell.run(scripts.LEFT, *where, *ours).decode(errors="replace")
        message, _, rest = told.rpartition(f"\n{token}")
        remains, _, stderr = rest.partition("\n")
        if remains:
            what = f"processes of run {self.number} cannot be ended"
            raise LostRunError(str(self._site), what, f"delete pod {self._site.pod}")
        return events.Ended(code, how, message, _whole_lines(stderr))


def living(shell: Shell) -> tuple[str, ...]:
    """Return runs that have not ended, with their pods: ``NUMBER POD``."""
    return _going_on(shell.run(scripts.LIVING, shell.site.runs))


def close(shell: Shell, number: str) -> None:
    """Note that a run is over whose pod is gone."""
    shell.run(scripts.CLOSE, shell.site.runs, number)


def cancel(shell: Shell, number: str, wait_s: float = CANCEL_S, *, token: str = "") -> bool:
    """End a run, whoever started it; return whether nothing is left of it."""
    where = (shell.site.runs, number, str(round(wait_s)), token)
    told = shell.run(scripts.CANCEL, *where, repeats=False).decode().split()
    return told[:1] in ([scripts.OVER], [scripts.GONE])


def _whole_lines(stderr: str) -> str:
    """Return the end of a text without a line whose beginning is cut off, half a secret perhaps."""
    if len(stderr.encode()) < scripts.MOST_STDERR_BYTES:
        return stderr
    return stderr.partition("\n")[2]


def _going_on(told: bytes) -> tuple[str, ...]:
    lines = [line.split() for line in told.decode(errors="replace").splitlines()]
    running = [words[1:3] for words in lines if words[:1] == ["run"]]
    return tuple(" ".join(words) for words in running if len(words) == 2)  # noqa: PLR2004


def _archive(order: Order, token: str) -> bytes:
    exported = {**order.variables, **order.secrets}
    lines = [f"export {name}={quoted(value)}" for name, value in exported.items()]
    files = {
        "prompt.md": order.prompt,
        "command": f"exec {as_shell(order.command)}\n".encode(),
        "environment": "".join(f"{line}\n" for line in lines).encode(),
        "config.toml": order.configuration.encode(),
        "launch.sh": scripts.LAUNCH.encode(),
        "token": f"{token}\n".encode(),
        **({"schema.json": order.schema.encode()} if order.schema else {}),
        "complete": b"",
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o600
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def _is_end(state: list[str]) -> bool:
    """Tell whether words are an exit code and how a launcher ended; the agent could write there."""
    code, how, size = state[1:4] if len(state) == 4 else ("", "", "")  # noqa: PLR2004
    are_numbers = all(map(_is_number, (code, size)))
    return are_numbers and how in (events.ENDED, events.TIMED_OUT, events.CANCELLED)


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) <= _MOST_DIGITS


def _usage_of(text: str) -> Usage:
    """Return what was noted about a thread; nothing, if it is damaged."""
    try:
        found = json.loads(text)
        is_told = all(type(each) is int and 0 <= each <= MOST_TOKENS for each in found.values())
        return Usage(**found) if is_told else Usage()
    except (ValueError, TypeError, AttributeError, RecursionError):
        return Usage()
