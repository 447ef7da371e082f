"""
Names of files that mean something else on another machine (pure).

Windows and macOS ignore case, blanks and dots at the end, streams behind a colon and letters that
nobody sees: ``.GIT``, ``git~1`` and ``.git.`` all are ``.git`` somewhere. Git knows these, too;
here they are refused in words, and patterns of the policy are matched without all that.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST_PATH, LONGEST_NAME = 1024, 255
"""Bytes."""
_SHORT = re.compile(r"(?:git[a-z]{0,3}|gi[0-9a-f]{4})~[0-9]+")
"""What NTFS calls ``.git``, ``.gitmodules`` and others beside their names."""
_UNSEEN = ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")
"""Controls, letters without width, those that turn the direction, surrogates."""


def folded(path: str) -> str:
    """Return a path as the most careless file system reads it, for comparison."""
    return "/".join(_folded_name(name) for name in path.split("/"))


def why_refused(path: bytes) -> str:
    """Return why nobody may have a file of this name; empty: it is fine."""
    try:
        text = path.decode()
    except UnicodeDecodeError:
        return "its name is not UTF-8"
    if any(unicodedata.category(letter) in _UNSEEN for letter in text):
        return "its name holds characters that nobody sees"
    if len(path) > LONGEST_PATH:
        return "its path is too long"
    if "\\" in text:
        return "its name holds a backslash, which separates folders on Windows"
    return next(filter(None, map(_why_name_is_refused, text.split("/"))), "")


def shown(path: bytes) -> str:
    """Return a path for people, in one line, without what would change how it reads."""
    text = path.decode("utf-8", "backslashreplace")
    return "".join(
        letter if unicodedata.category(letter) not in _UNSEEN else f"\\u{{{ord(letter):x}}}"
        for letter in text
    )


def _why_name_is_refused(name: str) -> str:
    if name in ("", ".", ".."):
        return "its path leads elsewhere"
    if len(name.encode()) > LONGEST_NAME:
        return "its name is too long"
    plain = _folded_name(name)
    if plain == ".git" or _SHORT.fullmatch(plain):
        return "git keeps its own files there"
    if plain.startswith(".git") and plain != name:
        return f"some systems read its name as {plain}"
    return ""


def _folded_name(name: str) -> str:
    """Return a name in lower case, without what some systems ignore."""
    seen = "".join(letter for letter in name if unicodedata.category(letter) not in _UNSEEN)
    plain = unicodedata.normalize("NFKC", seen).casefold()
    return plain.partition(":")[0].rstrip(" .") or plain
