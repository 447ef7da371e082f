"""A registry that is a dictionary, and a cluster in which all kinds of workloads can be read."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from codexctl_tasks.images.usage import WORKLOADS
from codexctl_tasks.registry.interface import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    Descriptor,
    Manifest,
    RegistryError,
)
from codexctl_tasks.world.cluster import Resource
from tests.support.fakes import FakeCluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from codexctl_tasks.references import Reference


class FakeRegistry:
    """
    All registries, by repository (``host/name``).

    ``refusals`` maps a verb and a repository to the error that it gets; ``before`` is called
    with each verb and reference before anything is done about it.
    """

    def __init__(self) -> None:
        self.manifests: dict[str, dict[str, Manifest]] = defaultdict(dict)
        self.tagged: dict[str, dict[str, str]] = defaultdict(dict)
        self.blobs: dict[str, bytes] = {}
        self.refusals: dict[tuple[str, str], RegistryError] = {}
        self.before: Callable[[str, Reference], None] = lambda _, __: None
        self.deleted: list[str] = []

    def push(
        self, reference: Reference, created: str | None, *, seed: str = "", layer: int = 1000
    ) -> str:
        """Store an image and return its digest; the tag is left out when it is empty."""
        config = self._blob({"created": created, "seed": seed or str(reference)})
        content = {
            "config": {"digest": config, "size": len(self.blobs[config])},
            "layers": [{"digest": f"sha256:{_hash(f'layer {seed or reference}')}", "size": layer}],
        }
        return self._store(reference, content, MANIFEST_TYPES[0])

    def push_index(self, reference: Reference, children: Iterable[str]) -> str:
        """Store an index of manifests that are there, and return its digest."""
        content = {"manifests": [{"digest": child} for child in children]}
        return self._store(reference, content, INDEX_TYPES[0])

    def tag(self, reference: Reference, digest: str) -> None:
        """Let a tag lead to an image."""
        self.tagged[reference.name][reference.tag] = digest

    def configuration(self, reference: Reference, digest: str) -> str:
        """Return the digest of an image's configuration."""
        return str(self.manifests[reference.name][digest].content["config"]["digest"])

    def find(self, reference: Reference, *, for_writing: bool = False) -> Descriptor | None:
        """Return what a tag or digest stands for."""
        del for_writing
        self._ask("find", reference)
        found = self._found(reference)
        return Descriptor(found.digest, found.media_type, len(found.raw)) if found else None

    def fetch(self, reference: Reference) -> Manifest | None:
        """Return a manifest."""
        self._ask("fetch", reference)
        return self._found(reference)

    def store(self, reference: Reference, manifest: Manifest) -> None:
        """Store a manifest."""
        self._ask("store", reference)
        self.manifests[reference.name][manifest.digest] = manifest
        if reference.tag:
            self.tag(reference, manifest.digest)

    def delete(self, reference: Reference) -> bool:
        """Delete a manifest, with its tags."""
        self._ask("delete", reference)
        tags = self.tagged[reference.name]
        for tag in [tag for tag, digest in tags.items() if digest == reference.digest]:
            del tags[tag]
        gone = self.manifests[reference.name].pop(reference.digest, None)
        self.deleted += [reference.digest] if gone else []
        return gone is not None

    def tags(self, repository: Reference) -> list[str]:
        """Return all tags."""
        self._ask("tags", repository)
        return list(self.tagged[repository.name])

    def has_blob(self, repository: Reference, digest: str) -> bool:
        """Tell whether there is a blob."""
        self._ask("has_blob", repository)
        return digest in self.blobs

    def read_blob(self, repository: Reference, blob: Descriptor) -> Iterator[bytes]:
        """Yield a blob in two pieces."""
        self._ask("read_blob", repository)
        data = self.blobs.get(blob.digest)
        if data is None:
            raise RegistryError(repository.name, "there is no such blob", status=404)
        yield data[:7]
        yield data[7:]

    def mount_blob(self, repository: Reference, digest: str, source: Reference) -> bool:
        """Refuse: nobody who removes images needs that."""
        raise NotImplementedError

    def write_blob(self, repository: Reference, blob: Descriptor, pieces: Iterable[bytes]) -> None:
        """Store a blob."""
        self._ask("write_blob", repository)
        self.blobs[blob.digest] = b"".join(pieces)

    def _ask(self, verb: str, reference: Reference) -> None:
        self.before(verb, reference)
        if error := self.refusals.get((verb, reference.name)):
            raise error

    def _found(self, reference: Reference) -> Manifest | None:
        digest = reference.digest or self.tagged[reference.name].get(reference.tag, "")
        return self.manifests[reference.name].get(digest)

    def _store(self, reference: Reference, content: dict[str, Any], media_type: str) -> str:
        manifest = Manifest(json.dumps(content).encode(), media_type)
        self.manifests[reference.name][manifest.digest] = manifest
        if reference.tag:
            self.tag(reference, manifest.digest)
        return manifest.digest

    def _blob(self, content: Any) -> str:
        data = json.dumps(content).encode()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.blobs[digest] = data
        return digest


class WorkloadCluster(FakeCluster):
    """A cluster that knows all kinds of workloads, ConfigMaps, and the kinds in ``custom``."""

    def __init__(self, context: str = "main") -> None:
        super().__init__()
        self.context = context
        self.custom: list[Resource] = []
        self.before: Callable[[], None] = lambda: None

    def resources(self, *, refresh: bool = False) -> Mapping[tuple[str, str], Resource]:
        """Return the kinds."""
        del refresh
        own = (*WORKLOADS, ("v1", "ConfigMap"), ("v1", "Secret"))
        known = [
            Resource(version, kind, f"{kind.lower()}s", namespaced=True) for version, kind in own
        ]
        return {(each.api_version, each.kind): each for each in (*known, *self.custom)}

    def add(self, kind: str, name: str, **content: Any) -> None:
        """Let there be an object in the namespace ``shop``."""
        metadata = {"name": name, "namespace": "shop"}
        self.objects[kind, "shop", name] = {"kind": kind, "metadata": metadata, **content}

    def list_objects(
        self, resource: Resource, namespace: str, *, repeats: bool = True
    ) -> tuple[list[Mapping[str, Any]], str]:
        """Return the objects of a kind in all namespaces."""
        del namespace, repeats
        self.before()
        self.calls.append(f"list {resource.kind}")
        self._check_readable(resource)
        return [o for (kind, _, _), o in self.objects.items() if kind == resource.kind], "1"


def pod_spec(*images: str, **more: Any) -> dict[str, Any]:
    """Return the spec of a pod with these containers."""
    containers = [{"name": f"c{n}", "image": image} for n, image in enumerate(images)]
    return {"containers": containers, **more}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
