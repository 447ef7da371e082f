"""The comment about a slot: what people read in it, and what values cannot do to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from codexctl_tasks.slots.comment import (
    LONGEST_VALUE,
    MOST_LINKS,
    STATES,
    Account,
    Language,
    language_of,
    marker_of,
    plain,
    text_of,
)

READY = Account(
    slot=3,
    env="ai",
    state="ready",
    is_pull_request=True,
    namespace="shop-dev-3",
    branch="codex/issue-12",
    links=[("Shop", "https://dev-3.example.com/"), ("API", "https://dev-3.example.com/api")],
    expires=datetime(2026, 12, 3, 10, 30, tzinfo=UTC),
)


def test_a_slot_that_is_ready() -> None:
    """Everything that a reviewer needs."""
    assert text_of(READY, Language.ENGLISH) == (
        "### Slot 3 is ready\n"
        "\n"
        "- [Shop](https://dev-3.example.com/)\n"
        "- [API](https://dev-3.example.com/api)\n"
        "- Namespace: `shop-dev-3`\n"
        "- Branch: `codex/issue-12`\n"
        "\n"
        "It is taken down when this pull request is closed; at once with "
        "`codexctl cleanup --env ai --slot 3`. It may be taken down from 2026-12-03 10:30 UTC on, "
        "unless it is used again."
    )


def test_in_russian() -> None:
    """The same, for those who write Russian prompts."""
    assert text_of(replace(READY, is_pull_request=False), Language.RUSSIAN) == (
        "### Слот 3 готов\n"
        "\n"
        "- [Shop](https://dev-3.example.com/)\n"
        "- [API](https://dev-3.example.com/api)\n"
        "- Пространство имён: `shop-dev-3`\n"
        "- Ветка: `codex/issue-12`\n"
        "\n"
        "Удаляется, когда этот Issue закрывают; сразу — командой "
        "`codexctl cleanup --env ai --slot 3`. Может быть удалён после 2026-12-03 10:30 UTC, если "
        "им больше не пользуются."
    )


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("state", STATES)
def test_every_state(state: str, language: Language) -> None:
    """Each has a heading of its own; there are pages only where something may answer."""
    text = text_of(replace(READY, state=state), language)

    others = {text_of(replace(READY, state=s), language).split("\n")[0] for s in STATES}
    assert len(others) == len(STATES)
    assert ("https://" in text) == (state in ("ready", "unhealthy"))
    assert ("cleanup" in text) == (state != "released")


def test_little_is_known() -> None:
    """What nobody knows is left out."""
    bare = Account(slot=3, env="ai", state="allocated", is_pull_request=False)
    assert text_of(bare, Language.ENGLISH) == (
        "### Slot 3 is taken\n\nIt is taken down when this Issue is closed; at once with "
        "`codexctl cleanup --env ai --slot 3`."
    )


def test_a_slot_that_is_gone() -> None:
    """Also when nobody remembers which it was."""
    gone = replace(READY, state="released")
    assert text_of(gone, Language.ENGLISH) == (
        "### Slot 3 was taken down\n\nThis pull request has no environment of its own any more."
    )
    unknown = replace(gone, slot=0)
    assert text_of(unknown, Language.ENGLISH).startswith("### The slot was taken down\n")
    assert text_of(unknown, Language.RUSSIAN).startswith("### Слот удалён\n")


def test_many_pages() -> None:
    """Some of them, and how many there are beside."""
    links = [(f"Page {number}", "https://example.com/") for number in range(MOST_LINKS + 7)]
    text = text_of(replace(READY, links=links), Language.ENGLISH)
    assert "- [Page 49]" in text
    assert "- 7 more\n- Namespace" in text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a`b", "`` a`b ``"),
        ("a\n# b", "`a # b`"),
        ("``` <!-- x -->", "```` ``` <!-- x --> ````"),
        ("a\u202eb\u200bc\x1b[31m", "`a b c [31m`"),
    ],
)
def test_branches_are_code(value: str, shown: str) -> None:
    """No name of a branch ends it, or adds a line."""
    text = text_of(replace(READY, branch=value), Language.ENGLISH)
    assert f"- Branch: {shown}\n" in text


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("x](http://evil) [y", r"x\]\(http\:\/\/evil\) \[y"),
        ("<img src=x>", r"\<img src\=x\>"),
        ("**bold** _it_ `c` ~s~ #1 | &lt;", r"\*\*bold\*\* \_it\_ \`c\` \~s\~ \#1 \| \&lt\;"),
        ("a\n\n# b", r"a \# b"),
        ("Магазин 1", "Магазин 1"),
    ],
)
def test_titles_are_text(title: str, shown: str) -> None:
    """They are shown as they are written, whatever they look like."""
    assert plain(title) == shown


def test_a_long_value() -> None:
    """It does not bury the rest."""
    assert len(plain("x" * 10_000)) == LONGEST_VALUE


def test_the_marker() -> None:
    """Whatever a project is called, it is one line that nobody sees; the slot is not in it."""
    assert marker_of("shop", "ai") == "<!-- codexctl-slot: shop/ai -->"
    assert marker_of("a/b --> c\nd", "ai") == "<!-- codexctl-slot: a%2Fb%20--%3E%20c%0Ad/ai -->"


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("en", Language.ENGLISH),
        (" RU ", Language.RUSSIAN),
        ("ru-RU", Language.RUSSIAN),
        ("en_US.UTF-8", Language.ENGLISH),
        ("de", None),
        ("", None),
        ("rural", None),
    ],
)
def test_names_of_languages(name: str, language: Language | None) -> None:
    """As they are written in services.yaml or in LANG."""
    assert language_of(name) is language
