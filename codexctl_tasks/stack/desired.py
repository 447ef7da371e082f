"""The desired objects of one environment, from ``services.yaml`` or from plain YAML."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from codexctl_tasks.errors import CodexctlError, CombinedError, ConfigurationError
from codexctl_tasks.requests.basis import DeployDefaults
from codexctl_tasks.stack.documents import read_documents
from codexctl_tasks.stack.files import display, read_text
from codexctl_tasks.stack.manifests import Manifest, read_manifests
from codexctl_tasks.stack.pins import pinned, read_pins

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from codexctl_tasks.requests.basis import Source
    from codexctl_tasks.stack.loading import LoadedStack


@dataclass(frozen=True, kw_only=True, slots=True)
class Desired:
    """What one environment should consist of."""

    origin: str
    """The ``services.yaml``, or the paths given with ``--manifests``."""
    namespace: str
    """Empty: the environment has none."""
    manifests: tuple[Manifest, ...]
    """In the order of the files; infrastructure first."""
    stack: str = ""
    """Under which name the objects are remembered; empty: they are not."""
    is_partial: bool = False
    """Filters have left something out: what is missing has not left the stack."""
    warnings: tuple[str, ...] = ()
    obstacles: tuple[ConfigurationError, ...] = ()
    """Why this can be rendered but not applied."""
    defaults: DeployDefaults = field(default_factory=DeployDefaults)
    """What ``services.yaml`` says about a deploy."""
    loaded: LoadedStack | None = field(default=None, repr=False, compare=False)
    """What the objects were rendered of; None: of plain YAML."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Values to mask besides those that `Source.secrets` knows."""


def load_desired(source: Source) -> Desired:
    """
    Read and render everything an environment consists of; touches nothing but files.

    Raises:
        ConfigurationError, CombinedError: What is wrong, with file and line.
    """
    if source.manifests:
        return _with_pins(_plain(source), source.pins)
    from codexctl_tasks.stack.loading import load_stack  # 0.3 s that plain manifests do not need
    from codexctl_tasks.stack.rendering import desired_of

    return _with_pins(desired_of(load_stack(source)), source.pins)


def _with_pins(desired: Desired, file: Path | None) -> Desired:
    """Return what is desired with its images by digest; None: as it is."""
    if file is None:
        return desired
    manifests, used = pinned(desired.manifests, read_pins(file))
    nothing = f"{display(file)}: no image of {desired.origin} is pinned in it"
    warnings = desired.warnings if used else (*desired.warnings, nothing)
    return replace(desired, manifests=tuple(manifests), warnings=warnings)


def _plain(source: Source) -> Desired:
    manifests: list[Manifest] = []
    problems: list[CodexctlError] = []
    for file in _yaml_files(source.manifests):
        name = display(file)
        try:
            documents = read_documents(read_text(file, name), name)
            manifests += read_manifests(documents, namespace=source.namespace, file=name)
        except CodexctlError as error:
            problems.extend(error.problems)
    if problems:
        raise CombinedError(problems)
    origin = ", ".join(display(path) for path in source.manifests)
    if not manifests:
        raise ConfigurationError(origin, "holds no manifests", "give files or folders with YAML")
    return Desired(origin=origin, namespace=source.namespace, manifests=tuple(manifests))


def _yaml_files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 - pathlib raises for a name that is too long
            found = (f for f in path.rglob("*") if f.suffix in (".yaml", ".yml", ".json"))
            yield from sorted(f for f in found if f.is_file())
        else:
            yield path
