"""Variables for templates, merged from where they come from; each remembers its origin."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from codexctl_tasks.errors import CodexctlError, CombinedError, ConfigurationError, Location
from codexctl_tasks.stack.dotenv import read_dotenv, read_var_file
from codexctl_tasks.stack.files import display, read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

PROCESS = "process environment"
FLAG = "--vars"


@dataclass(frozen=True, slots=True)
class Variable:
    """A value and where it was given."""

    value: str = field(repr=False)
    origin: str
    """A file with its line, `PROCESS` or `FLAG`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Variables:
    """All variables, by name; of several values for one name the later source won."""

    env_map: Mapping[str, Variable]
    """Process environment, env files in order, ``--var-file``, ``--vars``."""
    vars: Mapping[str, Variable]
    """``--var-file`` and ``--vars``."""
    user_vars: Mapping[str, Variable]
    """``--vars`` alone."""


def read_variables(
    *,
    environ: Mapping[str, str],
    env_files: Iterable[tuple[Path, Location]],
    var_file: Path | None,
    given: Mapping[str, str],
) -> Variables:
    """
    Read and merge variables.

    Args:
        environ: The process environment.
        env_files: Dotenv files, each with the place that names it.
        var_file: From ``--var-file``.
        given: From ``--vars``.

    Raises:
        CombinedError: Files that are missing or cannot be understood, all of them at once.
    """
    problems: list[CodexctlError] = []
    from_env_files: dict[str, Variable] = {}
    for path, named_at in env_files:
        try:
            from_env_files.update(_env_file(path, named_at))
        except CodexctlError as error:
            problems.extend(error.problems)
    from_var_file: dict[str, Variable] = {}
    if var_file is not None:
        try:
            from_var_file.update(_var_file(var_file))
        except CodexctlError as error:
            problems.extend(error.problems)
    if problems:
        raise CombinedError(problems)
    user_vars = {name: Variable(value, FLAG) for name, value in given.items()}
    vars_ = {**from_var_file, **user_vars}
    process = {name: Variable(value, PROCESS) for name, value in environ.items()}
    return Variables(
        env_map={**process, **from_env_files, **vars_}, vars=vars_, user_vars=user_vars
    )


def _env_file(path: Path, named_at: Location) -> Iterator[tuple[str, Variable]]:
    name = display(path)
    if not path.is_file():
        what, fix = "does not exist", "paths are relative to services.yaml"
        if path.exists():
            what, fix = "is no file", "name a file"
        elif "{{" in name:
            fix = "env files are read before templates are rendered"
        raise ConfigurationError(named_at, f"env file {name} {what}", fix)
    for entry in read_dotenv(read_text(path, name), name):
        yield entry.name, Variable(entry.value, str(Location(name, entry.line)))


def _var_file(path: Path) -> Iterator[tuple[str, Variable]]:
    name = display(path)
    for entry in read_var_file(read_text(path, name, "give an existing file with --var-file")):
        yield entry.name, Variable(entry.value, str(Location(name, entry.line)))
