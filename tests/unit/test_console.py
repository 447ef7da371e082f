"""What a person or GitHub reads."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.console import HEARTBEAT_S, Console, Row, standard_console
from codexctl_tasks.errors import (
    CombinedError,
    ConfigurationError,
    Interrupted,
    Location,
    UsageError,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fakes import FakeClock

SECRET = "hunter2%secret"
WEB, API = "Deployment shop/web", "Deployment shop/api"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def _shown(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def test_a_workload_gets_a_line_only_when_its_state_changes(stream: io.StringIO) -> None:
    """A log of CI stays short: a line per change, not one per look."""
    console = Console(stream)

    console.progress([Row(WEB, "waiting", "0 of 1 pod ready")], 1.0)
    console.progress([Row(WEB, "waiting", "still nothing")], 2.0)
    console.progress([Row(WEB, "ready", "1 of 1 pod ready"), Row(API, "waiting", "new")], 3.0)

    assert _shown(stream) == [
        f"wait       1.0 s  {WEB}  waiting  0 of 1 pod ready",
        f"wait       3.0 s  {WEB}  ready    1 of 1 pod ready",
        f"wait       3.0 s  {API}  waiting  new",
    ]


def test_a_heartbeat_comes_only_after_silence(stream: io.StringIO, clock: FakeClock) -> None:
    """Nobody believes that the job hangs, and nobody reads noise: one line per 30 s of silence."""
    console = Console(stream, now=clock.now)
    rows = [Row(WEB, "waiting", "pulling"), Row(API, "ready", "1 of 1 pod ready")]
    console.progress(rows, 0.0)
    begun = len(_shown(stream))

    for _ in range(int(HEARTBEAT_S) * 2 + 5):
        clock.sleep(1.0)
        console.progress(rows, clock.time)

    heartbeats = _shown(stream)[begun:]
    assert len(heartbeats) == 2
    assert all(f"still waiting for {WEB} (pulling)" in line for line in heartbeats)
    assert all(API not in line for line in heartbeats)


def test_any_other_line_puts_the_heartbeat_off(stream: io.StringIO, clock: FakeClock) -> None:
    """While something is told there is no silence to break."""
    console = Console(stream, now=clock.now)
    rows = [Row(WEB, "waiting", "pulling")]

    console.progress(rows, 0.0)
    clock.sleep(HEARTBEAT_S - 1)
    console.step("apply", "created ConfigMap shop/settings")
    clock.sleep(HEARTBEAT_S - 1)
    console.progress(rows, clock.time)

    assert "still waiting" not in stream.getvalue()


def test_a_symptom_shows_the_end_of_the_log_below_it(stream: io.StringIO) -> None:
    """The last five lines of a crash are where the reason stands."""
    Console(stream).symptom(WEB, "exit code 1", 2.0, [f"line {n}" for n in range(8)])

    first, *log = _shown(stream)
    assert first.endswith(f"{WEB}  exit code 1")
    assert [line.strip() for line in log] == [f"| line {n}" for n in range(3, 8)]


def _write_everything(console: Console, text: str) -> None:
    console.step("apply", text)
    console.warn(text)
    console.error(ConfigurationError(Location(text, 3), text, text))
    console.progress([Row(f"Deployment {text}", "waiting", text)], 1.0)
    console.symptom(text, text, 1.0, [text])
    console.lines([("failed", text), ("", text)])
    console.stop_live()


@pytest.mark.parametrize(
    "audience",
    [{}, {"colour": True}, {"github": True}, {"live": True, "colour": True}],
    ids=["plain", "colour", "github", "live"],
)
def test_hidden_values_appear_nowhere(
    audience: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No channel leaks: lines, warnings, annotations, tables, logs, reports."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    stream = _Terminal() if audience.get("live") else io.StringIO()
    console = Console(stream, **audience)
    console.hide([SECRET])

    _write_everything(console, f"a {SECRET} b")

    assert "hunter2" not in stream.getvalue()
    assert stream.getvalue().count("***") >= 8


@pytest.mark.parametrize(
    ("hidden", "text", "masked"),
    [
        (["abcde"], "x abcde y", "x *** y"),
        (["abcd"], "x abcd y", "x abcd y"),
        (["secret", "secret-longer"], "secret-longer secret", "*** ***"),
        (["first line\nsecond line"], "| second line", "| ***"),
        (["two  blanks"], "two blanks", "***"),
    ],
    ids=["plain", "too short", "longest first", "line of a longer secret", "whitespace collapsed"],
)
def test_masking(hidden: list[str], text: str, masked: str, stream: io.StringIO) -> None:
    """A secret is recognised also where a log or an error shows it line by line."""
    console = Console(stream)
    console.hide(hidden)

    assert console.masked(text) == masked


def test_annotations_are_escaped_as_github_wants(stream: io.StringIO) -> None:
    """An odd file name or a per cent sign does not break the annotation."""
    console = Console(stream, github=True)

    console.error(ConfigurationError(Location("a:b,c%.yaml", 7), "50% of x:y, z"))
    console.error(UsageError("--env", "is required"))
    console.warn("100%\r\nsure")

    assert _shown(stream) == [
        "::error file=a%3Ab%2Cc%25.yaml,line=7::a:b,c%25.yaml:7: 50%25 of x:y, z",
        "::error::--env: is required",
        "::warning::100%25%0D%0Asure",
    ]


def test_every_problem_is_an_annotation_of_its_own(stream: io.StringIO) -> None:
    """GitHub shows each mistake at its line of the pull request."""
    problems = [ConfigurationError(Location("a.yaml", n), "bad") for n in (1, 2)]

    Console(stream, github=True).error(CombinedError(problems))

    assert [line.partition("::")[2].partition("::")[0] for line in _shown(stream)] == [
        "error file=a.yaml,line=1",
        "error file=a.yaml,line=2",
    ]


def test_the_text_of_a_workload_cannot_forge_an_annotation(stream: io.StringIO) -> None:
    """A message with line breaks from the cluster stays a message."""
    console = Console(stream, github=True)
    forged = "oops\n::error file=x::forged"

    console.step("wait", forged)
    console.symptom(WEB, forged, 1.0, [forged])
    console.lines([("failed", forged)])

    assert not [line for line in _shown(stream) if line.lstrip().startswith("::")]


@pytest.mark.parametrize("line", ["  ::set-output name=url::https://evil", "a ##[add-path]/evil"])
def test_a_result_cannot_command_the_runner(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A ConfigMap in a plan is text, also for GitHub; elsewhere it is printed as it is."""
    for github in (True, False):
        Console(github=github).result([("", line), ("+", line)])
        shown = capsys.readouterr().out.splitlines()
        assert [_commands(each) for each in shown] == [not github] * 2
    assert shown == [line, line]


