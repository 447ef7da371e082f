"""Parts of tests of builds: a project on disk, a registry in memory, a builder that packs files."""

from __future__ import annotations

import hashlib
import json
import threading
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import Location
from codexctl_tasks.images.catalogue import Build, External
from codexctl_tasks.references import Reference, parse_reference
from codexctl_tasks.registry.interface import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    Descriptor,
    Manifest,
    RegistryError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from codexctl_tasks.images.backend import BuildError, BuildOrder


def manifest_of(text: str, *, size: int = 1000) -> Manifest:
    """Return the manifest of an image with one layer, which *text* makes different from others."""
    layer = {"digest": f"sha256:{hashlib.sha256(text.encode()).hexdigest()}", "size": size}
    content = {"schemaVersion": 2, "layers": [layer], "annotations": {"text": text}}
    return Manifest(json.dumps(content).encode(), MANIFEST_TYPES[0])


def index_of(*manifests: Manifest) -> Manifest:
    """Return the index of some manifests."""
    children = [
        {"mediaType": each.media_type, "digest": each.digest, "size": len(each.raw)}
        for each in manifests
    ]
    content = {"schemaVersion": 2, "manifests": children}
    return Manifest(json.dumps(content).encode(), INDEX_TYPES[0])


class FakeRegistry:
    """All registries, in memory."""

    def __init__(self) -> None:
        self.tags_on: dict[Reference, str] = {}
        self.manifests: dict[Reference, Manifest] = {}
        self.broken: dict[str, RegistryError] = {}
        """By name of the repository."""
        self.calls: list[tuple[str, Reference]] = []
        self.lock = threading.Lock()

    def add(self, text: str, manifest: Manifest | None = None) -> str:
        """Put an image under a tag and return its digest."""
        reference = parse_reference(text)
        made = manifest or manifest_of(text)
        self.manifests[reference.with_digest(made.digest)] = made
        if reference.tag:
            self.tags_on[reference] = made.digest
        return made.digest

    def find(self, reference: Reference, *, for_writing: bool = False) -> Descriptor | None:  # noqa: ARG002
        """See `Registry.find`."""
        found = self._look("find", reference)
        return Descriptor(found.digest, found.media_type, len(found.raw)) if found else None

    def fetch(self, reference: Reference) -> Manifest | None:
        """See `Registry.fetch`."""
        return self._look("fetch", reference)

    def store(self, reference: Reference, manifest: Manifest) -> None:
        """See `Registry.store`."""
        with self.lock:
            self.calls.append(("store", reference))
            self._check(reference)
            self.manifests[reference.with_digest(manifest.digest)] = manifest
            if reference.tag:
                self.tags_on[reference] = manifest.digest

    def count(self, call: str) -> int:
        """Return how often something was called."""
        return sum(each == call for each, _ in self.calls)

    def _look(self, call: str, reference: Reference) -> Manifest | None:
        with self.lock:
            self.calls.append((call, reference))
            self._check(reference)
            digest = reference.digest or self.tags_on.get(reference, "")
            return self.manifests.get(reference.with_digest(digest))

    def _check(self, reference: Reference) -> None:
        if error := self.broken.get(reference.name):
            raise error


class FakeBackend:
    """A builder whose images say how often it has built."""

    name = "fake"

    def __init__(self, registry: FakeRegistry) -> None:
        self.orders: list[BuildOrder] = []
        self.fails: dict[str, BuildError] = {}
        self.lines: list[str] = []
        self.during: Callable[[BuildOrder], None] = lambda _: None
        """Called while an image is built."""
        self._registry = registry

    def build(self, order: BuildOrder, *, tell: Callable[[str], None], deadline_s: float) -> str:
        """See `Backend.build`."""
        assert deadline_s > 0
        self.orders.append(order)
        number = len(self.orders)
        for line in self.lines:
            tell(line)
        self.during(order)
        if error := self.fails.get(order.name):
            raise error
        if not order.push:
            return ""
        manifest = manifest_of(f"{order.name} {number}")
        self._registry.store(order.target, manifest)
        return manifest.digest

    @property
    def built(self) -> list[str]:
        """Names of what was built, in this order."""
        return [order.name for order in self.orders]


class Project:
    """A folder with the contexts of builds."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._line = 0

    def write(self, path: str, text: str = "") -> Path:
        """Write a file and return it."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def build(
        self,
        name: str,
        dockerfile: str = "FROM scratch\nCOPY . /\n",
        *,
        tag: str = "1",
        arguments: Mapping[str, str] | None = None,
        contexts: Mapping[str, Path | Reference] | None = None,
        **other: Any,
    ) -> Build:
        """Return a build whose context is a folder of its own with one file."""
        file = self.write(f"{name}/Dockerfile", dockerfile)
        if not (self.root / name / "app").exists():
            self.write(f"{name}/app", f"this is {name}\n")
        self._line += 10
        return Build(
            name=name,
            target=parse_reference(f"registry.test/{name}:{tag}"),
            dockerfile=file,
            context=file.parent,
            arguments=arguments or {},
            contexts=contexts or {},
            location=Location("services.yaml", self._line),
            **other,
        )

    def external(self, name: str) -> External:
        """Return an image that is mirrored."""
        self._line += 10
        return External(
            name=name,
            source=parse_reference(f"docker.io/library/{name}:1"),
            target=parse_reference(f"registry.test/mirror/{name}:1"),
            location=Location("services.yaml", self._line),
        )
