"""
Braces in values from outside, which must never open a template.

What ``services.yaml`` renders to is, in part, rendered once more. A branch may be called
``{{ EnvMap.TOKEN }}``, though, and functions may cut and join such values before they get there: so
their braces are replaced by a character for private use, and put back where nothing is rendered any
more.
"""

from __future__ import annotations

import re
from typing import Any

_SEAL = "\ue010"
_OPENING = re.compile(r"\{[{%#]|\{\Z")
"""What opens a template, or would with a brace behind it."""


def is_dangerous(text: str) -> bool:
    """Tell whether a value from outside could open a template."""
    return _OPENING.search(text) is not None


def sealed(text: str) -> str:
    """Return a value from outside as a text that opens no template."""
    return text.replace("{", _SEAL) if is_dangerous(text) else text


def is_sealed(text: str) -> bool:
    """Tell whether a text holds a part of a sealed value."""
    return _SEAL in text


def unsealed(value: Any) -> Any:
    """Return a text, or all texts in lists and mappings, with the braces that they had."""
    if isinstance(value, str):
        return value.replace(_SEAL, "{")
    if isinstance(value, dict):
        return {unsealed(key): unsealed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [unsealed(inner) for inner in value]
    return value
