"""The command line as a user types it, in this process."""

from __future__ import annotations

import contextlib
import io
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from invoke.collection import Collection

from codexctl_tasks import __version__
from codexctl_tasks.command import Flag, command, console
from codexctl_tasks.errors import (
    ClusterError,
    CombinedError,
    ConfigurationError,
    Interrupted,
    Location,
)
from codexctl_tasks.program import CodexctlProgram, program

if TYPE_CHECKING:
    from pathlib import Path

STACK = "project: shop\nservices:\n- name: web\n  manifests:\n  - path: web.yaml\n"
MANIFEST = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "services.yaml").write_text(STACK)
    (tmp_path / "web.yaml").write_text(MANIFEST)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _run(line: str, of: CodexctlProgram = program) -> int:
    try:
        of.run(["codexctl", *line.split()])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        ("render", 2, "error: --env: is required"),
        ("render --env", 2, "error: Flag"),
        ("render --env staging --slot one", 2, "--slot"),
        ("render --env staging --nope", 2, "error: No idea what '--nope' is"),
        ("rendr --env staging", 2, "error: No idea what 'rendr' is"),
        ("render staging", 2, "error: No idea what 'staging' is"),
        ("render --env staging --config no.yaml", 3, "error: no.yaml: does not exist"),
        ("apply-wait --env staging --wait-timeout soon", 2, "'soon' is no duration"),
        ("apply-wait --env staging --output yaml", 2, "--output: 'yaml' is unknown"),
        (
            "wait --env staging --kubeconfig no-such-file",
            4,
            "error: no-such-file: no usable cluster",
        ),
        ("destroy --env staging --kubeconfig no-such-file", 4, "error: no-such-file: no usable"),
        ("apply --env staging --kubeconfig no-such-file", 4, "error: no-such-file: no usable"),
    ],
)
def test_mistakes_are_one_line_with_their_exit_code(
    line: str, code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is wrong with a command line: one line on stderr, a code, no traceback."""
    assert _run(line) == code

    captured = capsys.readouterr()
    assert text in captured.err
    assert len(captured.err.splitlines()) == 1
    assert captured.out == ""


def test_render_prints_manifests_on_stdout_only(capsys: pytest.CaptureFixture[str]) -> None:
    """``codexctl render > file`` writes YAML and nothing else, without asking a cluster."""
    assert _run("render --env staging") == 0

    captured = capsys.readouterr()
    assert captured.out == (
        "---\n# Source: web.yaml:1\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n"
        "  namespace: shop-staging\n"
    )
    assert captured.err == ""


def test_plain_manifests_may_be_named_several_times(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without services.yaml any YAML will do; --manifests is repeatable."""
    (project / "more.yaml").write_text(MANIFEST.replace("settings", "more"))

    assert _run("render --manifests web.yaml --manifests more.yaml --namespace n") == 0

    assert capsys.readouterr().out.count("namespace: n\n") == 2


@pytest.mark.parametrize("task", ["render", "config", "apply", "wait", "apply-wait", "destroy"])
def test_help_never_runs_the_task(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--help is safe anywhere on the line and explains every flag."""
    assert _run(f"{task} --env staging --help") == 0

    shown = capsys.readouterr().out
    assert "--slot=STRING" in shown
    assert "Environment in services.yaml" in shown


def test_list_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    """A newcomer sees every task; a bug report can name the version."""
    assert _run("--list") == 0
    assert _run("--version") == 0

    shown = capsys.readouterr().out
    assert {"render", "apply", "wait", "apply-wait", "destroy"} <= set(shown.split())
    assert f"codexctl {__version__}" in shown


def _program(body: Any) -> CodexctlProgram:
    """Return a program whose task ``task`` runs *body* with the flags --text and --switch."""

    def task(_: Any, **given: Any) -> int:
        return int(body(**given) or 0)

    made = command(
        Flag("text", "A text."),
        Flag("switch-on", "A switch.", bool),
        Flag("many", "A list.", list),
    )(task)
    return CodexctlProgram(name="codexctl", binary="codexctl", namespace=Collection(task=made))


def _raising(error: BaseException) -> CodexctlProgram:
    def body(**_: Any) -> int:
        raise error

    return _program(body)


def test_flags_arrive_with_their_types() -> None:
    """An absent flag is its default; an attached value is the same as a spaced one."""
    seen: list[dict[str, Any]] = []
    of = _program(lambda **given: seen.append(given))

    _run("task", of)
    _run("task --text a --switch-on --many x --many=y", of)

    assert seen == [
        {"text": "", "switch_on": False, "many": []},
        {"text": "a", "switch_on": True, "many": ["x", "y"]},
    ]


def test_the_result_of_a_task_is_the_exit_code() -> None:
    """Workflows branch on it."""
    assert _run("task", _program(lambda **_: 70)) == 70
    assert _run("task", _program(lambda **_: 0)) == 0


def test_all_problems_are_printed_and_the_gravest_code_wins(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One run, all mistakes."""
    problems = [ConfigurationError(Location("a.yaml", 1), "bad"), ClusterError("c", "worse")]

    assert _run("task", _raising(CombinedError(problems))) == 4

    assert capsys.readouterr().err.splitlines() == ["error: a.yaml:1: bad", "error: c: worse"]


def test_a_defect_asks_for_a_report(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An internal error is told apart from the user's mistakes; its traceback only on request."""
    assert _run("task", _raising(ZeroDivisionError("oh"))) == 99
    [line] = capsys.readouterr().err.splitlines()
    assert "internal error: ZeroDivisionError: oh" in line

    monkeypatch.setenv("CODEXCTL_DEBUG", "1")
    assert _run("task", _raising(ZeroDivisionError("oh"))) == 99
    assert "Traceback" in capsys.readouterr().err


def test_a_defect_shows_no_secret_and_commands_no_runner(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected error may hold anything, its traceback too."""
    monkeypatch.setenv("CODEXCTL_DEBUG", "1")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    console.cache_clear()
    console().hide(["hunter22"])
    try:
        assert _run("task", _raising(ValueError("hunter22\n::set-output name=url::x"))) == 99
    finally:
        console.cache_clear()

    errors = capsys.readouterr().err
    assert "Traceback" in errors
    assert "hunter22" not in errors
    commands = [line for line in errors.splitlines() if line.lstrip().startswith("::")]
    assert [line.split()[0] for line in commands] == ["::error::codexctl:"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_task_with_its_code(
    number: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C and a cancelled job end alike: no traceback, the shell's usual code."""
    before = signal.getsignal(number)

    assert _run("task", _program(lambda **_: os.kill(os.getpid(), number))) == code

    assert capsys.readouterr().err == "interrupted\n"
    assert signal.getsignal(number) is before


def test_a_runner_that_asks_and_then_orders() -> None:
    """SIGINT, then SIGTERM, as of a cancelled job: what takes long ends, the rest is done."""
    done = []

    def body(**_: Any) -> int:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except Interrupted as first:
            with contextlib.suppress(Interrupted):
                os.kill(os.getpid(), signal.SIGTERM)
                done.append("a step that takes long")
            done.append("the report")
            deadly = [
                signal.getsignal(n) == signal.SIG_DFL for n in (signal.SIGINT, signal.SIGTERM)
            ]
            assert deadly == [True, True]
            return first.exit_code
        return 0

    assert _run("task", _program(body)) == 130
    assert done == ["the report"]


class _ClosedPipe(io.StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError


def test_a_closed_pipe_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    """``codexctl render | head -1`` ends quietly."""
    with contextlib.redirect_stdout(_ClosedPipe()):
        assert _run("render --env staging") == 141

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("flag", ["--dry", "--echo", "--config=other.yaml", "--hide=both"])
def test_flags_of_invoke_are_refused(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A `--dry` that does not keep `destroy` from deleting is worse than none."""
    with pytest.raises(SystemExit) as caught:
        program.run(["codexctl", flag, "render", "--env", "staging"])

    assert caught.value.code == 2
    assert "is not a flag of codexctl" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["ci deploy", "ci.deploy"])
def test_tasks_of_workflows_are_typed_as_two_words(
    line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a laptop as in a workflow; what they need comes from variables alone."""
    monkeypatch.delenv("CODEXCTL_ENV", raising=False)
    assert _run(line) == 2
    assert "--env: is required" in capsys.readouterr().err
    assert _run(f"{line} --help") == 0
    assert "CODEXCTL_PINS" in capsys.readouterr().out
