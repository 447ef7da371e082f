"""
The content hash of a build: what it is made of, so that the same need not be built twice.

What a build fetches by itself (packages, addresses of ``ADD``) is not in it, nor are the ignore
files, of which only the effect counts, nor the version of the builder.
"""

from __future__ import annotations

import hashlib
import json
import platform as machine
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from codexctl_tasks.errors import CodexctlError, CombinedError, ConfigurationError
from codexctl_tasks.images.contexts import Content, FileHashes
from codexctl_tasks.images.dockerfile import Needed, needed_images
from codexctl_tasks.images.ignoring import ignore_file_of, read_rules
from codexctl_tasks.stack.files import display, read_text
from codexctl_tasks.world.parallel import in_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from codexctl_tasks.images.catalogue import Build
    from codexctl_tasks.references import Reference
    from codexctl_tasks.registry.interface import Registry

FORMAT = "codexctl 1"
"""Changes when the same content must get another hash."""
LARGE_CONTEXT = 500 * 1000 * 1000
"""In bytes; what is larger than this is hardly ever meant."""
_DIGITS = 32
_LARGEST = 3
_LOOKUPS = 8
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def native_platform() -> str:
    """Return the platform of this machine, as builders call it."""
    name = machine.machine().lower()
    return f"linux/{_ARCHITECTURES.get(name, name)}"


class Digests:
    """What tags stand for at present; each is looked up once."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: dict[Reference, str] = {}
        self._lock = threading.Lock()

    def know(self, reference: Reference, digest: str) -> None:
        """Remember what has just been pushed."""
        with self._lock:
            self._known[reference] = digest

    def look_up(self, needed: Iterable[Needed]) -> dict[Reference, str]:
        """
        Return the digest of each image, in the same order.

        Raises:
            CombinedError: All that do not exist or that a registry does not tell.
        """
        images = list(needed)
        found: dict[Reference, str] = {}
        problems: list[CodexctlError] = []
        for image, answer in in_parallel(self._answer, images, limit=_LOOKUPS):
            if isinstance(answer, CodexctlError):
                problems.append(answer)
            else:
                found[image.reference] = answer
        if problems:
            raise CombinedError(problems)
        return {image.reference: found[image.reference] for image in images}

    def _answer(self, needed: Needed) -> str | CodexctlError:
        try:
            return self._look_up(needed)
        except CodexctlError as error:
            return error

    def _look_up(self, needed: Needed) -> str:
        reference = needed.reference
        if digest := reference.digest or self._known.get(reference):
            return digest
        found = self._registry.find(reference)
        if found is None:
            fix = "check name and tag, and whether the registry wants a login"
            raise ConfigurationError(needed.location, f"{reference} does not exist", fix)
        self.know(reference, found.digest)
        return found.digest


def images_of(build: Build, platform: str = "") -> tuple[Needed, ...]:
    """
    Return the images that a build pulls, those of its named contexts included.

    Raises:
        ConfigurationError: The Dockerfile has a mistake, with its line.
    """
    name = display(build.dockerfile)
    found = needed_images(
        read_text(build.dockerfile, name),
        name,
        arguments=build.arguments,
        contexts=build.contexts,
        platform=platform or native_platform(),
    )
    named = (each for each in build.contexts.values() if not isinstance(each, Path))
    return (*found, *(Needed(reference, build.location) for reference in named))


class Fingerprints:
    """Makes content hashes."""

    def __init__(self, hashes: FileHashes, warn: Callable[[str], None], platform: str) -> None:
        """
        Prepare for builds of one run.

        Args:
            hashes: Of the files that were read already.
            warn: Is told of contexts that are too large to be meant.
            platform: Which is built; empty: that of this machine.
        """
        self._hashes, self._warn = hashes, warn
        self._platform = platform or native_platform()

    def of(self, build: Build, digests: Mapping[Reference, str]) -> str:
        """
        Return the content hash of a build, 32 hexadecimal digits.

        Args:
            build: What is built.
            digests: Of all images that it pulls, in the order of `images_of`. Only the digests
                count: the name of a named context may hold the tag of this very run.

        Raises:
            ConfigurationError: A file cannot be read.
        """
        context = self._folder(
            build, build.context, ignore_file_of(build.context, build.dockerfile)
        )
        parts = {
            "format": FORMAT,
            "dockerfile": read_text(build.dockerfile, display(build.dockerfile)),
            "arguments": dict(build.arguments),
            "platform": self._platform,
            "context": context,
            "contexts": {
                name: self._folder(build, named, ignore_file_of(named))
                if isinstance(named, Path)
                else digests[named]
                for name, named in build.contexts.items()
            },
            "images": list(digests.values()),
        }
        text = json.dumps(parts, sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:_DIGITS]

    def _folder(self, build: Build, folder: Path, ignore_file: Path | None) -> str:
        content = Content(folder, read_rules(ignore_file))
        if content.size > LARGE_CONTEXT:
            self._warn(_too_large(build, content))
        return self._hashes.of_content(content)


def _too_large(build: Build, content: Content) -> str:
    largest = ", ".join(f"{name} {_size(size)}" for name, size in content.largest(_LARGEST))
    return (
        f"{build.location}: the build of {build.name} sees {_size(content.size)} in "
        f"{display(content.folder)} (largest: {largest}): leave out in .dockerignore what the "
        "image does not need"
    )


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"  # noqa: PLR2004
