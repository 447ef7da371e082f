"""Expected failures: one line each, with the exit code that workflows branch on."""

from __future__ import annotations

import pytest

from codexctl_tasks import errors
from codexctl_tasks.errors import (
    BrokenStreamError,
    ClusterError,
    CodexctlError,
    CombinedError,
    ConfigurationError,
    ExpiredError,
    Interrupted,
    Location,
    TransientClusterError,
    UsageError,
)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (CodexctlError, 1),
        (UsageError, 2),
        (ConfigurationError, 3),
        (ClusterError, 4),
        (TransientClusterError, 4),
        (BrokenStreamError, 4),
        (ExpiredError, 4),
    ],
)
def test_exit_codes_are_those_promised(kind: type[CodexctlError], code: int) -> None:
    """A workflow that branches on an exit code goes on working after an update."""
    assert kind("where", "what").exit_code == code
    assert (errors.DONE, errors.WORKLOAD_FAILED, errors.TIMED_OUT) == (0, 1, 70)


@pytest.mark.parametrize(("signal_number", "code"), [(2, 130), (15, 143)])
def test_an_interruption_has_the_code_of_its_signal(signal_number: int, code: int) -> None:
    """The shell sees the usual 130 and 143, and no handler of failures catches the signal."""
    assert Interrupted(signal_number).exit_code == code
    assert not isinstance(Interrupted(signal_number), Exception)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UsageError("--env", "is required", "name one"), "--env: is required: name one"),
        (ClusterError("https://c", "is down"), "https://c: is down"),
        (
            ConfigurationError(Location("a.yaml", 7), "is bad", "mend it"),
            "a.yaml:7: is bad: mend it",
        ),
        (ConfigurationError(Location("a.yaml"), "is bad"), "a.yaml: is bad"),
        (ClusterError("c", "first\n  second\r\nthird"), "c: first second third"),
    ],
    ids=["flag", "no fix", "line", "file only", "line breaks"],
)
def test_a_failure_is_one_line(error: CodexctlError, line: str) -> None:
    """Where, what, how to mend it; a server's line breaks do not tear the report apart."""
    assert str(error) == line
    assert error.problems == (error,)


def test_several_failures_keep_their_order_and_the_gravest_code() -> None:
    """One run shows all mistakes, in the order of the files."""
    first, second = ConfigurationError("a", "x"), ClusterError("b", "y")

    combined = CombinedError([first, second])

    assert str(combined).splitlines() == ["a: x", "b: y"]
    assert combined.problems == (first, second)
    assert combined.exit_code == 4
