"""Scripts in containers: what they print is whole, or it is said that it is not."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any, cast

import pytest

from codexctl_tasks.errors import BrokenStreamError
from codexctl_tasks.world.execution import Executed
from codexctl_tasks.world.scripting import Container, framed, run_script, unframed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from codexctl_tasks.world.cluster import Cluster

POD = Container("shop", "web", "")


class Lossy:
    """A cluster that loses the end of what a script printed."""

    def __init__(self, lost: int, code: int = 0) -> None:
        self._lost, self._code = lost, code

    def execute(
        self,
        *where_and_command: Any,
        stdin: Iterable[bytes],
        take: Callable[[bytes], object],
        limit_s: float,
    ) -> Executed:
        """Print three words and the mark, but for the last bytes."""
        del stdin, limit_s
        mark = where_and_command[-1][3]
        said = f"one two three\n{mark}".encode()
        take(said[: len(said) - self._lost])
        return Executed(self._code, "")


def lossy(lost: int, code: int = 0) -> Cluster:
    """Return such a cluster."""
    return cast("Cluster", Lossy(lost, code))


def test_what_is_whole_is_returned_without_its_mark() -> None:
    """The pieces are told as they come."""
    heard: list[bytes] = []
    said = run_script(lossy(0), POD, "echo", take=heard.append)
    assert said.printed == b"one two three"
    assert b"".join(heard).startswith(b"one two three\n")


@pytest.mark.parametrize("lost", [1, 20, 33, 40, 46])
def test_what_is_lost_is_told(lost: int) -> None:
    """Exit code 0 is no proof that everything is here."""
    with pytest.raises(BrokenStreamError, match="the end of what a script printed is missing"):
        run_script(lossy(lost), POD, "echo")


def test_a_script_that_failed_has_its_code() -> None:
    """Whoever was killed prints no mark."""
    said = run_script(lossy(39, code=137), POD, "echo")
    assert (said.printed, said.ended.exit_code) == (b"one two", 137)


@pytest.mark.parametrize("shell", [("sh",), ("busybox", "sh")])
@pytest.mark.parametrize(
    ("script", "printed", "code"),
    [
        ('echo "$1"; cat', "a b\nstdin\nMARK", 0),
        ("set -eu; printf x; exit 3", "x\nMARK", 3),
        ("trap 'echo bye' EXIT; exit 0", "bye\n\nMARK", 0),
        ("(exit 4)", "\nMARK", 4),
    ],
)
def test_a_shell_adds_the_mark(
    shell: tuple[str, ...], script: str, printed: str, code: int
) -> None:
    """However the script ends; its arguments, its input and its exit code are its own."""
    command = [*shell, "-c", framed(script), "MARK", "a b"]
    done = subprocess.run(command, input="stdin", capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == (printed, code)
    assert unframed(framed(script)) == script
