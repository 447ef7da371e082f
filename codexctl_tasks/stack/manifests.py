"""Desired objects and where each was written."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from codexctl_tasks.errors import CodexctlError, CombinedError, ConfigurationError, Location

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from codexctl_tasks.stack.documents import Document

KeyPath = tuple[str | int, ...]

WAVE_ANNOTATION = "codexctl/wave"
"""Objects of a wave are applied when everything of the waves before it is healthy."""

CLUSTER_WIDE_KINDS = frozenset(
    {
        "Namespace",
        "ClusterRole",
        "ClusterRoleBinding",
        "PersistentVolume",
        "StorageClass",
        "PriorityClass",
        "IngressClass",
        "CustomResourceDefinition",
        "APIService",
        "ValidatingWebhookConfiguration",
        "MutatingWebhookConfiguration",
    }
)
"""Kinds that never get a namespace written into them; the server decides about the others."""


class ObjectName(NamedTuple):
    """Identity of an object on the server."""

    api_version: str
    kind: str
    namespace: str
    """Empty: none given, or the kind is cluster-wide."""
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else self.short

    @property
    def short(self) -> str:
        """Kind and name, for lines whose namespace is clear."""
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """One desired object."""

    name: ObjectName
    body: Mapping[str, Any] = field(repr=False)
    location: Location
    wave: int = 0
    file: str = ""
    """The file that ``services.yaml`` names, relative to it; *location* may be in an included
    one. Empty: not from a file."""
    item: str = ""
    """The item it belongs to: ``service web``; empty: none, as of plain manifests."""
    locate: Callable[[Sequence[str | int]], Location] = field(repr=False, compare=False)
    """Finds the line of a field, given its path in *body*."""


def read_manifests(
    documents: Iterable[Document],
    *,
    namespace: str = "",
    drop_kinds: Collection[str] = (),
    file: str = "",
) -> Iterator[Manifest]:
    """
    Turn YAML documents into manifests; the items of a ``List`` become objects of their own.

    Args:
        documents: Of one file, in order.
        namespace: Given to objects that name none and are not cluster-wide; empty: to nobody.
        drop_kinds: Kinds to leave out, in lower case.
        file: See `Manifest.file`.

    Raises:
        CombinedError: Documents that are no Kubernetes objects, all of them at once.
    """
    problems: list[CodexctlError] = []
    for document in documents:
        try:
            objects = list(_objects(document))
        except ConfigurationError as error:
            problems.append(error)
            continue
        for body, path in objects:
            kind = body.get("kind") if isinstance(body, dict) else None
            if isinstance(kind, str) and kind.strip().lower() in drop_kinds:
                continue
            try:
                yield _manifest(document, body, path, namespace, file)
            except ConfigurationError as error:
                problems.append(error)
    if problems:
        raise CombinedError(problems)


def namespace_manifest(namespace: str, origin: str) -> Manifest:
    """Return the manifest of a namespace that no file declares; *origin* implies it."""
    place = Location(origin)
    return Manifest(
        name=ObjectName("v1", "Namespace", "", namespace),
        body={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        location=place,
        locate=lambda _: place,
    )


def without_duplicates(manifests: Iterable[Manifest]) -> tuple[Manifest, ...]:
    """
    Return the manifests, each object once: two items may share a file.

    Raises:
        CombinedError: Manifests describe the same object differently.
    """
    first: dict[ObjectName, Manifest] = {}
    problems: list[CodexctlError] = []
    for manifest in manifests:
        earlier = first.setdefault(manifest.name, manifest)
        if earlier is not manifest and earlier.body != manifest.body:
            what = f"{manifest.name} is declared twice, first at {earlier.location}"
            problems.append(ConfigurationError(manifest.location, what, "remove one of them"))
    if problems:
        raise CombinedError(problems)
    return tuple(first.values())


def _objects(document: Document) -> Iterator[tuple[Any, KeyPath]]:
    value = document.value
    if not isinstance(value, dict) or value.get("kind") != "List":
        yield value, ()
        return
    items = value.get("items") or []
    if not isinstance(items, list):
        raise ConfigurationError(
            document.location(("items",)), "items is not a list", "begin each entry with '- '"
        )
    for index, item in enumerate(items):
        yield item, ("items", index)


def _manifest(document: Document, body: Any, path: KeyPath, namespace: str, file: str) -> Manifest:
    place = document.location(path)
    if not isinstance(body, dict):
        raise ConfigurationError(
            place, "is not a Kubernetes object but a list or plain text", "start with apiVersion:"
        )
    metadata = _mapping(document, body, "metadata", path)
    annotations = _mapping(document, metadata, "annotations", (*path, "metadata"))
    if metadata.get("generateName") and not metadata.get("name"):
        raise ConfigurationError(
            document.location((*path, "metadata", "generateName")),
            "has generateName, which cannot be applied twice",
            "give metadata.name",
        )
    api_version = _text(document, body, "apiVersion", path)
    kind = _text(document, body, "kind", path)
    name = _text(document, metadata, "name", (*path, "metadata"))
    own = metadata.get("namespace")
    is_blank = not own or (isinstance(own, str) and not own.strip())
    if namespace and kind not in CLUSTER_WIDE_KINDS and is_blank:
        metadata = {**metadata, "namespace": namespace}
        body = {**body, "metadata": metadata}
    own_namespace = ""
    if metadata.get("namespace") not in (None, ""):
        own_namespace = _text(document, metadata, "namespace", (*path, "metadata"))
    for key, part in (("name", name), ("namespace", own_namespace)):
        if part in (".", "..") or "/" in part or "%" in part:  # would lead to another URL
            raise ConfigurationError(
                document.location((*path, "metadata", key)),
                f"metadata.{key} {part!r} is no name of an object",
                "names hold no / and no %",
            )
    return Manifest(
        name=ObjectName(api_version, kind, own_namespace, name),
        body=body,
        location=place,
        wave=_wave(document, annotations, path),
        file=file,
        locate=lambda field_path: document.location((*path, *field_path)),
    )


def _mapping(document: Document, parent: dict[str, Any], key: str, path: KeyPath) -> dict[str, Any]:
    value = parent.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigurationError(
            document.location((*path, key)),
            f"{_dotted((*path, key))} is not a mapping",
            f"write {key}: {{name: value}}",
        )
    return value


def _text(document: Document, parent: dict[str, Any], key: str, path: KeyPath) -> str:
    value = parent.get(key)
    if isinstance(value, str) and value.strip():
        return value
    what, fix = "is missing", "add it"
    if key in parent:
        what, fix = "is empty", "give it a value"
        if isinstance(value, dict | list):
            what, fix = "is not a text", "write one value"
        elif value is not None and not isinstance(value, str):
            what, fix = f"is {json.dumps(value)}, not a text", "put it in quotes"
    place = document.location((*path, key))
    raise ConfigurationError(place, f"{_dotted((*path, key))} {what}", fix)


def _dotted(path: KeyPath) -> str:
    return ".".join(step for step in path if isinstance(step, str) and step != "items")


def _wave(document: Document, annotations: dict[str, Any], path: KeyPath) -> int:
    value = annotations.get(WAVE_ANNOTATION, "0")
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,6}", value):
        return int(value)
    raise ConfigurationError(
        document.location((*path, "metadata", "annotations", WAVE_ANNOTATION)),
        f"{WAVE_ANNOTATION} {value!r} is no whole number in quotes",
        'write "1" or "-1"',
    )
