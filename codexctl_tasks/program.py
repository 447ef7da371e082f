"""The ``codexctl`` console script."""

from __future__ import annotations

import sys

from invoke.exceptions import ParseError
from invoke.program import Program

from codexctl_tasks import __version__
from codexctl_tasks.errors import UsageError
from codexctl_tasks.tasks import namespace


class CodexctlProgram(Program):
    """Invoke's program with the exit code for wrong usage that every task has."""

    def parse_core(self, argv: list[str] | None) -> None:
        """Parse the flags before the first task; show help when there is nothing else."""
        try:
            super().parse_core(argv)
        except (ParseError, ValueError) as error:
            _refuse(error)
        for name, argument in self.args.items():
            if argument.got_value and name not in _CORE_FLAGS:
                # Invoke's own --dry would not keep a task from acting, its --config is another.
                _refuse(f"--{name} before the task is not a flag of codexctl")

    def print_help(self) -> None:
        """Print what codexctl takes; Invoke's own options are none of it."""
        print(_HELP)  # noqa: T201
        self.list_tasks()

    def parse_tasks(self) -> None:
        """Parse task names and their flags."""
        self.core.unparsed = _with_named_object(self.core.unparsed)
        try:
            super().parse_tasks()
        except (ParseError, ValueError) as error:
            _refuse(error)


_CORE_FLAGS = ("help", "list", "version", "complete", "print-completion-script")
_HELP = """\
Usage: codexctl TASK [--flags] [TASK [--flags] ...]

  codexctl TASK --help                       what a task does, and its flags
  codexctl --list                            the tasks
  codexctl --version                         the version
  codexctl --print-completion-script=bash    completion for bash, zsh or fish
"""

program = CodexctlProgram(
    name="codexctl", binary="codexctl", version=__version__, namespace=namespace
)


def main() -> None:
    """Run ``sys.argv``."""
    program.run()


def _with_named_object(words: list[str]) -> list[str]:
    """
    Name what may be typed without its flag; Invoke has no optional positional.

    `explain deployment/web` is `explain --object deployment/web`, `hooks run sleep` is `hooks --run
    sleep`, `hooks sleep` is `hooks --show sleep`. `ci deploy` is the task
    `deploy` of the group `ci`.
    """
    task, first, *rest = [*words[:2], "", ""][:2] + words[2:]
    if task == "ci" and first and first[0] != "-":
        return [f"ci.{first}", *rest]
    if task == "explain" and "/" in first and first[0] != "-":
        return [task, "--object", first, *rest]
    if task == "hooks" and first == "run" and rest:
        return [task, "--run", *rest]
    if task == "hooks" and first and first[0] != "-":
        return [task, "--show", first, *rest]
    return words


def _refuse(error: Exception | str) -> None:
    message = str(error).rstrip(".!")
    print(f"error: {message}: see codexctl --list and codexctl TASK --help", file=sys.stderr)  # noqa: T201
    sys.exit(UsageError.exit_code)
