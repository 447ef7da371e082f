"""
What clusters use of some repositories of images.

Every text of every object that may start a container is looked through, wherever in the object it
stands: images of containers of all sorts, what runs by its digest (`status`), earlier revisions,
variables that name an image for a pod which is made later, custom resources. What is found too
much keeps an image that nobody needs; what is overlooked breaks a pod that starts anew.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import ClusterError
from codexctl_tasks.references import DEFAULT_HOST
from codexctl_tasks.world.cluster import CONNECTIONS
from codexctl_tasks.world.parallel import in_parallel

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from codexctl_tasks.references import Reference
    from codexctl_tasks.world.cluster import Cluster, Resource

WORKLOADS = (
    ("v1", "Pod"),
    ("v1", "PodTemplate"),
    ("v1", "ReplicationController"),
    ("apps/v1", "ControllerRevision"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
    ("batch/v1", "CronJob"),
    ("batch/v1", "Job"),
)
"""Read without exception. ReplicaSets and ControllerRevisions are what a rollback goes back to."""
_SETTINGS = ("v1", "ConfigMap")
_OWN_GROUPS = frozenset(
    (
        *("", "apps", "autoscaling", "batch", "extensions", "policy"),
        *("admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io"),
        *("authentication.k8s.io", "authorization.k8s.io", "certificates.k8s.io"),
        *("coordination.k8s.io", "custom.metrics.k8s.io", "discovery.k8s.io", "events.k8s.io"),
        *("external.metrics.k8s.io", "flowcontrol.apiserver.k8s.io", "internal.apiserver.k8s.io"),
        *("metrics.k8s.io", "networking.k8s.io", "node.k8s.io", "rbac.authorization.k8s.io"),
        *("resource.k8s.io", "scheduling.k8s.io", "storage.k8s.io", "storagemigration.k8s.io"),
    )
)
"""Of Kubernetes itself: no kind in them starts containers but those above."""
_DIGEST = re.compile(r"\bsha256:[0-9a-f]{64}\b|\bsha512:[0-9a-f]{128}\b")
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_WORD = re.compile(r"[A-Za-z0-9_.-]+")
_NOT_LISTED = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)


@dataclass(kw_only=True, slots=True)
class Usage:
    """What is used, and by whom: texts such as ``Pod shop/web-1 of main``."""

    tags: dict[tuple[str, str], str] = field(default_factory=dict)
    """By repository, without its host, and tag: a cluster may know the host by another name."""
    digests: dict[str, str] = field(default_factory=dict)
    """Of manifests, indexes and configurations, whatever their repository: runtimes name an image
    by any of the repositories that they have pulled it from."""
    beside: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Digests behind an ``@`` that stand in the same object as a repository: they may be images of
    it, whatever name the runtime gives them. Without an ``@`` they are configurations."""
    objects: int = 0
    """How many were looked through."""

    def add(self, other: Usage) -> None:
        """Take over what another cluster uses."""
        self.tags = {**other.tags, **self.tags}
        self.digests = {**other.digests, **self.digests}
        for repository, digests in other.beside.items():
            self.beside[repository] |= digests
        self.objects += other.objects


class Search:
    """Looks for some repositories in texts."""

    def __init__(self, repositories: Iterable[Reference]) -> None:
        self._names: dict[str, str] = {}
        for each in repositories:
            self._names[each.repository] = each.repository
            if each.host == DEFAULT_HOST:  # redis is short for docker.io/library/redis
                self._names.setdefault(each.repository.removeprefix("library/"), each.repository)
        any_name = "|".join(map(re.escape, sorted(self._names, key=len, reverse=True)))
        # A host or any other beginning may stand before a name; it ends where a name ends.
        self._pattern = re.compile(
            rf"(?<![\w.-])(?P<name>{any_name})(?![\w/-]|\.\w)"
            rf"(?P<rest>(?::(?P<tag>{_TAG}))?(?:@{_DIGEST.pattern})?)"
        )

    def look_through(self, found: Mapping[str, Any], who: str, usage: Usage) -> None:
        """Note what an object uses."""
        text = "\n".join(_texts(found))
        digests = set(_DIGEST.findall(text))
        for digest in digests:
            usage.digests.setdefault(digest, who)
        usage.objects += 1
        if not any(name in text for name in self._names):
            return
        for mention in self._pattern.finditer(text):
            repository = self._names[mention["name"]]
            usage.beside[repository] |= {d for d in digests if f"@{d}" in text}
            for tag in _tags(mention, text):
                usage.tags.setdefault((repository, tag), who)


