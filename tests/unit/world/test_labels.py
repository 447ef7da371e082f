"""Label selectors: equality, sets, existence."""

from __future__ import annotations

import pytest

from codexctl_tasks.world.labels import read_selector

WEB = {"app": "web", "tier": "api", "example.com/team": "shop", "empty": ""}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app=web", True),
        ("app == web", True),
        ("app=api", False),
        ("app!=web", False),
        ("nosuch!=web", True),
        ("empty=", True),
        ("example.com/team=shop,tier=api", True),
        ("example.com/team=shop,tier=db", False),
        ("tier in (api, worker)", True),
        ("tier in (db)", False),
        ("tier notin (db,cache),app", True),
        ("tier notin (api)", False),
        ("nosuch notin (api)", True),
        ("app", True),
        ("!app", False),
        ("! nosuch", True),
    ],
)
def test_what_a_selector_selects(text: str, matches: bool) -> None:
    """The same objects as with kubectl; what is not there is not equal to anything."""
    assert all(each.holds(WEB) for each in read_selector(text)) is matches


@pytest.mark.parametrize(
    "text",
    ["app=we b", "app=web,", "tier in api", "tier in (a b)", "=web", "app>1", "-app", "a=(b)"],
)
def test_what_is_no_selector(text: str) -> None:
    """A mistake is found before anything is asked."""
    with pytest.raises(ValueError):  # noqa: PT011 - it says only which part
        read_selector(text)
