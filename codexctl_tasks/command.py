"""
``@command``: an Invoke task with declared flags, exit codes and one-line failures.

Invoke on its own (3.0) reads flags from the signature: required ones become positional and
swallow ``--help``, ``int | None`` arrives as a string, help texts vanish on a second parse. It
prints a traceback for expected errors, leaves SIGTERM to kill the process silently and turns off
bytecode caching.
"""

from __future__ import annotations

import functools
import signal
import sys
import traceback
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext
from invoke.tasks import Task

from codexctl_tasks import settings
from codexctl_tasks.console import Console, standard_console
from codexctl_tasks.errors import INTERNAL_ERROR, CodexctlError, Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HELP = ("--help", "-h")


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag of a task."""

    name: str
    """As it is typed, without the dashes."""
    help: str
    kind: type = str
    """``str`` (absent: empty), ``bool``, or ``list`` (repeatable). Numbers are read by settings."""
    positional: bool = False
    """Given without its name, and required."""

    def argument(self) -> Argument:
        """Return the flag as Invoke's parser takes it."""
        defaults: dict[type, Any] = {str: "", bool: False, list: []}
        return Argument(
            name=self.name,
            kind=self.kind,
            default=None if self.positional else defaults[self.kind],
            positional=self.positional,
            help=self.help,
            # An attribute name equal to the flag's would be an alias of itself, without end.
            attr_name=self.name.replace("-", "_") if "-" in self.name else None,
        )


class Command(Task[Any]):
    """A task whose result is an exit code and whose expected failures are one line each."""

    def __init__(self, body: Callable[..., int], flags: tuple[Flag, ...]) -> None:
        super().__init__(body, positional=(), auto_shortflags=False)
        self._flags = flags

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Run the body; raise `Exit` unless it ends with exit code 0."""
        sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)  # Invoke forces True
        if any(kwargs.get(flag.name) in _HELP for flag in self._flags if flag.positional):
            self._print_help()
            return
        try:
            with _signals_as_exceptions():
                code = super().__call__(*args, **kwargs)
        except CodexctlError as error:
            console().error(error)
            code = error.exit_code
        except Interrupted as interrupted:
            console().stop_live()
            print("interrupted", file=sys.stderr)  # noqa: T201 - the console may be the culprit
            code = interrupted.exit_code
        except BrokenPipeError:  # the reader of a pipe has seen enough: render | head
            sys.stdout = None
            code = 128 + signal.SIGPIPE
        except Exception as error:  # noqa: BLE001 - the last resort of the program
            code = _report_defect(error)
        if code:
            raise Exit(code=int(code))

    def _print_help(self) -> None:
        """Explain the task; Invoke itself takes ``--help`` for the value of a positional flag."""
        positional = " ".join(flag.name.upper() for flag in self._flags if flag.positional)
        name = self.name.replace("_", "-")
        lines = [f"Usage: {name} [--flags] {positional}", "", str(self.__doc__), ""]
        arguments = [flag.argument() for flag in self._flags if not flag.positional]
        context = ParserContext(name=name, args=arguments)
        lines += [f"  {flag:<30} {text}" for flag, text in context.help_tuples()]
        print("\n".join(lines))  # noqa: T201 - help is a result

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:  # noqa: ARG002
        """Describe the flags to Invoke's parser."""
        return [flag.argument() for flag in self._flags]


def command(*flags: Flag) -> Callable[[Callable[..., int]], Command]:
    """Make a task of a function; it gets every flag as a keyword and returns an exit code."""
    return lambda body: Command(body, flags)


@functools.cache
def console() -> Console:
    """Return the console of this process."""
    return standard_console(
        colour=settings.colour_wanted(),
        github=settings.in_github_actions(),
        workspace=settings.github_workspace(),
    )


@contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """
    Turn the first SIGINT or SIGTERM into `Interrupted`, so that the report is still printed.

    The same one again ends the process at once: the report may be what hangs. But a CI runner asks
    with SIGINT, orders with SIGTERM seconds later and kills after that: a SIGTERM that follows ends
    only what the run is at by then, such as a step that must run always, and the report comes.
    """

    def interrupt(number: int, _: object) -> None:
        for each in {number, signal.SIGINT}:
            signal.signal(each, signal.SIG_DFL)
        raise Interrupted(number)

    before = {
        number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _report_defect(error: Exception) -> int:
    name = type(error).__name__
    fix = "this is a defect of codexctl, please report it; CODEXCTL_DEBUG=1 shows where it happened"
    try:
        console().error(CodexctlError("codexctl", f"internal error: {name}: {error}", fix))
        for piece in traceback.format_exception(error) if settings.debugging() else ():
            console().lines(("", line) for line in piece.splitlines())
    except Exception:  # noqa: BLE001 - the console is the culprit, and nothing else masks secrets
        print(f"codexctl: internal error: {name}: {fix}", file=sys.stderr)  # noqa: T201
    return INTERNAL_ERROR
