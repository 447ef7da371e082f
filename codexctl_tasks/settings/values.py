"""Values of flags, read or refused."""

from __future__ import annotations

import re

from codexctl_tasks.durations import duration_s
from codexctl_tasks.errors import UsageError
from codexctl_tasks.references import check_repository
from codexctl_tasks.settings.environment import this_repository, value

MOST_DIGITS = 9
"""Of a number, as records of slots have them."""
LONGEST_S = 500 * 366 * 86400.0
"""With more one cannot calculate dates."""


def choice(flag: str, value: str, allowed: tuple[str, ...]) -> str:
    """Return one of the values that are allowed."""
    if value not in allowed:
        raise UsageError(f"--{flag}", f"{value!r} is unknown", f"use {' or '.join(allowed)}")
    return value


def count(flag: str, given: str, default: int = 0) -> int:
    """Return a whole number from 0."""
    text = value(flag, given, str(default))
    if not is_number(text):
        raise UsageError(f"--{flag}", f"{text!r} is no number", "give a whole number")
    return int(text)


def slot_number(given: str) -> int:
    """Return the number of a slot; 0: none."""
    text = value("slot", given, "0")
    if not is_number(text):
        raise UsageError("--slot", f"{text!r} is no slot", "give a whole number, 0 for none")
    return int(text)


def is_number(text: str) -> bool:
    """Tell whether a text is a whole number from 0 that something can have."""
    return text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS


def repository_of(given: str) -> str:
    """Return ``owner/name``: what was given, or whose workflow this is; empty: unknown."""
    try:
        return check_repository(this_repository(given))
    except ValueError as error:
        raise UsageError("--repo", str(error)) from None


def timeout_s(flag: str, given: str, default_s: float) -> float:
    """Return a duration above 0."""
    text = value(flag, given)
    if not text:
        return default_s
    total_s = duration_s(text)
    if total_s <= 0:
        raise UsageError(f"--{flag}", f"{text!r} is no duration", "write 90, 90s, 10m or 1h30m")
    if total_s > LONGEST_S:
        raise UsageError(f"--{flag}", f"{text[:20]!r} is longer than 500 years", "give less")
    return total_s


def age_s(flag: str, given: str, default_s: float) -> float:
    """Return a duration that may also be 0."""
    is_none = re.fullmatch(r"0+[hms]?", value(flag, given))
    return 0.0 if is_none else timeout_s(flag, given, default_s)


def platform_of(text: str) -> str:
    """Return a platform; empty: none was given."""
    if text and not re.fullmatch(r"[a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?", text):
        raise UsageError("--platform", f"{text!r} is no platform", "write linux/amd64")
    return text


def names(flag: str, given: str) -> frozenset[str]:
    """Return the names in a list with commas, in lower case."""
    names = (name.strip().lower() for name in value(flag, given).split(","))
    return frozenset(name for name in names if name)


def parts(flag: str, given: str, default: str = "") -> tuple[str, ...]:
    """Return the parts of a list with commas, each once, as they are written."""
    parts = (part.strip() for part in value(flag, given, default).split(","))
    return tuple(dict.fromkeys(filter(None, parts)))


def variables_in(text: str) -> dict[str, str]:
    """Parse ``A=1,B=2``: parts are trimmed, empty parts skipped, an empty value is allowed."""
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            # The part itself is not repeated: it may be a piece of a secret with a comma in it.
            raise UsageError("--vars", "a part has no NAME=VALUE", "write --vars A=1,B=2")
        found[name.strip()] = value.strip()
    return found


def output_of(given: str) -> str:
    """Return how the report is printed: ``text`` or ``json``."""
    return choice("output", value("output", given, "text"), ("text", "json"))
