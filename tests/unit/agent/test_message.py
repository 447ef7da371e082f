"""What an agent said, as others may read it."""

from __future__ import annotations

import pytest

from codexctl_tasks.agent.message import LONGEST_TITLE, harmless, pull_request_body, title_of

J = "\u200d"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Closes #12", f"Closes{J} #12"),
        ("this fixes: shop/web#12.", f"this fixes{J}: shop/web#12."),
        (
            "resolved https://github.com/a/b/issues/1",
            f"resolved{J} https://github.com/a/b/issues/1",
        ),
        ("fixed GH-12", f"fixed{J} GH-12"),
        ("fixed the bug", "fixed the bug"),
        ("a ![x](https://evil.example/?secret)", "a \\![x](https://evil.example/?secret)"),
        ('<img src="https://evil.example/">', '&lt;img src="https://evil.example/">'),
        ("</details><b>", "&lt;/details>&lt;b>"),
        ("see <https://example.com>", "see <https://example.com>"),
        ("1 < 2", "1 < 2"),
        ("a<!-- hidden -->b", "ab"),
        ("a<!-- open", "a"),
        ("a\u202eb\u200bc\x07", "abc"),
        ("a\r\nb", "a\nb"),
    ],
)
def test_nothing_acts_by_itself(said: str, shown: str) -> None:
    """No Issue is closed, no picture loaded, nothing hidden; the words stay."""
    assert harmless(said) == shown


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("# Prices are rounded.\n\nMore", "Prices are rounded"),
        ("\n\n---\n**Done:** see [this](https://x.example)", "Done: see this"),
        ("", "Issue 12"),
        ("***\n\n", "Issue 12"),
        ("fixes #9 for @octo", f"fixes #{J}9 for @{J}octo"),
        ("<!-- x -->Text", "Text"),
        ("x" * 500, "x" * (LONGEST_TITLE - 1) + "…"),
    ],
)
def test_titles(said: str, title: str) -> None:
    """The first line that says something, in plain words."""
    assert title_of(said, "Issue 12") == title


def test_the_text_of_a_pull_request() -> None:
    """What counts comes first: the rest may be cut."""
    text = pull_request_body(
        "Done", issue=12, run="https://x.example/1", review=["a`b: x"], notes=["c: binary"]
    )
    assert text == (
        "Closes #12\n\n"
        "**Look closely at these files: they decide what runs later.**\n\n"
        "- `` a`b: x ``\n\n"
        "- `c: binary`\n\n"
        "Done\n\n"
        "<sub>Made by an agent: https://x.example/1</sub>"
    )
    assert pull_request_body("Done", issue=0, run="", review=[], notes=[]) == "Done"
    many = pull_request_body("", issue=0, run="", review=[], notes=[str(n) for n in range(50)])
    assert many.endswith("- `29`\n- +20")
