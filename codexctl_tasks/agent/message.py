"""
What an agent said, as others may read it (pure).

The text comes from a model that has read what anybody wrote. Shown on GitHub it must close no other
Issue, load no picture from elsewhere (its address could carry what the agent has seen), and hide
nothing. Mentions are broken by whoever sends it.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LONGEST_TITLE = 120
MOST_LISTED = 30
"""Files that are named; of more only the number is told."""
_JOINER = "\u200d"
_CLOSES = re.compile(
    r"\b(close[sd]?|fix(?:e[sd])?|resolve[sd]?)(\s*:?\s+)"
    r"(?=(?:[\w.-]+/[\w.-]+)?#\d|gh-\d|https?://|\[)",
    re.IGNORECASE,
)
_HIDDEN = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_TAG = re.compile(r"<(?=[A-Za-z/!?])(?!https?://)")
_IMAGE = re.compile(r"!(?=\[)")
_MARKUP = re.compile(r"^[\s#>*+-]+|[`*_~]+|\[([^\]]*)\]\([^)]*\)")
_ISSUE = re.compile(r"#(?=\d)")


def harmless(text: str) -> str:
    """Return Markdown without what acts by itself when it is shown; the words stay."""
    text = _HIDDEN.sub("", _visible(text.replace("\r\n", "\n").replace("\r", "\n")))
    text = _IMAGE.sub(r"\\!", _TAG.sub("&lt;", text))
    return _CLOSES.sub(rf"\1{_JOINER}\2", text).strip()


def title_of(message: str, otherwise: str) -> str:
    """Return a title in plain words: the first line that says something."""
    for line in _visible(_HIDDEN.sub("", message)).splitlines():
        plain = " ".join(_MARKUP.sub(lambda found: found[1] or "", line).split())
        plain = _ISSUE.sub(f"#{_JOINER}", plain.replace("@", f"@{_JOINER}")).rstrip(".:")
        if re.search(r"\w", plain):
            return plain if len(plain) <= LONGEST_TITLE else f"{plain[: LONGEST_TITLE - 1]}…"
    return otherwise


def pull_request_body(
    message: str, *, issue: int, run: str, review: Sequence[str], notes: Sequence[str]
) -> str:
    """
    Return the text of a pull request, without its marker.

    Args:
        message: What the agent said last.
        issue: That is closed by it; 0: none.
        run: Address of the run, or who ran it.
        review: Files that somebody has to look at, and why.
        notes: What else is to be known of files.
    """
    parts = [
        f"Closes #{issue}" if issue else "",
        _listed("Look closely at these files: they decide what runs later.", review),
        _listed("", notes),
        harmless(message),
        f"<sub>Made by an agent: {run}</sub>" if run else "",
    ]
    return "\n\n".join(filter(None, parts))


def code(text: str) -> str:
    """Return a text as code in Markdown, in one line, which no tick in it can end."""
    text = " ".join(_visible(text).split())
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    ticks = "`" * (longest + 1)
    return f"{ticks} {text} {ticks}" if longest else f"{ticks}{text}{ticks}"


def listed(lines: Sequence[str]) -> Iterator[str]:
    """Yield items of a list; of many only how many more there are."""
    for line in lines[:MOST_LISTED]:
        yield f"- {code(line)}"
    if len(lines) > MOST_LISTED:
        yield f"- +{len(lines) - MOST_LISTED}"


def _listed(head: str, lines: Sequence[str]) -> str:
    return "\n".join(filter(None, [f"**{head}**\n" if head and lines else "", *listed(lines)]))


def _visible(text: str) -> str:
    """Return a text without characters that are not seen, or change how others read."""
    return "".join(
        letter
        for letter in text
        if letter in "\n\t\u200d" or unicodedata.category(letter) not in ("Cc", "Cf", "Co", "Cs")
    )
