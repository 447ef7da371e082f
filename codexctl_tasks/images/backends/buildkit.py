"""What all clients of BuildKit are told in the same words (pure), and what they answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from codexctl_tasks.images.backend import CREATED, BuildError
from codexctl_tasks.images.catalogue import IMAGE_SCHEME
from codexctl_tasks.references import Reference

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from codexctl_tasks.images.backend import BuildOrder
    from codexctl_tasks.images.backends.workshop import Workshop

EPOCH = {"SOURCE_DATE_EPOCH": "0"}
"""The time of everything in an image; clients of BuildKit hand it to the build themselves."""
_INSECURE = "registry.insecure=true"


def output_of(order: BuildOrder, workshop: Workshop, *, rewrites_times: bool = True) -> str:
    """Return where the image goes; *rewrites_times*: files in it get the time of the epoch."""
    parts = ["type=image", f"name={order.target}", "push=true", "oci-mediatypes=true"]
    if rewrites_times:
        parts.append("rewrite-timestamp=true")
    if order.created:
        parts.append(f"annotation.{CREATED}={order.created}")
    if workshop.speaks_plain_http(order.target):
        parts.append(_INSECURE)
    return ",".join(parts)


def cache_of(order: BuildOrder, workshop: Workshop, *, written: bool) -> Iterator[str]:
    """Yield where layers come from, or, if they are *written*, go to; nothing: nowhere."""
    if order.cache is None or (written and not order.push):
        return
    parts = ["type=registry", f"ref={order.cache}"]
    if written:
        # Layers of all stages, and as an image that every registry takes.
        parts += ["mode=max", "image-manifest=true", "oci-mediatypes=true", "ignore-error=true"]
    if workshop.speaks_plain_http(order.cache):
        parts.append(_INSECURE)
    yield ",".join(parts)


def named_contexts(order: BuildOrder) -> Iterator[tuple[str, str]]:
    """Yield names and values of named contexts; folders are written as such."""
    for name, value in order.contexts.items():
        yield name, f"{IMAGE_SCHEME}{value}" if isinstance(value, Reference) else str(value)


def digest_in(file: Path, order: BuildOrder) -> str:
    """
    Return the digest that a client has left in its file.

    Raises:
        BuildError: It is not there.
    """
    try:
        digest = json.loads(file.read_text())["containerimage.digest"]
    except (OSError, ValueError, KeyError, TypeError):
        digest = None
    if not isinstance(digest, str):
        what = "the builder does not say under which digest it has pushed"
        raise BuildError(order.name, what, "use a newer one")
    return digest
