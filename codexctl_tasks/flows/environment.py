"""Load what an environment consists of, mask its secrets, and tell what is doubtful about it."""

from __future__ import annotations

import base64
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from codexctl_tasks.errors import CombinedError
from codexctl_tasks.requests.basis import looks_secret
from codexctl_tasks.stack.desired import Desired, load_desired
from codexctl_tasks.stack.manifests import without_duplicates
from codexctl_tasks.stack.validation import unknown_key_problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from codexctl_tasks.console import Console
    from codexctl_tasks.requests.basis import Source
    from codexctl_tasks.stack.loading import LoadedStack
    from codexctl_tasks.stack.manifests import Manifest


def load_renderable(source: Source, console: Console) -> Desired:
    """Load an environment to look at it; what would keep it from being applied is a warning."""
    desired = _load(source, console)
    for obstacle in desired.obstacles:
        console.warn(str(obstacle))
    return desired


def load_applicable(source: Source, console: Console) -> Desired:
    """Load an environment to apply it: each object once."""
    desired = _load(source, console)
    if desired.obstacles:
        raise CombinedError(desired.obstacles)
    return replace(desired, manifests=without_duplicates(desired.manifests))


def load_settings(source: Source, console: Console) -> LoadedStack:
    """Load ``services.yaml`` without the files it names; keys that nobody knows are warnings."""
    from codexctl_tasks.stack.loading import load_stack  # 0.3 s that plain manifests do not need

    console.hide(source.secrets)
    loaded = load_stack(source)
    console.hide(loaded.secrets)
    warn_of_unknown_keys(loaded, console)
    return loaded


def warn_of_unknown_keys(loaded: LoadedStack, console: Console) -> None:
    """Tell of keys that do nothing: what was meant to protect may be among them."""
    for problem in unknown_key_problems(loaded.stack, loaded.document):
        console.warn(str(problem))


def _load(source: Source, console: Console) -> Desired:
    console.hide(source.secrets)
    desired = load_desired(source)
    console.hide(desired.secrets)
    console.hide(_secret_values(desired.manifests))
    for warning in desired.warnings:
        console.warn(warning)
    return desired


def _secret_values(manifests: Sequence[Manifest]) -> Iterator[str]:
    """
    Yield what Secrets hold.

    A user or a database that has the name of an object is not among it: masking it would blacken
    that name in every line, and protect nothing.
    """
    names = {part for m in manifests for part in (m.name.namespace, m.name.name)}
    for manifest in manifests:
        for key, value in _entries(manifest):
            if value not in names or looks_secret(key):
                yield value


def _entries(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Yield keys and values of a Secret, encoded ones also decoded; nothing of other kinds."""
    if manifest.name.kind != "Secret":
        return
    for part in ("stringData", "data"):
        values = manifest.body.get(part)
        for key, value in values.items() if isinstance(values, dict) else ():
            yield str(key), str(value)
            if part == "data":
                with suppress(ValueError):  # no base64, or no text: nobody prints it
                    yield str(key), base64.b64decode(str(value)).decode()
