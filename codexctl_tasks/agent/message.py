"""
What an agent said, as others may read it (pure).

The text comes from a model that has read what anybody wrote. Shown on GitHub it must close no other
Issue, load no picture from elsewhere (its address could carry what the agent has seen), and hide
nothing. Mentions are broken by whoever sends it.
"""

from __future__ import annotations

import html
import re
import unicodedata
from typing import TYPE_CHECKING

from codexctl_tasks.agent.phrases import JOINER, without_orders
from codexctl_tasks.agent.work.policy import MOST_REVIEW

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LONGEST_TITLE = 120
MOST_LISTED = 30
"""Lines of which nothing depends; of more only the number is told."""
_LONGEST_LINE = 250
"""Characters; all of `MOST_REVIEW` lines must have room in one text."""
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});", re.IGNORECASE)
_UNSEEN = ("Cc", "Cf", "Co", "Cs")
_HIDDEN = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_TAG = re.compile(r"<(?=[A-Za-z/!?])(?!https?://)")
_IMAGE = re.compile(r"!(?=\[)")
_MARKUP = re.compile(r"^[\s#>*+-]+|[`*_~]+|\[([^\]]*)\]\([^)]*\)")
_ISSUE = re.compile(r"#(?=\d)")


def harmless(text: str) -> str:
    """Return Markdown without what acts by itself when it is shown; the words stay."""
    text = _visible(text.replace("\r\n", "\n").replace("\r", "\n"))
    text = _HIDDEN.sub("", _ENTITY.sub(_spelt_out, text))
    text = _IMAGE.sub(f"!{JOINER}", _TAG.sub("&lt;", text))
    return without_orders(text).strip()


def title_of(message: str, otherwise: str) -> str:
    """Return a title in plain words: the first line that says something."""
    for line in _visible(_HIDDEN.sub("", message)).splitlines():
        plain = " ".join(_MARKUP.sub(lambda found: found[1] or "", line).split())
        plain = _ISSUE.sub(f"#{JOINER}", plain.replace("@", f"@{JOINER}")).rstrip(".:")
        if re.search(r"\w", plain):
            plain = without_orders(plain)
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
        files_to_review(review),
        "\n".join(listed(notes)),
        harmless(message),
        f"<sub>Made by an agent: {run}</sub>" if run else "",
    ]
    return "\n\n".join(filter(None, parts))


def files_to_review(lines: Sequence[str]) -> str:
    """Return what somebody has to look at, those that weigh most first; empty: nothing."""
    if not lines:
        return ""
    head = "**Look closely at these files: they decide what runs later.**\n"
    return "\n".join([head, *listed(lines, MOST_REVIEW)])


def code(text: str) -> str:
    """Return a text as code in Markdown, in one line, which no tick in it can end."""
    text = " ".join(_visible(text).split())
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    ticks = "`" * (longest + 1)
    return f"{ticks} {text} {ticks}" if longest else f"{ticks}{text}{ticks}"


def listed(lines: Sequence[str], most: int = MOST_LISTED) -> Iterator[str]:
    """Yield items of a list; of many only how many more there are."""
    for line in lines[:most]:
        yield f"- {code(_brief(line))}"
    if len(lines) > most:
        yield f"- +{len(lines) - most}"


def _brief(line: str) -> str:
    """Return a line without its middle if it is long: the end has the name of the file."""
    cut = len(line) - _LONGEST_LINE
    return line if cut <= 0 else f"{line[:50]}…{line[cut + 51 :]}"


def _spelt_out(entity: re.Match[str]) -> str:
    """Return what may be part of a word or a number instead of its entity; the rest is no order."""
    letter = html.unescape(entity[0])
    if letter.isspace():
        return " "
    if len(letter) == 1 and unicodedata.category(letter) in _UNSEEN:
        return ""
    return letter if letter.isalnum() or letter in "#:/.-" else entity[0]


def _visible(text: str) -> str:
    """Return a text without characters that are not seen, or change how others read."""
    return "".join(
        letter
        for letter in text
        if letter in "\n\t\u200d" or unicodedata.category(letter) not in _UNSEEN
    )
