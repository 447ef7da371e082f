"""Addresses of sandboxes that run side by side."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import pytest

from sandbox import addresses
from sandbox.addresses import CHOICES, Addresses
from sandbox.errors import SandboxError

if TYPE_CHECKING:
    from pathlib import Path


def test_no_two_sandboxes_share_a_network() -> None:
    """Whatever two numbers are chosen, their networks, ports and names differ."""
    every = [Addresses(number) for number in range(CHOICES)]
    networks = [ipaddress.ip_network(n) for a in every for n in (a.cable, a.pods, a.services)]
    assert len(set(networks)) == 3 * CHOICES
    assert not any(a.overlaps(b) for i, a in enumerate(networks) for b in networks[i + 1 :])
    assert len({a.registry_port for a in every}) == CHOICES
    assert max(len(a.link) for a in every) <= 15


def test_a_checkout_always_gets_the_same_addresses() -> None:
    """The same path leads to the same first choice, another path usually to another."""
    assert addresses.first_choice("/src/shop") == addresses.first_choice("/src/shop")
    assert addresses.first_choice("/src/shop") != addresses.first_choice("/src/shop2")


def test_what_is_taken_is_skipped() -> None:
    """The next free number is used, going round at the end."""
    first = addresses.first_choice("/src/shop")
    taken = {first, (first + 1) % CHOICES}
    chosen = addresses.choose("/src/shop", lambda a: a.number not in taken)
    assert chosen.number == (first + 2) % CHOICES


def test_no_free_addresses_is_one_line() -> None:
    """When nothing is free, the reader learns what to do."""
    with pytest.raises(SandboxError, match=r"addresses: all 64 .* down --wipe"):
        addresses.choose("/src/shop", lambda _: False)


@pytest.mark.parametrize(
    ("route", "collides"),
    [
        ("10.213.3.0/30", True),
        ("10.214.12.7", True),
        ("10.215.0.0/16", True),
        ("10.0.0.0/8", False),  # a VPN: our networks are more exact
        ("192.168.1.0/24", False),
    ],
)
def test_routes_that_collide(route: str, *, collides: bool) -> None:
    """A machine that uses an address range keeps it."""
    assert addresses.overlaps(Addresses(3), [route]) is collides


def test_the_choice_is_recorded(tmp_path: Path) -> None:
    """A sandbox keeps its addresses, and others see them, running or not."""
    mine, other = tmp_path / "mine", tmp_path / "other"
    for folder, number in ((mine, 5), (other, 9)):
        folder.mkdir()
        addresses.record(folder, Addresses(number))
    assert addresses.recorded(mine) == Addresses(5)
    assert addresses.recorded_by_others(mine) == {9}


def test_a_damaged_record_is_no_record(tmp_path: Path) -> None:
    """A half-written state folder is mended by choosing anew."""
    (tmp_path / "number").write_text("nonsense")
    assert addresses.recorded(tmp_path) is None
