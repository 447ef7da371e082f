"""
The secret with further variables that a workflow is given: a JSON object, or lines KEY=VALUE.

Whoever calls the workflow puts it together of other secrets, whose quotes, backslashes and line
breaks nobody has looked at. JSON takes all of them. The lines follow the rules of env files and are
refused where a value may have ended too early. Nothing of a value is ever repeated.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import CombinedError, ConfigurationError
from codexctl_tasks.stack.dotenv import read_dotenv

if TYPE_CHECKING:
    from collections.abc import Iterator

WHERE = "secret CODEXCTL_ENV_FILE"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_KEY = re.compile(rf'"({_NAME.pattern})"\s*:')
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")


def read_secret_variables(text: str) -> dict[str, str]:
    """
    Return the variables of the secret; of an empty text: none.

    Raises:
        ConfigurationError: It cannot be read.
        CombinedError: Variables without a value, twice, or with one that is no text: all of them.
    """
    text = text.removeprefix("\ufeff").strip()
    pairs = _json_pairs(text) if text.startswith("{") else list(_dotenv_pairs(text))
    if problems := list(_problems(pairs)):
        raise CombinedError(problems)
    return dict(pairs)


def _json_pairs(text: str) -> list[tuple[str, Any]]:
    try:
        pairs: list[tuple[str, Any]] = json.loads(text, object_pairs_hook=list)
    except json.JSONDecodeError as error:
        before = _KEY.findall(text, 0, error.pos)
        what = f"is no JSON at {before[-1]}" if before else "is no JSON"
        raise ConfigurationError(WHERE, what, _as_json(*before[-1:])) from None
    except (ValueError, RecursionError):  # a number or a nesting without end
        raise ConfigurationError(WHERE, "holds more than texts", _as_json()) from None
    return pairs


def _dotenv_pairs(text: str) -> Iterator[tuple[str, str]]:
    try:
        for entry in read_dotenv(text, WHERE, is_strict=True):
            yield entry.name, entry.value
    except ConfigurationError as error:
        raise ConfigurationError(error.where, error.what, _as_json()) from None


def _problems(pairs: list[tuple[str, Any]]) -> Iterator[ConfigurationError]:
    for name, count in Counter(name for name, _ in pairs).items():
        if not _NAME.fullmatch(name):  # it may be a piece of a value
            what, fix = "has a name that no variable can have", "use letters, digits and _"
            yield ConfigurationError(WHERE, what, fix)
        elif count > 1:
            yield ConfigurationError(WHERE, f"{name} stands in it {count} times", "keep one")
    for name, value in pairs:
        if not _NAME.fullmatch(name):
            continue
        if value is None or (isinstance(value, str) and not value.strip()):
            what = f"{name} is empty, as a secret that does not exist is"
            fix = "give the repository that secret, one of a GitHub environment does not come here"
            yield ConfigurationError(WHERE, what, f"{fix}, or leave {name} out")
        elif not isinstance(value, str) or _NO_TEXT.search(value):
            yield ConfigurationError(WHERE, f"{name} is no text", _as_json(name))


def _as_json(name: str = "NAME") -> str:
    return f'write it as JSON: {{"{name}": ${{{{ toJSON(secrets.{name}) }}}}}}'
