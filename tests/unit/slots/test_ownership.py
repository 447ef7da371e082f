"""Whose a namespace is: labels that Kubernetes takes, and what proves nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest

from codexctl_tasks.apply import bodies
from codexctl_tasks.slots.ownership import STACK_LABEL, Ownership, ownership_of, repo_label


def _namespace(**labels: str) -> dict[str, Any]:
    return {"metadata": {"name": "shop-dev-3", "labels": labels}}


def test_a_namespace_says_whose_it_is() -> None:
    """What was written is read again, also where the repository is unknown."""
    for repository in ("Org/Shop", ""):
        own = Ownership.of(slot=3, repository=repository, stack="shop.ai.shop-dev-3")
        assert ownership_of({"metadata": {"labels": own.labels}}) == own
    assert own.labels == {"codexctl/slot": "3", "codexctl/stack": "shop.ai.shop-dev-3"}
    assert bodies.STACK_LABEL == STACK_LABEL


@pytest.mark.parametrize("slot", ["", "0", "-1", "three", "3.0", "\u0663"])
def test_what_names_no_slot_is_nobodys(slot: str) -> None:
    """A label that somebody wrote by hand, or none, is no proof."""
    assert ownership_of(_namespace(**{"codexctl/slot": slot})) is None
    assert ownership_of({"metadata": {"name": "shop-dev-3"}}) is None


@pytest.mark.parametrize(
    ("repository", "label"),
    [
        ("org/shop", "org.shop"),
        ("Org/SHOP", "org.shop"),
        ("org/.github", "org..github"),
        ("org/my.shop_2", "org.my.shop_2"),
        ("", ""),
    ],
)
def test_a_repository_is_readable_in_its_label(repository: str, label: str) -> None:
    """GitHub does not tell small letters from capital ones either."""
    assert repo_label(repository) == label


@pytest.mark.parametrize(
    "repository", ["org/" + "a" * 100, "org/shop-", "org/shop_", "\u00f6rg/shop", "a/b/c"]
)
def test_what_a_label_cannot_hold_gets_a_hash(repository: str) -> None:
    """It is a valid label, and no other repository has it."""
    label = repo_label(repository)

    assert re.fullmatch(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?", label)
    assert label != repo_label(repository + "x")


def test_who_does_not_know_the_repository_contradicts_nobody() -> None:
    """Somebody at a laptop works with the slot that CI has made."""
    own = Ownership.of(slot=3, repository="org/shop", stack="s")

    assert not own.contradicts(Ownership.of(slot=3, repository="", stack="t"))
    assert own.contradicts(Ownership.of(slot=4, repository="", stack="s"))
    assert own.contradicts(Ownership.of(slot=3, repository="org/other", stack="s"))
