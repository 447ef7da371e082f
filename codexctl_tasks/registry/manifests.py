"""Manifests as they come from a registry: asked for, verified, kept byte by byte."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from codexctl_tasks.registry.challenges import Scope
from codexctl_tasks.registry.connections import read
from codexctl_tasks.registry.downloads import new_hash
from codexctl_tasks.registry.failures import TransientRegistryError
from codexctl_tasks.registry.interface import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    Manifest,
    RegistryError,
)
from codexctl_tasks.registry.session import Ask

if TYPE_CHECKING:
    from codexctl_tasks.references import Reference

_KNOWN = (*INDEX_TYPES, *MANIFEST_TYPES)
_LARGEST = 4 * 2**20
"""In bytes; registries refuse larger ones."""


def ask_manifest(method: str, reference: Reference, *, writes: bool = False) -> Ask:
    """Return the request for a manifest; *writes*: it will be replaced."""
    name = reference.digest or reference.tag or "latest"
    path = f"/v2/{reference.repository}/manifests/{name}"
    scopes = frozenset({Scope(reference.repository, writes=writes)})
    return Ask(method, path, scopes, {"Accept": ", ".join(_KNOWN)}, fine=(200, 404))


def media_type(answer: Any) -> str:
    """Return what an answer says that it is."""
    return str(answer.headers.get("Content-Type") or "").partition(";")[0].strip()


def read_manifest(reference: Reference, answer: Any) -> Manifest:
    """
    Return the manifest in an answer.

    Raises:
        RegistryError: It is none, or not the one that was asked for, which may pass.
    """
    raw, kind = read(str(reference), answer, _LARGEST + 1), media_type(answer)
    if len(raw) > _LARGEST:
        raise RegistryError(str(reference), "is larger than any manifest may be", "push it anew")
    promised = reference.digest or str(answer.headers.get("Docker-Content-Digest") or "")
    if promised:
        digest = new_hash(str(reference), promised)
        digest.update(raw)
        if digest.hexdigest() != promised.partition(":")[2]:
            what = "the registry sent another manifest than the digest promises"
            raise TransientRegistryError(str(reference), what, "push it anew")
    try:
        content = json.loads(raw)
        said = str(content.get("mediaType") or "")
    except (ValueError, AttributeError):
        what = "the registry sent something that is no manifest"
        raise RegistryError(str(reference), what, "push it anew") from None
    kind = kind if kind in _KNOWN else said
    if kind not in _KNOWN:
        what = f"is of a kind that codexctl does not know: {kind or 'none is given'}"
        raise RegistryError(str(reference), what, "push it anew with a newer program")
    return Manifest(raw, kind)
