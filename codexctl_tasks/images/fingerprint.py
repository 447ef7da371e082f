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
from codexctl_tasks.images.dockerfile import Needed, needed_images, pulled
from codexctl_tasks.images.ignoring import ignore_file_of, read_rules
from codexctl_tasks.registry.interface import Descriptor, RegistryError
from codexctl_tasks.stack.files import display, read_text
from codexctl_tasks.world.parallel import in_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

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
        self._known: dict[Reference, Descriptor | RegistryError | None] = {}

    def know(self, reference: Reference, digest: str) -> None:
        """Remember what has just been pushed."""
        self._known[reference] = Descriptor(digest)

    def look_up(self, needed: Iterable[Needed]) -> None:
        """Ask the registries for all of these side by side, and remember what they answer."""
        references = {each.reference: None for each in needed if not each.reference.digest}
        unknown = [reference for reference in references if reference not in self._known]
        self._known.update(in_parallel(self._ask, unknown, limit=_LOOKUPS))

    def of(self, needed: Sequence[Needed]) -> dict[Reference, str]:
        """
        Return the digest of each image, in the same order.

        That of a frontend is empty where it cannot be had: not every builder needs it.

        Raises:
            CombinedError: All that do not exist or of which a registry does not tell.
        """
        self.look_up(needed)
        problems = [problem for each in needed if (problem := self._problem(each))]
        if problems:
            raise CombinedError(problems)
        return {each.reference: self._digest(each.reference) for each in needed}

    def _ask(self, reference: Reference) -> Descriptor | RegistryError | None:
        try:
            return self._registry.find(reference)
        except RegistryError as error:
            return error

    def _digest(self, reference: Reference) -> str:
        known = self._known.get(reference)
        return known.digest if isinstance(known, Descriptor) else reference.digest

    def _problem(self, needed: Needed) -> CodexctlError | None:
        known = self._known.get(needed.reference)
        if needed.is_frontend or self._digest(needed.reference):
            return None
        if isinstance(known, RegistryError):
            return known
        fix = "check name and tag; mirror it first if it is one of images"
        return ConfigurationError(needed.location, f"{needed.reference} does not exist", fix)


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
    return (*found, *(Needed(pulled(reference), build.location) for reference in named))


class Fingerprints:
    """Makes content hashes for the builds of one run; a folder is looked at once."""

    def __init__(self, warn: Callable[[str], None], platform: str = "") -> None:
        """
        Prepare.

        Args:
            warn: Is told of contexts that are hardly meant so.
            platform: Which is built; empty: that of this machine.
        """
        self._warn, self._platform = warn, platform or native_platform()
        self._files = FileHashes()
        self._folders: dict[tuple[Path, Path | None], str] = {}
        self._lock = threading.Lock()

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
        ignore_file = ignore_file_of(build.context, build.dockerfile)
        parts = {
            "format": FORMAT,
            "dockerfile": read_text(build.dockerfile, display(build.dockerfile)),
            "arguments": dict(build.arguments),
            "platform": self._platform,
            "context": self._folder(build, build.context, ignore_file),
            "contexts": {
                name: self._folder(build, named, ignore_file_of(named))
                if isinstance(named, Path)
                else digests[pulled(named)]
                for name, named in build.contexts.items()
            },
            "images": list(digests.values()),
        }
        text = json.dumps(parts, sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:_DIGITS]

    def _folder(self, build: Build, folder: Path, ignore_file: Path | None) -> str:
        with self._lock:
            if (folder, ignore_file) not in self._folders:
                content = Content(folder, read_rules(ignore_file))
                for warning in _warnings(build, content):
                    self._warn(f"{build.location}: {warning}")
                self._folders[folder, ignore_file] = self._files.of_content(content)
            return self._folders[folder, ignore_file]


def _warnings(build: Build, content: Content) -> Iterator[str]:
    """Yield what is odd about what a build sees of a folder."""
    folder = display(content.folder)
    if content.has(".git"):
        yield (
            f"the build of {build.name} sees {folder}/.git, which differs in every checkout, so "
            "that it is built in every run: add .git to .dockerignore"
        )
    if content.size > LARGE_CONTEXT:
        largest = ", ".join(f"{name} {_size(size)}" for name, size in content.largest(_LARGEST))
        yield (
            f"the build of {build.name} sees {_size(content.size)} in {folder} (largest: "
            f"{largest}): leave out in .dockerignore what the image does not need"
        )


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"  # noqa: PLR2004