def read_usage(
    cluster: Cluster, repositories: Collection[Reference], ignored: Collection[str] = ()
) -> Usage:
    """
    Return what the objects of a cluster use, in all namespaces.

    Args:
        cluster: It is read as it is now.
        repositories: What is looked for; their tags and digests mean nothing.
        ignored: Kinds that are not read, ``plural.group`` each; workloads are read nevertheless.

    Raises:
        ClusterError: Something cannot be read, so that nobody knows what is used.
    """
    search, usage = Search(repositories), Usage()
    where = cluster.context or cluster.address
    resources = _kinds(cluster, ignored)

    def read(resource: Resource) -> list[Mapping[str, Any]]:
        return _read(cluster, resource)

    for resource, objects in in_parallel(read, resources, limit=CONNECTIONS // 2):
        for found in objects:
            search.look_through(found, f"{_name(resource, found)} of {where}", usage)
    return usage


def title_of(resource: Resource) -> str:
    """Return how ``ignored`` names a kind."""
    group = resource.api_version.rpartition("/")[0]
    return f"{resource.plural}.{group}" if group else resource.plural


def _kinds(cluster: Cluster, ignored: Collection[str]) -> list[Resource]:
    """Return what is to be read: each kind in the version that the server prefers."""
    known = cluster.resources()
    for version, kind in WORKLOADS:
        if (version, kind) not in known:
            what = f"does not tell of {kind} ({version}), so that its images are not known"
            raise ClusterError(cluster.address, what, "codexctl needs Kubernetes 1.30 or newer")
    wanted: dict[str, Resource] = {}
    for key, resource in known.items():
        title = title_of(resource)
        is_custom = resource.api_version.rpartition("/")[0] not in _OWN_GROUPS
        is_optional = (is_custom or key == _SETTINGS) and title not in ignored
        if key in WORKLOADS or is_optional:
            wanted.setdefault(title, resource)
    return list(wanted.values())


def _read(cluster: Cluster, resource: Resource) -> list[Mapping[str, Any]]:
    try:
        return cluster.list_objects(resource, "")[0]
    except ClusterError as error:
        is_workload = (resource.api_version, resource.kind) in WORKLOADS
        if error.status in _NOT_LISTED and not is_workload:
            return []  # it cannot be listed, or its definition has gone meanwhile
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        title = title_of(resource)
        fix = f"let this account list {title} in all namespaces"
        if not is_workload:
            fix += f", or leave them out: --ignore-kinds {title}"
        where = cluster.context or cluster.address
        what = f"{title} may not be listed, so that it is not known which images are used"
        raise ClusterError(where, what, fix, status=error.status) from error


def _texts(value: Any) -> Iterator[str]:
    """Yield every value in an object, as text."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key != "managedFields":
                yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif value is not None:
        yield str(value)


def _tags(mention: re.Match[str], text: str) -> Iterator[str]:
    """
    Yield the tags that a mention of a repository may mean.

    Custom resources and charts' values write the tag beside the name: without one, every word of
    the object may be it.
    """
    if tag := mention["tag"]:
        yield from {tag, tag.rstrip(".-")} - {""}
    elif not mention["rest"]:
        yield "latest"
        begin = mention.start()
        if "/" in mention["name"] or text[begin - 1 : begin] == "/":
            yield from _WORD.findall(text)


def _name(resource: Resource, found: Mapping[str, Any]) -> str:
    metadata = found.get("metadata") or {}
    place = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{resource.kind} {place}{metadata.get('name', '')}"
