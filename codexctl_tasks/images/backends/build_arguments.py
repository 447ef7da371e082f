"""
What a builder is told through its environment: its settings, and the build arguments (pure).

What stands in a command line can be read by everybody on the machine.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from codexctl_tasks.requests.basis import looks_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEEDED = re.compile(
    r"(?i:\w+_proxy)|PATH|HOME|USER|TMPDIR|TZ|LANG|LANGUAGE|TERM|NO_COLOR|SOURCE_DATE_EPOCH"
    r"|KUBECONFIG|REGISTRY_AUTH_FILE|SSH_AUTH_SOCK|STORAGE_(?:DRIVER|OPTS)|SSL_CERT_(?:FILE|DIR)"
    r"|GO(?:DEBUG|MAXPROCS|GC|MEMLIMIT|TRACEBACK)"
    r"|(?:LC|LD|XDG|DOCKER|BUILDX|BUILDKIT|BUILDAH|CONTAINERS?|_CONTAINERS|ROOTLESSKIT|OTEL)_\w+"
)
"""Variables that mean something to the builder itself."""


def hand_over(
    arguments: Mapping[str, str], environ: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """
    Return what follows each ``--build-arg``, and what the builder's environment needs for it.

    An argument that has the name of one of the builder's own settings must not become one:
    ``PATH``, a proxy. Only such a value stands in the command line.
    """
    words: list[str] = []
    values: dict[str, str] = {}
    for name, value in sorted(arguments.items()):
        if _is_setting(name) and environ.get(name) != value:
            words.append(f"{name}={value}")
        else:
            words.append(name)
            values[name] = value
    return words, values


def settings_among(variables: Mapping[str, str]) -> dict[str, str]:
    """Return what a builder needs of a stack's variables; the others may be secret."""
    return {name: value for name, value in variables.items() if _is_setting(name)}


def _is_setting(name: str) -> bool:
    """Tell whether a builder would take a variable for a setting; none of these is a secret."""
    return bool(_HEEDED.fullmatch(name)) and not looks_secret(name)
