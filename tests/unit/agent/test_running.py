"""Following a run from here: what is read, what is repeated, what is given up."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.agent import scripts
from codexctl_tasks.agent.events import Account, Ended
from codexctl_tasks.agent.pod import LostRunError, Site
from codexctl_tasks.agent.result import Usage
from codexctl_tasks.agent.running import LATE_S, MOST_AFTER_BYTES, Order, Run
from codexctl_tasks.errors import BrokenStreamError, ClusterError, DeadlineError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.support.fakes import FakeClock

SITE = Site(
    namespace="shop-dev-1",
    pod="codex-1",
    uid="u",
    container="codex",
    container_id="c",
    folder="/workspace/shop",
    state="/workspace/.codexctl",
)
HI = b'{"type":"item.completed","item":{"type":"agent_message","text":"hi"}}\n'
CUT = BrokenStreamError("pod", "the stream broke")


class FakeShell:
    """A container whose answers are known beforehand; the last one to each script is repeated."""

    def __init__(self, clock: FakeClock) -> None:
        self.site, self._clock = SITE, clock
        self.answers: dict[str, list[bytes | Exception]] = {}
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.given: list[bytes] = []
        self.lost = ""
        self.takes_s = 0.0
        """How long each question takes."""

    def run(self, script: str, *words: str, given: Sequence[bytes] = (), **_: Any) -> bytes:
        """Answer a script."""
        name = next(
            n
            for n in ("START", "LOOK", "LEFT", "CANCEL", "SURVEY", "REMEMBER")
            if getattr(scripts, n) == script
        )
        self.asked.append((name, words))
        self.given += given
        self._clock.pass_time(self.takes_s)
        left = self.answers[name]
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        if name == "LEFT":
            return answer.replace(b"TOKEN", words[2].encode())
        return answer

    def why_lost(self) -> str:
        """Say what has become of the container."""
        return self.lost


@pytest.fixture
def shell(clock: FakeClock) -> FakeShell:
    """Give a container in which run 4 has been started."""
    shell = FakeShell(clock)
    shell.answers = {
        "START": [b"started 4\n"],
        "LEFT": [b"Done.\n\nTOKEN\noh\n"],
        "CANCEL": [b"over\n"],
    }
    return shell


def started(shell: FakeShell, clock: FakeClock, **order: Any) -> Run:
    """Start a run."""
    run = Run(shell, clock)  # type: ignore[arg-type]
    usual = {
        "prompt": b"Do it.",
        "command": ["codex", "-o", "$CODEXCTL_RUN_FOLDER/last.md"],
        "configuration": "a = 1\n",
        "variables": {"A": "it's"},
        "secrets": {"TOKEN": "secret"},
        "limit_s": 60.4,
    }
    run.start(Order(**{**usual, **order}))
    return run


def followed(
    run: Run, heard: list[str], check: Callable[[], None] = lambda: None
) -> tuple[Ended, bytes]:
    """Follow a run to its end; return that, and all events."""
    kept: list[bytes] = []
    ended = run.follow(
        Account(), deadline_s=100.0, hear=heard.append, keep=kept.append, check=check
    )
    return ended, b"".join(kept)


def test_a_start_sends_all_and_puts_no_secret_into_the_command_line(
    shell: FakeShell, clock: FakeClock
) -> None:
    """Prompt, command, configuration and secrets travel as files, in one stream."""
    run = started(shell, clock, schema="{}")
    assert run.number == "4"
    ((_, words),) = shell.asked
    assert words[:4] == (
        *("/workspace/.codexctl/runs", "/workspace/.codexctl/agent", "/workspace/shop", "60"),
    )
    with tarfile.open(fileobj=io.BytesIO(b"".join(shell.given))) as archive:
        files = {m.name: archive.extractfile(m).read().decode() for m in archive}  # type: ignore[union-attr]
    assert files["prompt.md"] == "Do it."
    assert files["command"] == 'exec codex -o "$CODEXCTL_RUN_FOLDER"/last.md\n'
    assert files["environment"] == "export A='it'\"'\"'s'\nexport TOKEN=secret\n"
    assert (files["token"].strip(), list(files)[-1]) == (words[4], "complete")
    assert not [word for word in words if "secret" in word]


def test_a_workspace_in_use_is_told_of(shell: FakeShell, clock: FakeClock) -> None:
    """Whoever comes second learns which run is in the way, and what to do."""
    shell.answers["START"] = [b"busy 3 7 123 codex-1\n"]
    with pytest.raises(DeadlineError, match=r"run 3 of an agent goes on there: .* --force"):
        started(shell, clock)


def test_all_events_are_read_before_the_end_counts(shell: FakeShell, clock: FakeClock) -> None:
    """The end is known before the last events have been read: they are fetched first."""
    size = len(HI) * 2
    shell.answers["LOOK"] = [
        b"runs 0\n",
        f"over 0 ended {size}\n".encode() + HI[:10],
        f"over 0 ended {size}\n".encode() + HI[10:] + HI,
    ]
    heard: list[str] = []
    ended, events = followed(started(shell, clock), heard)
    assert (heard, events) == (["hi", "hi"], HI + HI)
    assert ended == Ended(0, "ended", "Done.\n", "oh\n")
    assert [words[2] for name, words in shell.asked if name == "LOOK"] == ["0", "0", "10"]


def test_half_a_line_of_stderr_is_not_kept(shell: FakeShell, clock: FakeClock) -> None:
    """It could be half a secret, which nobody would recognise."""
    stderr = b"-1234 was refused\n" + b"x" * scripts.MOST_STDERR_BYTES
    shell.answers["LOOK"] = [b"over 1 ended 0\n"]
    shell.answers["LEFT"] = [b"\nTOKEN\n" + stderr[: scripts.MOST_STDERR_BYTES - 4] + b"\nno\n"]
    ended, _ = followed(started(shell, clock), [])
    assert ended.stderr == stderr[18 : scripts.MOST_STDERR_BYTES - 4].decode() + "\nno\n"


def test_a_question_that_is_cut_is_asked_again(shell: FakeShell, clock: FakeClock) -> None:
    """Nothing is heard twice, and nothing is missed, however often the stream breaks."""
    told = [CUT, b"runs 70\n" + HI, CUT, CUT, b"over 1 ended %d\n" % len(HI)]
    shell.answers["LOOK"] = told
    heard: list[str] = []
    ended, events = followed(started(shell, clock), heard)
    assert (heard, events, ended.exit_code) == (["hi"], HI, 1)


def test_what_cannot_be_ended_is_no_success(shell: FakeShell, clock: FakeClock) -> None:
    """Whoever reads that a run is over can rely on it that nothing of it works on."""
    shell.answers["START"] = [b"started 4 1234\n"]
    shell.answers["LOOK"] = [b"over 0 ended 0\n"]
    shell.answers["LEFT"] = [b"Done.\n\nTOKEN left\noh\n"]
    with pytest.raises(LostRunError, match="of run 4 cannot be ended: delete pod codex-1"):
        followed(started(shell, clock), [])
    (_, first), *_, (_, last) = shell.asked
    assert last[-2:] == (first[4], "1234"), "token and birth are those that the client knows"


def test_a_cluster_that_stays_away_ends_the_wait(shell: FakeShell, clock: FakeClock) -> None:
    """After five minutes without an answer nobody knows what the agent does."""
    shell.answers["LOOK"] = [b"runs 0\n", CUT]
    with pytest.raises(LostRunError, match="cannot be reached for 5 minutes: the stream broke"):
        followed(started(shell, clock), [])
    assert 300 < clock.now() < 310


@pytest.mark.parametrize(
    "told",
    [
        *(b"", b"\xff\xfe\n", b"over x ended 0\n", b"over 0 well 0\n"),
        *(b"over %s ended 0\n" % (b"9" * 5000), b"over 0 ended %s\n" % (b"9" * 5000)),
    ],
)
def test_nonsense_is_no_end(shell: FakeShell, clock: FakeClock, told: bytes) -> None:
    """What is not understood is asked again; the agent could have written it."""
    shell.answers["LOOK"] = [told, b"over 0 ended 0\n"]
    assert followed(started(shell, clock), [])[0].exit_code == 0


def test_a_file_of_events_with_a_hole_is_not_read_for_hours(
    shell: FakeShell, clock: FakeClock
) -> None:
    """Of an exabyte that takes no room on a disk the last part is read, once it is over."""
    size = 10**14
    end = b"over 0 ended %d\n" % size
    shell.answers["LOOK"] = [b"runs 0\n", end + HI, end + HI * (MOST_AFTER_BYTES // len(HI) + 1)]
    followed(started(shell, clock), [])
    offsets = [words[2] for name, words in shell.asked if name == "LOOK"]
    assert offsets == ["0", "0", str(size - MOST_AFTER_BYTES)]


def test_a_pod_that_is_gone_is_named(shell: FakeShell, clock: FakeClock) -> None:
    """A lost pod is no failure of the agent."""
    shell.answers["LOOK"] = [LostRunError("pod", "its pod was deleted while the agent worked")]
    with pytest.raises(LostRunError, match="was deleted"):
        followed(started(shell, clock), [])


def test_a_launcher_that_died_with_its_container_is_no_failure_of_the_agent(
    shell: FakeShell, clock: FakeClock
) -> None:
    """The container was started again: out of memory, perhaps."""
    shell.answers["LOOK"] = [b"dead 0\n"]
    shell.lost = "its container was started again while the agent worked (OOMKilled)"
    with pytest.raises(LostRunError, match="OOMKilled"):
        followed(started(shell, clock), [])


def test_a_launcher_that_was_killed_is_cleaned_up_after(shell: FakeShell, clock: FakeClock) -> None:
    """The agent can kill its launcher; it does not outlive that."""
    shell.answers["LOOK"] = [b"dead 0\n"]
    ended, _ = followed(started(shell, clock), [])
    assert (ended.exit_code, ended.stderr) == (137, "its launcher was killed")
    assert shell.asked[-1][0] == "CANCEL"


def test_a_deadline_that_nobody_keeps_is_kept_from_here(shell: FakeShell, clock: FakeClock) -> None:
    """An agent that has stopped its own clock is ended all the same."""
    shell.answers["LOOK"], shell.takes_s = [b"runs 0\n"], 15.0
    ended, _ = followed(started(shell, clock), [])
    assert (ended.how, shell.asked[-1][0]) == ("timeout", "CANCEL")
    assert 100 + LATE_S < clock.now() < 100 + LATE_S + 40


def test_a_slot_that_is_lost_ends_the_run(shell: FakeShell, clock: FakeClock) -> None:
    """What is checked meanwhile may end it."""

    def check() -> None:
        raise ClusterError("slot 1", "it is somebody else's now")

    shell.answers["LOOK"] = [b"runs 0\n"]
    with pytest.raises(ClusterError, match="somebody else's"):
        followed(started(shell, clock), [], check)


@pytest.mark.parametrize(
    "told", ['{"input": %s}' % ("9" * 4000), '{"input": 1e999}', "[" * 5000, '{"input": -1}']
)
def test_what_an_agent_noted_of_its_usage_is_bounded(
    shell: FakeShell, clock: FakeClock, told: str
) -> None:
    """A number that nobody can add or write counts as not told."""
    shell.answers["SURVEY"] = [f"thread t\nusage {told}\nfolder yes\n".encode()]
    assert Run(shell, clock).survey("t", "").used == Usage()  # type: ignore[arg-type]


def test_what_a_container_knows_is_read(shell: FakeShell, clock: FakeClock) -> None:
    """Version, commit, usage of a thread and runs that go on, or nothing of all that."""
    used = json.dumps({"input": 5, "cached_input": 1, "output": 2, "reasoning": 0})
    shell.answers["SURVEY"] = [
        f"version codex-cli 0.169.0\nhead {'a' * 40}\nbase yes\nkey yes\ntoken yes\nthread t\n"
        f"usage {used}\nrun 3 codex-0 1700000000\nfolder yes\n".encode(),
        b"version \nhead \nusage {broken\nfolder yes\n",
    ]
    run = Run(shell, clock)  # type: ignore[arg-type]
    found = run.survey("t", "b")
    assert (found.version, found.head) == ("0.169.0", "a" * 40)
    assert (found.has_key, found.has_token) == (True, True)
    assert (shell.asked[-1][1][3:], found.holds_base) == (("t", "b"), True)
    assert (found.used, found.going_on) == (Usage(5, 1, 2, 0), ("3 codex-0",))
    assert found.thread == "t"
    found = run.survey("t", "b")
    assert (found.version, found.head, found.has_key, found.has_folder) == ("", "", False, True)
    assert (found.holds_base, found.has_token) == (False, False)
    assert (found.used, found.going_on) == (Usage(), ())
