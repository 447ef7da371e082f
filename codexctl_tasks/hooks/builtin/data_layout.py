"""Where the data directories of an environment are: names, checked before anything is touched."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from codexctl_tasks.errors import CodexctlError, CombinedError, ConfigurationError
from codexctl_tasks.hooks.contract import HookError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from codexctl_tasks.hooks.contract import HookContext

LONGEST_NAME = 255
"""Bytes, in every file system that holds data directories."""

Given = TypeVar("Given")
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Layout:
    """The data directories of one environment."""

    start: Path
    """The folder that the data root is in; absolute, without links."""
    ways: tuple[tuple[str, ...], ...]
    """For each directory the names that lead to it, the root's first; outer directories first."""


def find_layout(context: HookContext, root: str, env_dir: str, dirs: Sequence[str]) -> Layout:
    """
    Return where the directories are, by the parameters, the stack and the variables.

    Raises:
        ConfigurationError: Nothing names them, or what does leads out of the data root.
        CombinedError: The same for several of them.
        HookError: The data root is a link to nowhere.
    """
    stack = context.stack.data_paths
    written = root or stack.root or context.variables.get("DATA_ROOT", "")
    resolved = _resolve_root(written, context)
    below = _Below(context.hook, (PurePosixPath(written), PurePosixPath(resolved)))
    source, named = ("dirs", dirs) if dirs else ("dataPaths.dirs", stack.dirs)
    whole = () if dirs else stack.paths
    if not named and not whole:
        what = "no directory is named: neither dirs nor dataPaths.dirs is set"
        raise ConfigurationError(context.hook, what, "name the directories")
    folder = below.inside(*_env_dir(env_dir, context)) if named else ()
    ways = collect(lambda text: (*folder, *below.relative(source, text)), named)
    ways += collect(lambda text: below.named("dataPaths.paths", text), whole)
    return Layout(resolved.parent, tuple(sorted({(resolved.name, *names) for names in ways})))


def collect(read: Callable[[Given], Found], given: Iterable[Given]) -> list[Found]:
    """
    Return what *read* makes of each.

    Raises:
        CodexctlError: What it raises; of several all problems at once, each of them once.
    """
    found: list[Found] = []
    problems: dict[str, CodexctlError] = {}
    for each in given:
        try:
            found.append(read(each))
        except CodexctlError as error:
            problems |= {str(problem): problem for problem in error.problems}
    if problems:
        first, *others = problems.values()
        raise CombinedError([first, *others]) if others else first
    return found


def _resolve_root(written: str, context: HookContext) -> Path:
    """Follow the links of the root, once and for all."""
    if not written:
        what = "there is no data root: root, dataPaths.root and DATA_ROOT are not set"
        raise ConfigurationError(context.hook, what, "set one of them")
    if "\0" in written:
        raise ConfigurationError(context.hook, "the data root contains a NUL", "leave it out")
    path = context.folder / written
    resolved = Path(os.path.realpath(path))
    if not resolved.name:
        what = f"the data root {written} is the root of the whole machine"
        raise ConfigurationError(context.hook, what, "name a folder below it")
    if path.is_symlink() and not path.exists():
        what = f"is a link to {resolved}, which does not exist"
        raise HookError(str(path), what, "mend the link, or mount the disk that it leads to")
    return resolved


def _env_dir(env_dir: str, context: HookContext) -> tuple[str, str]:
    """Return what names the folder of the environment, and the folder."""
    if env_dir:
        return "envDir", env_dir
    if found := context.stack.data_paths.env_dir:
        return "dataPaths.envDir", found
    if context.slot:
        return "the slot", f"slots/{context.slot}"
    if not context.env:
        what = "the folder of the environment is unknown: there is neither envDir nor --env"
        raise ConfigurationError(context.hook, what, "give one of them")
    return "the environment", context.env


@dataclass(frozen=True, slots=True)
class _Below:
    """Reads paths as the names that lead from the data root to them."""

    hook: str
    roots: tuple[PurePosixPath, ...]
    """The data root as it is written, and where it leads."""

    def inside(self, source: str, text: str) -> tuple[str, ...]:
        """Read a path below the root, or an absolute one that lies in it; it may be the root."""
        path = PurePosixPath(text)
        if not path.is_absolute():
            return self._names(source, text, path)
        for root in self.roots:
            if path.is_relative_to(root):
                return self._names(source, text, path.relative_to(root))
        what = f"is not inside of the data root {self.roots[0]}"
        raise self._mistake(source, text, what, "name a path below it")

    def named(self, source: str, text: str) -> tuple[str, ...]:
        """Read what `inside` reads, but not the root itself."""
        if names := self.inside(source, text):
            return names
        raise self._mistake(source, text, "names no directory below the data root", "name one")

    def relative(self, source: str, text: str) -> tuple[str, ...]:
        """Read a path below the folder of the environment."""
        path = PurePosixPath(text)
        if path.is_absolute():
            fix = "name a directory in the folder of the environment"
            raise self._mistake(source, text, "is an absolute path", fix)
        if names := self._names(source, text, path):
            return names
        raise self._mistake(source, text, "names no directory", "give it a name")

    def _names(self, source: str, text: str, path: PurePosixPath) -> tuple[str, ...]:
        for name in path.parts:
            if name == "..":
                raise self._mistake(source, text, "leads upwards", "name a directory below it")
            if "\0" in name:
                raise self._mistake(source, text, "contains a NUL", "leave it out")
            if len(os.fsencode(name)) > LONGEST_NAME:
                what = f"has a name of more than {LONGEST_NAME} bytes"
                raise self._mistake(source, text, what, "shorten it")
        return path.parts

    def _mistake(self, source: str, text: str, what: str, fix: str) -> ConfigurationError:
        return ConfigurationError(self.hook, f"{source}: {text!r} {what}", fix)
