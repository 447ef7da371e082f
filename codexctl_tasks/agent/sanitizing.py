"""
Text that strangers wrote, as an agent may read it (pure).

People must see on GitHub what the agent reads: what a page hides is taken out. It stays text that
may lie; whoever shows it to an agent says so, and keeps it within a fence (`fenced`).
"""

from __future__ import annotations

import hashlib
import html
import re
import unicodedata

_COMMENT = re.compile(r"<!--.*?(?:--!?>|\Z)", re.DOTALL)
_IMAGE = re.compile(r"!\[[^\[\]\n]*\](?=[(\[])")
_TAG = re.compile(r"""<[A-Za-z](?:"[^"<]*"|'[^'<]*'|[^<>"'])*+>""")
_ATTRIBUTE = re.compile(
    r"""\s(?:alt|title|aria-[a-z]+|data-[a-z-]+)\s*=\s*(?:"[^"]*"|'[^']*'|[^\s<>"']+)""",
    re.IGNORECASE,
)
_LINK_TITLE = re.compile(r"""(\]\([^\s()]+)\s+(?:"[^"\n]*"|'[^'\n]*')\s*\)""")
_KEPT = "\n\t"
_HIDDEN = ("Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp")
"""Categories of Unicode: controls, formats (zero width, bidi, tags), private ones, separators."""
_INVISIBLE = re.compile(
    "[\u115f\u1160\u3164\uffa0\u034f\u17b4\u17b5\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
_BLANKS = re.compile(r"\n{4,}")
_TOKENS = re.compile(
    r"""gh[pousr]_[A-Za-z0-9]{20,} | github_pat_[A-Za-z0-9_]{20,} | glpat-[\w-]{20,}
    | sk-[A-Za-z0-9_-]{20,} | xox[abeprs]-[A-Za-z0-9-]{10,} | npm_[A-Za-z0-9]{30,}
    | pypi-[A-Za-z0-9_-]{40,} | AIza[\w-]{30,} | (?:AKIA|ASIA)[A-Z0-9]{16}
    | (?<![\w-])eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    | (?<=://)[^\s/:@]{1,100}:[^\s/@]{1,200}(?=@)""",
    re.VERBOSE | re.DOTALL,
)
TOKEN = "[token removed]"  # noqa: S105 - what stands in its place
_ROUNDS = 4


def sanitized(text: str) -> str:
    """Return text without what GitHub does not show: comments, alt texts, invisible characters."""
    text = visible(text)
    for _ in range(_ROUNDS):  # an entity can spell a comment, a comment can part an entity
        before = text
        text = _COMMENT.sub("", visible(html.unescape(text)))
        if text == before:
            break
    else:
        text = _COMMENT.sub("", text)
    text = _LINK_TITLE.sub(r"\1)", _IMAGE.sub("![]", text))
    text = _TAG.sub(lambda tag: _ATTRIBUTE.sub("", tag[0]), text)
    return _BLANKS.sub("\n\n\n", masked(text)).strip()


def visible(text: str) -> str:
    """Return text without characters that nobody sees; line ends are those of Unix."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii() and text.isprintable():
        return text
    kept = (c for c in text if c in _KEPT or unicodedata.category(c) not in _HIDDEN)
    return _INVISIBLE.sub("", "".join(kept))


def masked(text: str) -> str:
    """Return text without anything that has the shape of a token, a key or a password in a URL."""
    return _TOKENS.sub(TOKEN, text)


def one_line(text: str, most: int) -> str:
    """Return text in one line of at most so many characters."""
    line = " ".join(sanitized(text).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def fence_of(texts: tuple[str, ...]) -> str:
    """Return a word that stands in none of the texts, the same for the same texts."""
    whole = hashlib.sha256()
    for text in texts:
        whole.update(f"{len(text)}:".encode() + text.encode("utf-8", "surrogatepass"))
    word = whole.hexdigest()[:16]
    while any(word in text for text in texts):
        word = hashlib.sha256(word.encode()).hexdigest()[:16]
    return word


def fenced(text: str, word: str, source: str) -> str:
    """Return text between two lines that only this side can write; *source*: one of our words."""
    return f'<untrusted-{word} source="{source}">\n{text}\n</untrusted-{word}>'
