"""What buildah is told of registries: which of them speak no TLS, and whose credentials hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from codexctl_tasks.references import Reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from codexctl_tasks.images.backend import BuildOrder
    from codexctl_tasks.images.backends.workshop import Workshop

_LOOPBACK = re.compile(r"(?<![\w.-])(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?(?=/)")
"""Registries of this machine, in a Dockerfile or an argument."""
_SEARCH = re.compile(r"^\s*unqualified-search-registries\s*=", re.MULTILINE)
_CONFIG = "CONTAINERS_REGISTRIES_CONF"
_AUTH = "REGISTRY_AUTH_FILE"


def write_settings(order: BuildOrder, workshop: Workshop, file: Path) -> Path:
    """
    Write a ``registries.conf``: that of this machine, and what this build needs beside it.

    ``--tls-verify=false`` would hold for all registries, also for those from which base images
    come; here only those that speak no TLS are named.
    """
    text = _machine_settings(workshop.environ)
    parts = [text]
    if not _SEARCH.search(text):  # a name without host is one of Docker's, as with every builder
        parts.insert(0, 'unqualified-search-registries = ["docker.io"]')
    hosts = dict.fromkeys(plain_http_hosts(order, workshop))
    parts += [
        f'[[registry]]\nlocation = "{host}"\ninsecure = true'
        for host in hosts
        if f'"{host}"' not in text
    ]
    file.write_text("\n".join(parts) + "\n")
    return file


def plain_http_hosts(order: BuildOrder, workshop: Workshop) -> Iterator[str]:
    """Yield registries that need no TLS, as far as this build shows them; some more than once."""
    images = (order.target, order.cache, *order.contexts.values())
    for image in images:
        if isinstance(image, Reference) and workshop.speaks_plain_http(image):
            yield image.host
    yield from sorted(workshop.plain_http)
    for text in (_read(order.dockerfile), *order.arguments.values()):
        yield from _LOOPBACK.findall(text)


def auth_file(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variable that leads to credentials in a ``DOCKER_CONFIG``; it knows the others."""
    if environ.get(_AUTH) or not environ.get("DOCKER_CONFIG"):
        return {}
    return {_AUTH: str(Path(environ["DOCKER_CONFIG"], "config.json").absolute())}


def _machine_settings(environ: Mapping[str, str]) -> str:
    home = environ.get("HOME", "")
    own = Path(home, ".config/containers/registries.conf") if home else None
    named = environ.get(_CONFIG)
    places = [Path(named)] if named else [own, Path("/etc/containers/registries.conf")]
    return next((text for place in places if place and (text := _read(place))), "")


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError:
        return ""
