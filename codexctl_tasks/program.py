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
        except ParseError as error:
            _refuse(error)

    def parse_tasks(self) -> None:
        """Parse task names and their flags."""
        try:
            super().parse_tasks()
        except ParseError as error:
            _refuse(error)


program = CodexctlProgram(
    name="codexctl", binary="codexctl", version=__version__, namespace=namespace
)


def main() -> None:
    """Run ``sys.argv``."""
    program.run()


def _refuse(error: ParseError) -> None:
    message = str(error).rstrip(".!")
    print(f"error: {message}: see codexctl --list and codexctl TASK --help", file=sys.stderr)  # noqa: T201
    sys.exit(UsageError.exit_code)
