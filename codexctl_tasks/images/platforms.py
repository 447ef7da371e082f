"""Platforms of images (pure): ``linux/arm64``, ``linux/arm/v7``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLATFORM = re.compile(
    r"(?P<os>[a-z0-9]+)/(?P<architecture>[a-z0-9_]+)(?:/(?P<variant>[a-z0-9]+))?"
)
_USUAL_VARIANTS = {"arm64": "v8", "arm": "v7"}
_OTHER_NAMES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Platform:
    """What an image runs on."""

    os: str
    architecture: str
    variant: str = ""
    """Empty: the usual one."""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))

    def fits(self, other: Platform) -> bool:
        """Tell whether an image for *other* is what is asked for."""
        usual = _USUAL_VARIANTS.get(self.architecture, "")
        variants = {self.variant or usual, self.variant or ""}
        same = (self.os, self.architecture) == (other.os, other.architecture)
        return same and (other.variant in variants or (other.variant or usual) in variants)


def parse_platform(text: str) -> Platform:
    """
    Read what the user has written.

    Raises:
        UsageError: It is no platform.
    """
    found = _PLATFORM.fullmatch(text.strip().lower())
    if found is None:
        raise UsageError("--platform", f"{text!r} is no platform", "write OS/ARCHITECTURE")
    architecture = _OTHER_NAMES.get(found["architecture"], found["architecture"])
    return Platform(found["os"], architecture, found["variant"] or "")


def read_platform(said: Mapping[str, Any]) -> Platform:
    """Return the platform that an index, or the configuration of an image, names."""
    return Platform(
        *(str(said.get(key) or "") for key in ("os", "architecture", "variant")),
    )
