"""What a slot consists of, as one hash: objects, images, hooks with their values, sources."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

from codexctl_tasks.hooks.builtin.codex_secrets import DEFAULTS
from codexctl_tasks.slots.sync.checkout import read_sources
from codexctl_tasks.slots.sync.history import Nature, nature_of
from codexctl_tasks.slots.sync.manifest import Kind
from codexctl_tasks.stack.steps import steps_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from codexctl_tasks.stack.desired import Desired
    from codexctl_tasks.stack.loading import LoadedStack
    from codexctl_tasks.stack.steps import Step

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRETS_HOOK = "codex.ensure-codex-secrets"


def fingerprint(desired: Desired, folder: Path | None, environ: Mapping[str, str]) -> str:
    """
    Return a hash that changes when a deploy would change something.

    Args:
        desired: With the digests of images, where they are known.
        folder: Of the sources in the workspace; None: there are none.
        environ: The process environment, for git.
    """
    content = {
        "objects": [manifest.body for manifest in desired.manifests],
        "hooks": list(_hooks(desired.loaded)) if desired.loaded else [],
        "sources": _sources(folder, environ) if folder else "",
    }
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _hooks(loaded: LoadedStack) -> Iterator[object]:
    """Yield all steps, and the values of the variables that they name."""
    known, named = loaded.context.variables.env_map, set[str]()
    for step in steps_of(loaded):
        given = json.dumps(step.given, sort_keys=True, default=str)
        yield step.point, step.item, step.name, step.script, step.use, given
        named.update(_WORD.findall(step.script), _WORD.findall(given), _usual_names(step))
    yield {name: known[name].value for name in sorted(named) if name in known}


def _usual_names(step: Step) -> Iterable[str]:
    """Return the variables that a step uses without naming them."""
    if step.use != _SECRETS_HOOK:
        return ()
    return (name for keys in DEFAULTS.values() for names in keys.values() for name in names)


def _sources(folder: Path, environ: Mapping[str, str]) -> str:
    """Return a hash of the files of a folder; how git keeps them differs between checkouts."""
    sources = read_sources(bytes(folder), environ)
    paths = sorted(path for path in sources.entries if nature_of(path) is Nature.SOURCE)
    sources.hash([path for path in paths if sources.entries[path].kind is Kind.FILE])
    digest = hashlib.sha256()
    for path in paths:
        entry = sources.entries[path]
        digest.update(
            b"%s\0%s %o %s\0" % (path, entry.kind.value.encode(), entry.mode, entry.digest.encode())
        )
    return digest.hexdigest()
