"""
Pins: which content a tag stood for when its images were made.

`images --pin FILE` writes them, a deploy with ``--pins FILE`` runs exactly that content: whoever
moves a tag in between changes nothing.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import ConfigurationError, Location
from codexctl_tasks.references import Reference, parse_reference
from codexctl_tasks.stack.files import display, read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from codexctl_tasks.stack.manifests import Manifest

VERSION = 1
"""Of the file."""
_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_FIX = "let images --pin write it anew"


def pins_text(pins: Mapping[Reference, str]) -> str:
    """Return the file of pins: the digest of each reference with its tag."""
    images = {str(reference): digest for reference, digest in pins.items()}
    return json.dumps({"version": VERSION, "images": images}, indent=2) + "\n"


def read_pins(file: Path) -> dict[Reference, str]:
    """
    Read a file of pins.

    Raises:
        ConfigurationError: It is missing, or is no such file.
    """
    name = display(file)
    try:
        found = json.loads(read_text(file, name, "run images --pin first"))
    except ValueError as error:
        place = Location(name, getattr(error, "lineno", None))
        raise ConfigurationError(place, "is no JSON", _FIX) from None
    images = found.get("images") if isinstance(found, dict) else None
    if not isinstance(images, dict) or found.get("version") != VERSION:
        raise ConfigurationError(name, f"holds no pins of version {VERSION}", _FIX)
    pins = {}
    for text, digest in images.items():
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise ConfigurationError(name, f"{text} has no digest", _FIX)
        try:
            pins[parse_reference(text)] = digest
        except ValueError:
            raise ConfigurationError(name, f"{text!r} is no reference of an image", _FIX) from None
    return pins


def pinned(
    manifests: Iterable[Manifest], pins: Mapping[Reference, str]
) -> tuple[list[Manifest], set[Reference]]:
    """Return the manifests with the pinned images by digest, and which pins were of use."""
    used: set[Reference] = set()
    found = [replace(m, body=_pinned(m.body, pins, used)) for m in manifests]
    return found, used


def _pinned(value: Any, pins: Mapping[Reference, str], used: set[Reference]) -> Any:
    """Return a value whose containers have pinned images, wherever in it they are."""
    if isinstance(value, list):
        return [_pinned(each, pins, used) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: [_container(each, pins, used) for each in inner]
        if key in _CONTAINERS and isinstance(inner, list)
        else _pinned(inner, pins, used)
        for key, inner in value.items()
    }


def _container(value: Any, pins: Mapping[Reference, str], used: set[Reference]) -> Any:
    image = value.get("image") if isinstance(value, dict) else None
    if not isinstance(image, str):
        return value
    try:
        reference = parse_reference(image)
    except ValueError:  # the kubelet will say so
        return value
    if reference.digest:
        return value
    reference = reference if reference.tag else reference.with_tag("latest")
    if reference not in pins:
        return value
    used.add(reference)
    return {**value, "image": f"{reference.name}@{pins[reference]}"}
