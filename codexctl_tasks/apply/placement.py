"""Where each desired object lives on the server."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from codexctl_tasks.errors import ClusterError, CodexctlError, CombinedError, ConfigurationError
from codexctl_tasks.world.cluster import Resource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from codexctl_tasks.stack.manifests import Manifest, ObjectName
    from codexctl_tasks.world.cluster import Cluster


class Identity(NamedTuple):
    """What makes two names the same object: versions of a kind are views of one thing."""

    group: str
    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Placed:
    """A manifest with the address of its object."""

    manifest: Manifest
    resource: Resource
    name: ObjectName


def identity_of(name: ObjectName) -> Identity:
    """Return what stays the same when a manifest moves to another version of its kind."""
    group, slash, _ = name.api_version.rpartition("/")
    return Identity(group if slash else "", name.kind, name.namespace, name.name)


def definition_of(resource: Resource) -> str:
    """Return the name that the CustomResourceDefinition of a kind has, if it has one."""
    group, _, _ = resource.api_version.rpartition("/")
    return f"{resource.plural}.{group}"


def place(manifests: Sequence[Manifest], cluster: Cluster) -> list[Placed]:
    """
    Find out how each object is addressed; see `find_places`.

    Raises:
        CombinedError: Kinds that nobody knows, objects that are declared twice.
    """
    placed, problems = find_places(manifests, cluster)
    if problems:
        raise CombinedError(problems)
    return placed


def find_places(
    manifests: Sequence[Manifest], cluster: Cluster
) -> tuple[list[Placed], list[CodexctlError]]:
    """
    Find out how each object is addressed, and which cannot be applied.

    Kinds come from the server, or from CustomResourceDefinitions of the same set. Objects that
    name no namespace get the one of the kubeconfig's context; cluster-wide ones lose theirs.
    """
    declared = dict(_declared_kinds(manifests))
    problems: list[CodexctlError] = []
    placed = []
    for manifest in manifests:
        key = (manifest.name.api_version, manifest.name.kind)
        resource = cluster.resources().get(key) or declared.get(key)
        if resource is None:
            problems.append(
                ClusterError(
                    manifest.location,
                    f"the cluster has no kind {key[1]} in {key[0]}",
                    "correct apiVersion and kind, or install its CustomResourceDefinition",
                )
            )
            continue
        namespace = manifest.name.namespace or cluster.default_namespace
        name = manifest.name._replace(namespace=namespace if resource.namespaced else "")
        placed.append(Placed(manifest, resource, name))
    return placed, [*problems, *_declared_twice(placed)]


def _declared_twice(placed: Sequence[Placed]) -> Iterator[CodexctlError]:
    """Yield objects that turn out to be the same: one names the namespace, the other does not."""
    first: dict[Identity, Placed] = {}
    for each in placed:
        earlier = first.setdefault(identity_of(each.name), each)
        if earlier is not each:
            yield ConfigurationError(
                each.manifest.location,
                f"{each.name} is declared twice, first at {earlier.manifest.location}",
                "remove one of them",
            )


def _declared_kinds(
    manifests: Sequence[Manifest],
) -> Iterator[tuple[tuple[str, str], Resource]]:
    for manifest in manifests:
        if manifest.name.kind == "CustomResourceDefinition":
            # A malformed one is left to the server, which says best what is wrong with it.
            with suppress(AttributeError, KeyError, TypeError):
                yield from _served_kinds(manifest.body["spec"])


def _served_kinds(spec: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Resource]]:
    kind, plural = str(spec["names"]["kind"]), str(spec["names"]["plural"])
    for version in spec["versions"]:
        api_version = f"{spec['group']}/{version['name']}"
        namespaced = spec.get("scope") == "Namespaced"
        yield (api_version, kind), Resource(api_version, kind, plural, namespaced)