def test_json_on_stdout_cannot_command_the_runner(capsys: pytest.CaptureFixture[str]) -> None:
    """To whoever reads it, it is the same text."""
    data = {"a": ["##[add-path]/evil", "::warning::x"]}
    Console(github=True).result_as_json(data)
    shown = capsys.readouterr().out
    assert json.loads(shown) == data
    assert not any(_commands(line) for line in shown.splitlines())


def _commands(line: str) -> bool:
    """Tell whether GitHub's runner takes a line for a command."""
    return line.lstrip().startswith("::") or "##[" in line


def test_colours_only_when_they_are_welcome() -> None:
    """Log files hold no escape sequences; terminals get red errors."""
    plain, painted = io.StringIO(), io.StringIO()
    Console(plain).error(UsageError("--env", "is required"))
    Console(painted, colour=True).error(UsageError("--env", "is required"))

    assert plain.getvalue() == "error: --env: is required\n"
    assert painted.getvalue() == "\033[31merror: \033[0m--env: is required\n"


def test_without_a_terminal_the_console_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe gets plain lines on stderr, and stdout stays free for the result."""
    standard_console(colour=True, github=False).warn("odd")

    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "warning: odd\n")


def test_the_live_table_keeps_a_line_per_workload_on_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Long names and causes are cut, not wrapped: the table does not jump."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    terminal = _Terminal()
    console = Console(terminal, live=True, colour=True)
    names = [f"Deployment shop/a-long-name-{n}" for n in range(3)]

    console.progress([Row(name, "waiting", "cause " * 30) for name in names], 1.0)
    console.step("apply", "a line above the table")
    console.progress([Row(name, "failed", "cause " * 30) for name in names], 2.0)
    console.stop_live()

    shown = re.sub(r"\033\[[0-9;?]*[a-zA-Z]|\r", "", terminal.getvalue()).splitlines()
    last_frame = [line for line in shown if line.startswith("✘ Deploy")]
    assert len(last_frame) == len(names)
    assert max(len(line) for line in shown) <= 40


def test_after_the_live_table_lines_are_written_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report stands below the table, complete."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    terminal = _Terminal()
    console = Console(terminal, live=True)
    console.progress([Row(WEB, "failed", "image not found")], 1.0)

    console.lines([("", "a line that is longer than the forty columns of this terminal")])

    assert terminal.getvalue().endswith(
        "a line that is longer than the forty columns of this terminal\n"
    )


def test_a_log_cannot_repaint_the_terminal() -> None:
    """Titles, cursor movements and carriage returns of a container are not passed on."""
    stream = io.StringIO()
    console = Console(stream, colour=True)

    console.symptom("web", "crashed", 1.0, ["\x1b]0;title\x07a", "b\x1b[2J\x1b[1Ac", "d\re"])

    shown = stream.getvalue()
    assert "\x1b]" not in shown
    assert "\x1b[2J" not in shown
    assert "\r" not in shown
    assert "\x1b[33mcrashed\x1b[0m" in shown


@pytest.mark.parametrize(
    ("folder", "file", "shown"),
    [
        (".", "app.yaml", "app.yaml"),
        ("deploy", "app.yaml", "deploy/app.yaml"),
        ("deploy", "../infra/app.yaml", "infra/app.yaml"),
        ("deploy", "../../other/app.yaml", "../../other/app.yaml"),
        ("linked", "app.yaml", "deploy/app.yaml"),
    ],
    ids=["root", "below", "beside", "outside", "through a link"],
)
def test_annotations_are_relative_to_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, file: str, shown: str
) -> None:
    """GitHub finds the file of an annotation only by its path from the repository's root."""
    workspace = tmp_path / "repository"
    (workspace / "deploy").mkdir(parents=True)
    (workspace / "linked").symlink_to("deploy")
    monkeypatch.chdir(workspace / folder)
    stream = io.StringIO()

    Console(stream, github=True, workspace=workspace).annotate(Location(file, 3), "bad")

    assert _shown(stream) == [f"::error file={shown},line=3::bad"]


