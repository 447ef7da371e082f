"""The text of a comment: whom it calls, and how long it is."""

from __future__ import annotations

import pytest

from codexctl_tasks.hooks.comment_body import (
    JOINER,
    MOST_CHARACTERS,
    compose,
    shorten,
    without_mentions,
)

MARKER = "<!-- codexctl: shop/ai/3 -->"
FENCE = "```"


def _shown(body: str) -> str:
    """Return a body without mentions; a broken one is shown as ``@|``."""
    return compose(body, "", mentions=False).replace(JOINER, "|")


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("@octo", "@|octo"),
        ("thanks @octo, @shop/team!", "thanks @|octo, @|shop/team!"),
        ("(@octo) *@octo* _@octo_ >@octo", "(@|octo) *@|octo* _@|octo_ >@|octo"),
        (r"\@octo é@octo /@octo", r"\@|octo é@|octo /@|octo"),
        ("mail first.last@shop.example", "mail first.last@shop.example"),
        ("at @ noon @", "at @ noon @"),
        ("&#64;octo &#x40;octo &commat;octo", "&#64;|octo &#x40;|octo &commat;|octo"),
        ("&#0064octo @&#111;cto &#641;octo", "&#0064|octo @|&#111;cto &#641;octo"),
        ("https://medium.com/@octo/post?x=@y", "https://medium.com/@octo/post?x=@y"),
        ("[x](https://a.example/@octo) <https://a.example/@b>",) * 2,
        ("[https://a.example](b)@octo", "[https://a.example](b)@|octo"),
        ("xhttps://a.example/@octo", "xhttps://a.example/@|octo"),
        ("fixes #12", "fixes #12"),
    ],
)
def test_mentions_in_text(body: str, shown: str) -> None:
    """In each spelling that GitHub reads; addresses of mail and of pages stay as they are."""
    assert _shown(body) == shown


@pytest.mark.parametrize(
    "body",
    [
        "`@types/node` and ``a ` @b``",
        f"{FENCE}\nuses: x@v1 @octo\n\n@octo\n{FENCE}",
        f"text\n{FENCE}sh\n@octo `\n{FENCE}\nmore `@octo`",
        "~~~ `x`\n@octo\n```\n@octo\n~~~~",
        f"<details><summary>log</summary>\n\n{FENCE}\n@octo\n{FENCE}\n\n</details>",
        f"<!-- note -->\n\n{FENCE}\n@octo\n{FENCE}",
        "a `b\n\n`@octo`",
    ],
)
def test_code_is_left_alone(body: str) -> None:
    """GitHub mentions nobody in code, and commands can be copied."""
    assert _shown(body) == body


@pytest.mark.parametrize(
    "body",
    [
        "a ` b\n`@octo`",
        "```\n@x\n```\n`\n`@octo`",
        "\\`@octo`",
        '<a title="`">@octo</a>`',
        '<a\ntitle="`">`@octo</a>`',
        "a `b | @octo` |",
        "<!--\n```\n-->\n@octo\n```",
        "<pre>\n\n```\n</pre>\n@octo\n```",
        "<div>\n```\n@octo\n```",
        "- a\n  ```\n@octo\n  ```",
        "- ```\n@octo\n```",
        "> ```\n@octo\n```",
        "  ```\na\n```\n@octo\n```",
        "```a`\n@octo\n```",
        "`\n\u00a0\n`@octo`",
        "```\na\n``` x\n```\n@octo",
        "<div>https://a.example/@octo</div>",
        "a\r`\r`@octo`",
        "<?php -->\n```\n@octo",
    ],
)
def test_what_only_looks_like_code(body: str) -> None:
    """A value from outside cannot hide a mention in code that is none."""
    assert "@|octo" in _shown(body)
    assert "@octo" not in _shown(body)


def test_mentions_that_are_wanted() -> None:
    """Nothing is changed."""
    assert compose("@octo", MARKER, mentions=True) == f"{MARKER}\n@octo"


def test_line_ends() -> None:
    """Those of Windows look to GitHub like changes."""
    assert compose("\r\na\r\nb\n", MARKER, mentions=False) == f"{MARKER}\na\nb"


def test_a_long_body_is_cut_at_a_line() -> None:
    """The marker stays, whole lines stay, and the last line says what happened."""
    body = "\n".join(f"line {number}" for number in range(20_000))

    text = compose(body, MARKER, mentions=False)

    first, *lines, _, notice = text.split("\n")
    assert first == MARKER
    assert all(line in body for line in lines)
    assert notice == f"*Cut here: {len(body):,} characters are more than a comment may have.*"
    assert MOST_CHARACTERS - 10 < len(text) <= MOST_CHARACTERS


@pytest.mark.parametrize("fence", ["```", "~~~~~", "  ```"])
def test_no_fence_stays_open(fence: str) -> None:
    """What follows the cut is no code."""
    text = shorten(f"log\n{fence}sh\n" + "x\n" * 5000 + fence, 1000)

    assert len(text) <= 1000
    assert text.count(fence.strip()) == 2
    assert text.split("\n")[-3] == fence.strip()


def test_a_fence_that_is_closed_is_not_closed_again() -> None:
    """The cut is in plain text."""
    text = shorten("```\ncode\n```\n" + "word\n" * 5000, 1000)

    assert text.count("```") == 2


def test_one_endless_line() -> None:
    """It is cut between words, or anywhere if there are none."""
    assert shorten("word " * 5000, 1000).split("\n")[0].endswith("word")
    assert 990 < len(shorten("x" * 5000, 1000)) <= 1000


@pytest.mark.parametrize("body", ["@a " * 60_000, "@" * 100_000, "`@octo " * 30_000, "🚀" * 70_000])
def test_broken_mentions_count(body: str) -> None:
    """What is added is not too long either, and a cut opens no code."""
    text = compose(body, MARKER, mentions=False)

    assert MOST_CHARACTERS // 4 < len(text) <= MOST_CHARACTERS
    shown = text.removeprefix(f"{MARKER}\n")
    assert without_mentions(shown) == shown
