"""The images of a stack (pure): what is mirrored from where, what is built from what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from codexctl_tasks.errors import CodexctlError, CombinedError, ConfigurationError
from codexctl_tasks.references import Reference, parse_reference
from codexctl_tasks.stack.files import inside

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from codexctl_tasks.errors import Location
    from codexctl_tasks.stack.loading import LoadedStack
    from codexctl_tasks.stack.model import Image
    from codexctl_tasks.stack.validation import KeyPath

IMAGE_SCHEME = "docker-image://"
"""Before a named context that is an image, as buildx and buildctl write it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class External:
    """An image that is mirrored."""

    name: str
    """Its key under ``images``."""
    source: Reference
    target: Reference
    """In the project's registry; always with a tag."""
    location: Location


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """An image that is built."""

    name: str
    """Its key under ``images``."""
    target: Reference
    """Always with a tag."""
    dockerfile: Path
    """Absolute; it exists."""
    context: Path
    """Absolute; it is a folder."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, Path | Reference] = field(default_factory=dict)
    """Named contexts: folders, absolute, or images."""
    location: Location


@dataclass(frozen=True, kw_only=True, slots=True)
class Catalogue:
    """All images of a stack, in the order of the file."""

    externals: tuple[External, ...] = ()
    builds: tuple[Build, ...] = ()


def catalogue_of(loaded: LoadedStack) -> Catalogue:
    """
    Return the images of a rendered stack; entries without a type are only names for templates.

    Raises:
        CombinedError: Everything that is wrong with them, with file and line.
    """
    externals: list[External] = []
    builds: list[Build] = []
    problems: list[CodexctlError] = []
    for name, image in loaded.stack.images.items():
        entry = _Entry(loaded, name, image)
        try:
            if image.type == "external":
                externals.append(entry.external())
            elif image.type == "build":
                builds.append(entry.build())
        except CodexctlError as error:
            problems.extend(error.problems)
    if problems:
        raise CombinedError(problems)
    return Catalogue(externals=tuple(externals), builds=tuple(builds))


class _Entry:
    """One entry of ``images``."""

    def __init__(self, loaded: LoadedStack, name: str, image: Image) -> None:
        self._loaded, self._name, self._image = loaded, name, image
        self._path: KeyPath = ("images", name)

    def external(self) -> External:
        return External(
            name=self._name,
            source=self._reference(self._image.source, "from"),
            target=self._target(self._image.local, "local"),
            location=self._loaded.document.location(self._path),
        )

    def build(self) -> Build:
        image = self._image
        return Build(
            name=self._name,
            target=self._target(self._loaded.image_name(self._name), "repository"),
            dockerfile=self._file(image.dockerfile),
            context=self._folder(image.context, "context"),
            arguments={
                key: self._again(value, "buildArgs", key) for key, value in image.build_args.items()
            },
            contexts={
                key: self._named_context(self._again(value, "buildContexts", key), key)
                for key, value in image.build_contexts.items()
            },
            location=self._loaded.document.location(self._path),
        )

    def _again(self, text: str, *keys: str) -> str:
        return self._loaded.render_again(text, (*self._path, *keys))

    def _reference(self, text: str, key: str) -> Reference:
        try:
            return parse_reference(text)
        except ValueError:
            raise self._error(
                (key,), "is no reference of an image", "write HOST/NAME:TAG"
            ) from None

    def _target(self, text: str, key: str) -> Reference:
        found = self._reference(text, key)
        if found.digest or not found.tag:
            raise self._error((key,), "names no tag to push to", "write HOST/NAME:TAG")
        return found

    def _file(self, text: str) -> Path:
        found = self._inside(text, "dockerfile")
        if not found.is_file():
            what, fix = "names a file that does not exist", "paths are relative to services.yaml"
            raise self._error(("dockerfile",), what, fix)
        return found

    def _folder(self, text: str, *keys: str) -> Path:
        found = self._inside(text, *keys)
        if not found.is_dir():
            what, fix = "names a folder that does not exist", "paths are relative to services.yaml"
            raise self._error(keys, what, fix)
        return found

    def _inside(self, text: str, *keys: str) -> Path:
        root = self._loaded.source.config.resolve().parent
        found = inside(root, text.strip())
        if found is None:
            what, fix = "leads out of the project", "keep it below the folder of services.yaml"
            raise self._error(keys, what, fix)
        return found

    def _named_context(self, text: str, key: str) -> Path | Reference:
        if text.startswith(IMAGE_SCHEME):
            return self._reference(text.removeprefix(IMAGE_SCHEME), "buildContexts")
        return self._folder(text, "buildContexts", key)

    def _error(self, keys: tuple[str, ...], what: str, fix: str) -> ConfigurationError:
        place, path = self._loaded.find((*self._path, *keys))
        return ConfigurationError(place, f"{path} {what}", fix)
