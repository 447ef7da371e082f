"""Where each desired object lives on the server."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import ClusterError, CodexctlError, CombinedError
from codexctl_tasks.world.cluster import Resource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from codexctl_tasks.stack.manifests import Manifest, ObjectName
    from codexctl_tasks.world.cluster import Cluster


@dataclass(frozen=True, slots=True)
class Placed:
    """A manifest with the address of its object."""

    manifest: Manifest
    resource: Resource
    name: ObjectName


def place(manifests: Sequence[Manifest], cluster: Cluster) -> list[Placed]:
    """
    Find out how each object is addressed.

    Kinds come from the server, or from CustomResourceDefinitions of the same set. Objects that
    name no namespace get the one of the kubeconfig's context; cluster-wide ones lose theirs.

    Raises:
        CombinedError: Kinds that nobody knows.
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
    if problems:
        raise CombinedError(problems)
    return placed


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
