"""Mirroring from one docker-registry into another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.images.conftest import words
from tests.support.images import layer

if TYPE_CHECKING:
    from tests.images.conftest import Bench


def test_an_image_is_copied_and_then_left_alone(bench: Bench) -> None:
    """Byte by byte; and when nothing has changed, two HEAD requests are all."""
    entry = bench.pusher.image("plain", "1", [layer("plain", 100_000)])

    first = bench.mirror("plain:1")

    assert words(first) == ["copied"], first[0].error
    assert first[0].digest == entry["digest"]
    assert first[0].moved > 100_000
    assert bench.arrived.raw("mirror/plain", "1") == bench.pusher.raw("plain", "1")

    assert words(bench.mirror("plain:1")) == ["unchanged"]
    assert bench.source.lines() == ["HEAD /v2/plain/manifests/1"]
    assert bench.target.lines() == ["HEAD /v2/mirror/plain/manifests/1"]
