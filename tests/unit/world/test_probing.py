"""Names and their addresses, within a time."""

from __future__ import annotations

import threading
from typing import Any

from codexctl_tasks.world.probing import SystemNetwork


def test_addresses_are_their_own() -> None:
    """No resolver is asked for them."""
    network = SystemNetwork()

    assert network.resolve("127.0.0.1", 5) == ["127.0.0.1"]
    assert network.resolve("::1", 5) == ["::1"]


def test_each_address_is_returned_once() -> None:
    """The system answers once per kind of socket."""

    def look_up(name: str, *_: Any, **__: Any) -> list[tuple[Any, ...]]:
        assert name == "shop.test"
        return [(0, 0, 0, "", ("192.0.2.1", 0)), (0, 0, 0, "", ("192.0.2.1", 0))]

    assert SystemNetwork(look_up).resolve("shop.test", 5) == ["192.0.2.1"]


def test_a_name_without_address() -> None:
    """Whether the resolver says no, or the name can be none: there is no address."""

    def refuse(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        raise OSError("Name or service not known")

    assert SystemNetwork(refuse).resolve("nothing.test", 5) == []
    assert SystemNetwork().resolve("a" * 64 + ".test", 5) == []


def test_a_resolver_that_hangs_does_not_hold_anybody_up() -> None:
    """The system's own time limits are longer than a step."""
    over = threading.Event()

    def hang(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        over.wait()
        return []

    assert SystemNetwork(hang).resolve("slow.test", 0.05) == []
    over.set()
