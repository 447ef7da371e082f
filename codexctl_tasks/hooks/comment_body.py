"""
The text of a comment on GitHub: nobody is called, nothing is longer than GitHub takes.

A rendered body does not tell what came from outside. So whatever GitHub might take for a mention is
broken, except in code, where it takes nothing for one. What is code is decided cautiously: a value
that opens or closes code where nobody expects it must not hide a mention from us. Once it is not
clear any more how GitHub reads the text, all of the rest is treated as plain.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_CHARACTERS = 65_536
"""Of a comment; counted as code points."""
JOINER = "\u200d"
"""Is not seen; what follows it is no name."""
_AT = rf"(?<![0-9A-Za-z])(@|&commat;|&#0*64(?!\d);?|&#[xX]0*40(?![0-9a-fA-F]);?)(?=[^\s{JOINER}])"
"""In any spelling, without a part of an address before it."""
_MENTION = re.compile(_AT, re.ASCII)
_URL = r"(?<![^\s(<])https?://[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::\d+)?(?:/[\w@.~%/?&=+#-]*)?"
_URL_OR_MENTION = re.compile(rf"({_URL})|{_AT}", re.ASCII)
_OPENS = re.compile(r"(`{3,})[^`]*|(~{3,}).*")
"""A fence for certain: at the very beginning of the line it is in no list and no quotation."""
_MAY_BE_FENCE = re.compile(r"[\s>*+.)\d-]*(```+|~~~+)")
_HTML = re.compile(r" {0,3}<(?!https?://)")
_RAW = re.compile(r" {0,3}<(?:[?!]|(?:script|pre|style|textarea)\b)", re.IGNORECASE)
"""HTML that goes on over blank lines."""
_COMMENT = re.compile(r" {0,3}<!--.*-->")
_TICKS = re.compile(r"`+")


def compose(body: str, marker: str, *, mentions: bool) -> str:
    """
    Return the whole text of a comment.

    Args:
        body: Markdown; what is too long is left out at its end.
        marker: First line, by which the comment is found again; empty: none.
        mentions: Leave mentions of people and teams as they are.
    """
    body = body.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
    head = f"{marker}\n" if marker else ""
    room = allowed = MOST_CHARACTERS - len(head)
    while True:
        text = shorten(body, allowed)
        text = text if mentions else without_mentions(text)
        if len(text) <= room:
            return head + text
        allowed = min(allowed * room // len(text), allowed - 1)


def without_mentions(text: str) -> str:
    """Return Markdown in which nobody is mentioned; it looks the same."""
    return "\n".join(_unmentioned(text.split("\n")))


def _unmentioned(lines: list[str]) -> Iterator[str]:
    fence, is_clear, in_html, spans_are_clear = "", True, False, True
    for line in lines:
        if fence:
            fence = "" if _closes(line, fence) else fence
            yield line
            continue
        if not line.strip(" \t"):
            in_html, spans_are_clear = False, True
        if (opening := _OPENS.fullmatch(line)) and is_clear and not in_html:
            fence, spans_are_clear = opening[1] or opening[2], True
            yield line
            continue
        is_clear = is_clear and not _MAY_BE_FENCE.match(line) and not _goes_on(line)
        in_html = in_html or bool(_HTML.match(line))
        if in_html or not is_clear:
            yield _MENTION.sub(rf"\1{JOINER}", line)
            continue
        spans_are_clear = spans_are_clear and _has_clear_spans(line)
        shown, spans_are_clear = (
            _outside_of_code(line) if spans_are_clear else (_broken(line), False)
        )
        yield shown


def _goes_on(line: str) -> bool:
    """Tell whether HTML begins that a blank line does not end."""
    return bool(_RAW.match(line)) and not _COMMENT.match(line)


def _has_clear_spans(line: str) -> bool:
    """Tell whether ticks alone decide what is code: tags and cells of tables count more."""
    return "<" not in line and "\\`" not in line and "|" not in line.partition("`")[2]


def _outside_of_code(line: str) -> tuple[str, bool]:
    """Return a line without mentions outside of code spans, and whether it leaves none open."""
    done, begin = "", 0
    while opening := _TICKS.search(line, begin):
        closing = re.compile(rf"(?<!`){opening[0]}(?!`)").search(line, opening.end())
        if closing is None:
            return done + _broken(line[begin:]), False
        done += _broken(line[begin : opening.start()]) + line[opening.start() : closing.end()]
        begin = closing.end()
    return done + _broken(line[begin:]), True


def _broken(text: str) -> str:
    return _URL_OR_MENTION.sub(lambda m: m[1] or f"{m[2]}{JOINER}", text)


def _closes(line: str, fence: str) -> bool:
    return re.fullmatch(rf" {{0,3}}{re.escape(fence[0])}{{{len(fence)},}}[ \t]*", line) is not None


def shorten(text: str, most: int) -> str:
    """
    Return Markdown of at most *most* characters; a last line says if something was left out.

    It ends with a whole line, unless a single one is longer than half of all, and no fence stays
    open.
    """
    if len(text) <= most:
        return text
    notice = f"\n\n*Cut here: {len(text):,} characters are more than a comment may have.*"
    kept, fence = "", ""
    for line in text.split("\n"):
        following = _fence_after(line, fence)
        room = most - len(notice) - len(kept) - (len(following) + 1 if following else 0)
        if len(line) + 1 > room:
            if len(kept) < most // 2:
                kept += _first_words(line, room - 1 - (len(fence) + 1 if fence else 0))
            break
        kept, fence = f"{kept}{line}\n", following
    kept = kept.rstrip("\n")
    return (kept + (f"\n{fence}" if fence else "") + notice)[: max(most, 0)]


def _fence_after(line: str, fence: str) -> str:
    """Return the fence that is open after a line; empty: none."""
    if fence:
        return "" if re.fullmatch(rf"[\s>]*{re.escape(fence)}+\s*", line) else fence
    found = _MAY_BE_FENCE.match(line)
    return found[1] if found else ""


def _first_words(line: str, most: int) -> str:
    part = line[: max(most, 0)]
    end = part.rfind(" ")
    return part[:end] if end > most // 2 else part
