"""Desired objects and where each was written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from codexctl_tasks.errors import CodexctlError, CombinedError, ConfigurationError, Location

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from codexctl_tasks.stack.documents import Document

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
    locate: Callable[[Sequence[str | int]], Location] = field(repr=False, compare=False)
    """Finds the line of a field, given its path in *body*."""


def read_manifests(documents: Iterable[Document], *, namespace: str = "") -> Iterator[Manifest]:
    """
    Turn YAML documents into manifests; the items of a ``List`` become objects of their own.

    Args:
        documents: Of one file, in order.
        namespace: Given to objects that name none and are not cluster-wide; empty: to nobody.

    Raises:
        CombinedError: Documents that are no Kubernetes objects, all of them at once.
    """
    problems: list[CodexctlError] = []
    for document in documents:
        for body, path in _objects(document.value):
            try:
                yield _manifest(document, body, path, namespace)
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


def refuse_duplicates(manifests: Iterable[Manifest]) -> None:
    """Raise `CombinedError` if two manifests describe the same object."""
    first: dict[ObjectName, Manifest] = {}
    problems: list[CodexctlError] = []
    for manifest in manifests:
        earlier = first.setdefault(manifest.name, manifest)
        if earlier is not manifest:
            what = f"{manifest.name} is declared twice, first at {earlier.location}"
            problems.append(ConfigurationError(manifest.location, what, "remove one of them"))
    if problems:
        raise CombinedError(problems)


def _objects(value: Any) -> Iterator[tuple[Any, tuple[str | int, ...]]]:
    if isinstance(value, dict) and value.get("kind") == "List":
        for index, item in enumerate(value.get("items") or ()):
            yield item, ("items", index)
    else:
        yield value, ()


def _manifest(
    document: Document, body: Any, path: tuple[str | int, ...], namespace: str
) -> Manifest:
    place = document.location(path)
    if not isinstance(body, dict):
        raise ConfigurationError(
            place, "is not a Kubernetes object but a list or plain text", "start with apiVersion:"
        )
    metadata = body.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise ConfigurationError(place, "metadata is not a mapping", "write metadata: {name: ...}")
    given = {
        "apiVersion": body.get("apiVersion"),
        "kind": body.get("kind"),
        "metadata.name": metadata.get("name"),
    }
    for key, value in given.items():
        if not isinstance(value, str) or not value.strip():
            fix = (
                "names made by the server (generateName) cannot be applied twice, give a fixed one"
            )
            raise ConfigurationError(
                place,
                f"{key} is missing or not a text",
                fix if metadata.get("generateName") else "add it, in quotes if it is a number",
            )
    if namespace and body["kind"] not in CLUSTER_WIDE_KINDS and not metadata.get("namespace"):
        metadata = {**metadata, "namespace": namespace}
        body = {**body, "metadata": metadata}
    name = ObjectName(
        body["apiVersion"], body["kind"], metadata.get("namespace") or "", metadata["name"]
    )
    return Manifest(
        name=name,
        body=body,
        location=place,
        wave=_wave(document, metadata, path),
        locate=lambda field_path: document.location((*path, *field_path)),
    )


def _wave(document: Document, metadata: Mapping[str, Any], path: tuple[str | int, ...]) -> int:
    value = (metadata.get("annotations") or {}).get(WAVE_ANNOTATION, "0")
    try:
        return int(value)
    except ValueError:
        place = document.location((*path, "metadata", "annotations", WAVE_ANNOTATION))
        raise ConfigurationError(
            place, f"{WAVE_ANNOTATION} {value!r} is no whole number", 'write "1" or "-1"'
        ) from None
