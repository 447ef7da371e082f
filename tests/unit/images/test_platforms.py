"""Platforms as people and images write them."""

from __future__ import annotations

import pytest

from codexctl_tasks.errors import UsageError
from codexctl_tasks.images.platforms import Platform, parse_platform, read_platform


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", Platform("linux", "amd64")),
        (" Linux/ARM64 ", Platform("linux", "arm64")),
        ("linux/arm/v7", Platform("linux", "arm", "v7")),
        ("linux/x86_64", Platform("linux", "amd64")),
        ("linux/aarch64", Platform("linux", "arm64")),
    ],
)
def test_platforms(text: str, platform: Platform) -> None:
    """As in other programs, and by the names that uname has."""
    assert parse_platform(text) == platform


@pytest.mark.parametrize("text", ["amd64", "linux/", "linux/amd64,linux/arm64", "all", "a/b/c/d"])
def test_what_is_no_platform(text: str) -> None:
    """Exactly one, or none is given and it is all of them."""
    with pytest.raises(UsageError, match="is no platform: write OS/ARCHITECTURE"):
        parse_platform(text)


@pytest.mark.parametrize(
    ("asked", "offered", "fits"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/amd64", "linux/arm64", False),
        ("linux/amd64", "windows/amd64", False),
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm64", "linux/arm64/v9", False),
        ("linux/arm", "linux/arm/v7", True),
        ("linux/arm", "linux/arm/v6", False),
        ("linux/arm/v6", "linux/arm/v6", True),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("linux/arm/v6", "linux/arm", False),
    ],
)
def test_which_fit(asked: str, offered: str, fits: bool) -> None:
    """A variant that is not said is the usual one."""
    assert parse_platform(asked).fits(parse_platform(offered)) is fits


def test_what_images_say() -> None:
    """With keys that may be missing."""
    assert read_platform({"os": "linux", "architecture": "arm", "variant": "v7"}) == (
        Platform("linux", "arm", "v7")
    )
    assert read_platform({"os": None}) == Platform("", "")
    assert str(Platform("linux", "arm", "v7")) == "linux/arm/v7"