def test_a_group_folds_lines_only_in_github(stream: io.StringIO) -> None:
    """Many lines take one in GitHub; everywhere else nothing shows of it."""
    plain = io.StringIO()
    for console in (Console(stream, github=True), Console(plain)):
        with console.group("apply 100% of\nit"):
            console.step("apply", "created ConfigMap shop/a")

    assert _shown(stream) == [
        "::group::apply 100%25 of%0Ait",
        "apply    created ConfigMap shop/a",
        "::endgroup::",
    ]
    assert _shown(plain) == ["apply    created ConfigMap shop/a"]


@pytest.mark.parametrize("end", [Interrupted(2), UsageError("a", "b")])
def test_what_ends_a_group_stands_outside(stream: io.StringIO, end: BaseException) -> None:
    """An error or Ctrl-C in the middle does not hide the report in a fold."""
    console = Console(stream, github=True)

    with pytest.raises(type(end)), console.group("apply"):
        raise end
    console.lines([("failed", "FAILED")])

    assert _shown(stream) == ["::group::apply", "::endgroup::", "FAILED"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET https://bob:s3@reg.example/v2/: 500", "GET https://***@reg.example/v2/: 500"),
        ("redis://:s3@db:6379/0 refused", "redis://***@db:6379/0 refused"),
        ("https://reg.example:5000/a@sha256:1", "https://reg.example:5000/a@sha256:1"),
        ("https://bob@reg.example/", "https://bob@reg.example/"),
    ],
)
def test_passwords_in_addresses_are_hidden(text: str, shown: str) -> None:
    """Programs and registries write them into their errors, whoever has chosen them."""
    assert Console(io.StringIO()).masked(text) == shown


def test_a_line_is_written_in_one_piece() -> None:
    """What threads tell of their retries never ends up inside of another line."""
    pieces: list[str] = []

    class _Stream(io.StringIO):
        def write(self, text: str) -> int:
            pieces.append(text)
            return len(text)

    console = Console(_Stream())
    console.step("retry", "again")
    console.lines([("failed", "FAILED  1 failed")])

    assert pieces == ["retry    again\n", "FAILED  1 failed\n"]


def test_github_masks_what_came_in_one_secret() -> None:
    """Each line of each value, also in what other programs print; nothing that all keys share."""
    stream = io.StringIO()
    console = Console(stream, github=True)
    key = "-----BEGIN KEY-----\nfirst line\n-----END KEY-----\n"
    console.hide_everywhere(["first line\n100% second\n", "no", key])
    console.step("apply", "first line")
    console.step("apply", "-----BEGIN KEY-----")
    assert stream.getvalue().splitlines() == [
        "::add-mask::100%25 second",
        "::add-mask::first line",
        "apply    ***",
        "apply    -----BEGIN KEY-----",
    ]


def test_no_secret_is_printed_where_nobody_masks() -> None:
    """On a laptop there is no runner that would take the line for a command."""
    stream = io.StringIO()
    Console(stream).hide_everywhere(["swordfish"])
    assert stream.getvalue() == ""
