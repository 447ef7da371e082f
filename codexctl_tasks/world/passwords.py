"""
Secrets inside of documents that are secrets as a whole: a kubeconfig, Docker's ``config.json``.

GitHub masks a secret line by line. A token that stands in one of the lines is not masked where it
shows up by itself, in what ``curl -v`` or ``kubectl config view`` prints.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any

import yaml

from codexctl_tasks.requests.basis import looks_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECRET_KEY = re.compile(r"(auth|password|secret|token|key-data)$", re.IGNORECASE)
"""In a kubeconfig also those of auth providers, such as ``refresh-token``."""


def passwords_in(document: str) -> Iterator[str]:
    """Yield passwords, tokens and keys of a YAML or JSON document; none if it cannot be read."""
    try:
        content = yaml.safe_load(document)
    except yaml.YAMLError:  # whoever uses it says so
        return
    yield from _passwords(content)


def _passwords(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for each in node:
            yield from _passwords(each)
    elif isinstance(node, dict):
        for key, value in node.items():
            if isinstance(value, dict | list):
                yield from _passwords(value)
            elif value is not None and not isinstance(value, bool) and _is_secret(key, node):
                yield from _forms(str(value))


def _is_secret(key: Any, node: dict[Any, Any]) -> bool:
    """Tell by names alone; variables of a program for credentials are ``name`` and ``value``."""
    return bool(_SECRET_KEY.search(str(key))) or (
        key == "value" and looks_secret(str(node.get("name")))
    )


def _forms(text: str) -> Iterator[str]:
    """Yield a secret, and what it is in base64: logins are kept as ``user:password``."""
    yield text
    try:
        plain = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return
    yield from filter(None, (plain, plain.partition(":")[2]))
