"""What an agent said, as others may read it."""

from __future__ import annotations

import pytest

from codexctl_tasks.agent.message import LONGEST_TITLE, harmless, pull_request_body, title_of
from codexctl_tasks.agent.work.policy import MOST_REVIEW
from codexctl_tasks.hooks.builtin.comment_body import MOST_CHARACTERS

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
        ("a ![x](https://evil.example/?s)", f"a !{J}[x](https://evil.example/?s)"),
        ("a \\![x](https://evil.example/?s)", f"a \\!{J}[x](https://evil.example/?s)"),
        ("![x][y]\n\n[y]: https://evil.example/?s", f"!{J}[x][y]\n\n[y]: https://evil.example/?s"),
        ("Fixes &#35;5", f"Fixes{J} #5"),
        ("fixes \\#6", f"fixes{J} \\#6"),
        ("fixes shop/web\\#6", f"fixes{J} shop/web\\#6"),
        ("fi&#120;es #8", f"fixes{J} #8"),
        ("fi&#X78;es&nbsp;&num;&#56;", f"fixes{J} #8"),
        ("fixes&#8203; #8", f"fixes{J} #8"),
        ("**Fixes** #8", f"**Fixes{J}** #8"),
        ("fi**x**es: *#8*", f"fi**x**es{J}: *#8*"),
        ("resolves [this](https://github.com/a/b/issues/1)", None),
        ("fixes\n#8", f"fixes{J}\n#8"),
        ("1 &lt; 2 &amp;#35;5 &#33;", "1 &lt; 2 &amp;#35;5 &#33;"),
        ("done [skip ci]", f"done [skip ci{J}]"),
        ("done [CI skip]", f"done [CI skip{J}]"),
        ("done\n\nskip-checks: true", f"done\n\nskip-checks: tru{J}e"),
        ("prefixes #8 and fixture #9", "prefixes #8 and fixture #9"),
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
def test_nothing_acts_by_itself(said: str, shown: str | None) -> None:
    """No Issue is closed, no picture loaded, nothing hidden; the words stay."""
    shown = said.replace("resolves", f"resolves{J}") if shown is None else shown
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
        ("Fixes GH-5", f"Fixes{J} GH-5"),
        (
            "Fixes https://github.com/o/r/issues/5",
            f"Fixes{J} https://github.com/o/r/issues/5",
        ),
        ("Prices [skip ci]", f"Prices [skip ci{J}]"),
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


def test_files_to_review_are_all_named() -> None:
    """Decoys hide none: long names lose their middle, so that the text takes them all."""
    decoys = [f"{'x' * 900}/{n}/package.json: dependencies" for n in range(MOST_REVIEW - 1)]
    review = [*decoys, "services.yaml: deployment"]
    text = pull_request_body("Done", issue=1, run="", review=review, notes=[])
    assert "- `services.yaml: deployment`" in text
    assert all(f"xx/{n}/package.json: dependencies`" in text for n in range(MOST_REVIEW - 1))
    assert len(text) < MOST_CHARACTERS
    more = pull_request_body("Done", issue=1, run="", review=[*review, "more"], notes=[])
    assert "- +1" in more.splitlines()
