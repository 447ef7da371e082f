"""
What a comment says about the slot of an Issue or a pull request; pure.

Values come from branches, stacks and records that people edit: none of them can write Markdown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import quote

from codexctl_tasks.slots.record import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

RELEASED = "released"
"""What a comment says when the slot is gone, beside what a record says."""
STATES = (*(state.value for state in State), RELEASED)
MOST_LINKS = 50
LONGEST_VALUE = 200
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]+")
"""Control characters, and what changes the order of letters or is not seen."""
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


class Language(StrEnum):
    """In which a comment is written."""

    ENGLISH = "en"
    RUSSIAN = "ru"


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """What there is to tell of a slot."""

    slot: int
    """0: nobody knows which it was; only if it is gone."""
    env: str
    state: str
    """One of `STATES`."""
    is_pull_request: bool
    """What the slot is for: a pull request, or an Issue."""
    namespace: str = ""
    """Empty: nobody knows."""
    branch: str = ""
    """Empty: nobody knows."""
    links: Sequence[tuple[str, str]] = ()
    """Title and address of each page."""
    expires: datetime | None = None
    """From when on it may be taken down, unless it is used again; None: nobody knows."""


@dataclass(frozen=True, slots=True)
class _Words:
    heads: dict[str, str]
    """By state; ``{}`` is the number."""
    head_without_number: str
    pull_request: str
    issue: str
    namespace: str
    branch: str
    expires: str
    more: str
    ending: str
    gone: str


_ENGLISH = _Words(
    heads={
        "allocated": "Slot {} is taken",
        "preparing": "Slot {} is being prepared",
        "ready": "Slot {} is ready",
        "unhealthy": "Slot {} is not healthy",
        "releasing": "Slot {} is being taken down",
        RELEASED: "Slot {} was taken down",
    },
    head_without_number="The slot was taken down",
    pull_request="this pull request",
    issue="this Issue",
    namespace="Namespace",
    branch="Branch",
    expires="It may be taken down from {} on, unless it is used again.",
    more="{} more",
    ending="It is taken down when {about} is closed; at once with {command}.",
    gone="{about} has no environment of its own any more.",
)
_RUSSIAN = _Words(
    heads={
        "allocated": "Слот {} занят",
        "preparing": "Слот {} готовится",
        "ready": "Слот {} готов",
        "unhealthy": "Слот {} неисправен",
        "releasing": "Слот {} удаляется",
        RELEASED: "Слот {} удалён",
    },
    head_without_number="Слот удалён",
    pull_request="этот pull request",
    issue="этот Issue",
    namespace="Пространство имён",
    branch="Ветка",
    expires="Может быть удалён после {}, если им больше не пользуются.",
    more="и ещё {}",
    ending="Удаляется, когда {about} закрывают; сразу — командой {command}.",
    gone="Отдельного окружения больше нет.",
)
_WORDS = {Language.ENGLISH: _ENGLISH, Language.RUSSIAN: _RUSSIAN}


def language_of(text: str) -> Language | None:
    """Return the language of a name such as ``ru`` or ``ru-RU``; None: it is not known."""
    name = re.split(r"[-_.]", text.strip().lower())[0]
    return Language(name) if name in tuple(Language) else None


def marker_of(project: str, env: str) -> str:
    """
    Return the first line of the comment, which nobody sees.

    It does not name the slot: the comment of an Issue that gets another slot stays the same one.
    """
    return f"<!-- codexctl-slot: {quote(project, safe='')}/{quote(env, safe='')} -->"


def text_of(account: Account, language: Language) -> str:
    """Return the comment, without its marker."""
    words = _WORDS[language]
    about = words.pull_request if account.is_pull_request else words.issue
    numbered = words.heads[account.state].format(account.slot)
    head = f"### {numbered if account.slot else words.head_without_number}"
    if account.state == RELEASED:
        gone = words.gone.format(about=about)
        return f"{head}\n\n{gone[:1].upper()}{gone[1:]}"
    command = _code(f"codexctl cleanup --env {account.env} --slot {account.slot}")
    ending = words.ending.format(about=about, command=command)
    if account.expires:
        ending += f" {words.expires.format(f'{account.expires:%Y-%m-%d %H:%M} UTC')}"
    parts = [head, "\n".join(_facts(account, words)), ending]
    return "\n\n".join(filter(None, parts))


def _facts(account: Account, words: _Words) -> Iterator[str]:
    """Yield the items of the list; there are no pages yet before something was deployed."""
    shown = account.links if account.state in (State.READY, State.UNHEALTHY) else ()
    for title, url in shown[:MOST_LINKS]:
        yield f"- [{plain(title)}]({url})"
    if len(shown) > MOST_LINKS:
        yield f"- {words.more.format(len(shown) - MOST_LINKS)}"
    if account.namespace:
        yield f"- {words.namespace}: {_code(account.namespace)}"
    if account.branch:
        yield f"- {words.branch}: {_code(account.branch)}"


def plain(text: str) -> str:
    """Return a text that Markdown shows as it is; mentions are left to whoever sends it."""
    return _PUNCTUATION.sub(r"\\\1", _shown(text))


def _code(text: str) -> str:
    """Return a text as code, which no tick in it can end."""
    text = _shown(text)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    ticks = "`" * (longest + 1)
    return f"{ticks} {text} {ticks}" if longest else f"{ticks}{text}{ticks}"


def _shown(text: str) -> str:
    text = " ".join(_UNSEEN.sub(" ", text).split())
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
