"""What messages of commits must not say."""

from __future__ import annotations

import pytest

from codexctl_tasks.agent.work.messages import why_refused
from codexctl_tasks.agent.work.trees import Commit


def _why(message: str, *own: int, encoding: str = "") -> list[str]:
    return why_refused([Commit("a" * 40, "b" * 40, (), encoding, message)], own)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("Prices [skip ci]", "says [skip ci], so that no checks would run"),
        ("Prices\n\n[CI SKIP]", "says [CI SKIP], so that"),
        ("[no ci]", "says [no ci], so that"),
        ("[skip actions] x", "says [skip actions], so that"),
        ("[actions skip] x", "says [actions skip], so that"),
        ("Prices\n\n\nskip-checks: true\n", "says skip-checks: true, so that"),
        ("Prices\n\n\nSkip-Checks:true", "says Skip-Checks:true, so that"),
        ("Fixes #99", "closes #99 when it is merged"),
        ("Prices\n\nCloses: #120", "closes #120 when"),
        ("resolve shop/web#12", "closes shop/web#12 when"),
        ("fixed GH-12", "closes GH-12 when"),
        (
            "closes https://github.com/shop/web/issues/9",
            "closes https://github.com/shop/web/issues/9 when",
        ),
        ("Closes #12, closes #13", "closes #13 when"),
    ],
)
def test_messages_that_do_something(message: str, said: str) -> None:
    """No checks are skipped, no other Issue is closed; the line says which commit it is."""
    [why] = _why(message, 12)
    assert why.startswith("commit aaaaaaaaaaaa: its message ")
    assert said in why


@pytest.mark.parametrize(
    "message",
    [
        "Closes #12",
        "Prices are rounded\n\nFixes: #12.",
        "Fixed the prices of #99",
        "Fixed: see https://example.com/docs",
        "fixed [WIP] tags",
        "skip ci when nothing changed",
        "prefixes #9",
    ],
)
def test_messages_that_are_fine(message: str) -> None:
    """The Issue of the run may be closed, others may be named."""
    assert _why(message, 12) == []


def test_messages_in_another_encoding() -> None:
    """They could say what is not seen here."""
    [why] = _why("x", encoding="UTF-16")
    assert "its message is UTF-16 instead of UTF-8" in why
    assert _why("x", encoding="utf-8") == []
