"""
Which hooks there are: our own, and those of installed packages.

A hook is imported when it is asked for: a deploy that uses none pays for none, and a package that
cannot be imported disturbs only those who use it.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import did_you_mean
from codexctl_tasks.hooks.contract import Hook, Parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from importlib.metadata import EntryPoint
    from types import ModuleType

GROUP = "codexctl.hooks"
"""Entry-point group of packages that bring hooks; an entry's name is the hook's."""
BUILT_IN: Mapping[str, str] = {
    "codex.ensure-data-dirs": "data_dirs:ensure_data_dirs",
    "codex.ensure-codex-secrets": "codex_secrets:ensure_codex_secrets",
    "codex.check-dev-host-ports": "host_ports:check_dev_host_ports",
    "codex.reuse-dev-tls-secret": "tls_secret:reuse_dev_tls_secret",
    "kubectl.wait": "object_wait:wait_for_object",
    "github.comment": "github_comment:comment_on_github",
    "sleep": "pause:sleep",
    "preflight": "preflight:preflight",
}
"""Module in `hooks.builtin` and attribute of each."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A hook of a package that cannot be used."""

    name: str
    reason: str
    """Which package, and what is wrong with it."""


class Registry:
    """Finds hooks by name."""

    def __init__(
        self, find_entries: Callable[[], Iterable[EntryPoint]] = lambda: entry_points(group=GROUP)
    ) -> None:
        """Read the entry points of installed packages with *find_entries*, when it is needed."""
        self._find_entries = find_entries
        self._known: dict[str, Hook[Any] | Broken] = {}

    @property
    def names(self) -> list[str]:
        """All names: our own first, in the order of the documentation."""
        return [*BUILT_IN, *sorted(set(self._entries) - set(BUILT_IN))]

    @property
    def warnings(self) -> list[str]:
        """What is odd about the installed packages."""
        return [
            f"{_origin(entries[0])} brings a hook {name!r}, which is codexctl's own: ignored"
            for name, entries in self._entries.items()
            if name in BUILT_IN
        ]

    def find(self, name: str) -> Hook[Any] | Broken | None:
        """Return the hook of that name; None: there is none."""
        if name not in self._known and (found := self._load(name)) is not None:
            self._known[name] = found
        return self._known.get(name)

    def suggest(self, name: str) -> str:
        """Return what to do about a name that is unknown."""
        return did_you_mean(name, self.names, f"known are {', '.join(self.names)}")

    @cached_property
    def _entries(self) -> Mapping[str, Sequence[EntryPoint]]:
        found: dict[str, list[EntryPoint]] = {}
        for entry in self._find_entries():
            found.setdefault(entry.name, []).append(entry)
        return found

    def _load(self, name: str) -> Hook[Any] | Broken | None:
        if name in BUILT_IN:
            module, _, attribute = BUILT_IN[name].partition(":")
            own: Hook[Any] = getattr(_import_own(module), attribute)
            return own
        entries = self._entries.get(name, ())
        if len(entries) > 1:
            origins = " and ".join(sorted(map(_origin, entries)))
            return Broken(name, f"{origins} both bring it: uninstall one")
        return _load_entry(entries[0]) if entries else None


def _import_own(module: str) -> ModuleType:
    return importlib.import_module(f"{__package__}.builtin.{module}")


def _load_entry(entry: EntryPoint) -> Hook[Any] | Broken:
    try:
        with redirect_stdout(sys.stderr):  # where the list is printed as JSON
            found = entry.load()
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - anybody's code
        return Broken(entry.name, f"{_origin(entry)} cannot be imported: {_words(error)}")
    if what := _oddity(found, entry):
        return Broken(entry.name, f"{_origin(entry)}: {what}")
    hook: Hook[Any] = found
    return hook


def _oddity(found: Any, entry: EntryPoint) -> str:
    """Say why what an entry point leads to cannot be used; empty: it can."""
    if not isinstance(found, Hook):
        return f"{entry.value} is no hook: see @hook"
    if found.name != entry.name:
        return f"{entry.value} calls itself {found.name!r}: give both the same name"
    model: Any = found.parameters
    if not (isinstance(model, type) and issubclass(model, Parameters)):
        return f"the parameters of {entry.value} are no model: derive it from Parameters"
    try:
        model.model_json_schema()
    except Exception as error:  # noqa: BLE001 - whatever its types do
        return f"{model.__name__} cannot be described: {_words(error)}"
    return ""


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _origin(entry: EntryPoint) -> str:
    return f"package {entry.dist.name} {entry.dist.version}" if entry.dist else "a package"
