"""What the rest of the package needs of Kubernetes: the shape of the boundary."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from codexctl_tasks.world.execution import Executed

FIELD_MANAGER = "codexctl"
"""How our server-side applies sign."""
CONNECTIONS = 16
"""More requests in flight do not help: from 8 on the API server is the limit."""


@dataclass(frozen=True, slots=True)
class Resource:
    """How a kind is addressed."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool
    aliases: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """Further names that people write: singular and short ones."""

    def path(self, namespace: str = "", name: str = "") -> str:
        """Return the URL path of the collection, or of one object."""
        root = "/apis/" if "/" in self.api_version else "/api/"
        scope = "/namespaces/" + quote(namespace, safe="") if namespace and self.namespaced else ""
        item = "/" + quote(name, safe="") if name else ""
        return f"{root}{self.api_version}{scope}/{self.plural}{item}"


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One line of a watch."""

    type: str
    """``ADDED``, ``MODIFIED``, ``DELETED`` or ``BOOKMARK``."""
    object: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server made of an object that was applied."""

    object: Mapping[str, Any]
    """As it is now; only ``metadata`` is sure to be there."""
    warnings: tuple[str, ...] = ()
    """What the server had to say about it, such as deprecations; one line each."""


class Cluster(Protocol):
    """What the rest of the package needs of Kubernetes."""

    address: str
    context: str
    """Of the kubeconfig; empty: none, it is the pod's own account."""
    default_namespace: str
    deadline_s: float
    """Nothing is repeated after this moment of the clock; infinity: no limit."""

    def now(self) -> datetime | None:
        """Return the server's own time, up to some 1 s behind; None: nothing was answered yet."""
        ...

    def version(self) -> str:
        """Return the server's version, such as ``v1.34.0``; empty: it does not tell."""
        ...

    def resources(self, *, refresh: bool = False) -> Mapping[tuple[str, str], Resource]:
        """Return every kind the server knows, by apiVersion and kind."""
        ...

    def get(self, resource: Resource, namespace: str, name: str) -> Mapping[str, Any] | None:
        """Return the object, None if there is none."""
        ...

    def list_objects(
        self, resource: Resource, namespace: str, *, repeats: bool = True
    ) -> tuple[list[Mapping[str, Any]], str]:
        """
        Return all objects and the resource version to watch from.

        *repeats*: Try again while the trouble is passing; False: for callers that do so.
        """
        ...

    def watch(
        self, resource: Resource, namespace: str, resource_version: str
    ) -> Iterator[WatchEvent]:
        """
        Open a watch, trying once, and yield what happens from *resource_version* on.

        It ends when the server ends it; the errors are those of `KubernetesCluster.watch`.
        """
        ...

    def apply(
        self,
        resource: Resource,
        namespace: str,
        body: Mapping[str, Any],
        *,
        force: bool = False,
        dry_run: bool = False,
    ) -> Answer:
        """Apply on the server side; a dry run changes nothing and answers with the whole object."""
        ...

    def create(
        self, resource: Resource, namespace: str, body: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Create an object, or ask a question that Kubernetes models as one (reviews)."""
        ...

    def replace(
        self, resource: Resource, namespace: str, body: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Replace an object that is still at ``metadata.resourceVersion`` of *body*."""
        ...

    def patch(
        self, resource: Resource, namespace: str, name: str, operations: Sequence[Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        """Change an object by JSON Patch (RFC 6902)."""
        ...

    def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        uid: str,
        *,
        version: str = "",
        propagation: str = "Foreground",
        grace_s: int | None = None,
    ) -> bool:
        """
        Delete exactly the object with this UID; False if it is gone already.

        *version*: only if it still has this resource version; empty: whichever it has.
        *propagation*: ``Foreground``: after what it owns; ``Background``: before.
        *grace_s*: of a pod, until its processes are killed; None: as long as it says itself.
        """
        ...

    def logs(
        self, namespace: str, pod: str, container: str, *, previous: bool, lines: int
    ) -> list[str]:
        """Return the last lines a container wrote."""
        ...

    def execute(
        self,
        namespace: str,
        pod: str,
        container: str,
        command: Sequence[str],
        *,
        stdin: Iterable[bytes],
        take: Callable[[bytes], object],
        limit_s: float = math.inf,
    ) -> Executed:
        """
        Run a command in a container and return how it ended.

        It may be started twice while the trouble is passing. Once it runs nothing is repeated: a
        stream that breaks is a `BrokenStreamError`.

        Args:
            namespace: Of the pod.
            pod: Its name.
            container: Empty: its default one.
            command: Program and arguments.
            stdin: Pieces of any size. Without close of stdin (an old server) the command does not
                see their end.
            take: Is called with every piece of stdout; what it raises ends the question.
            limit_s: A command that takes longer is a `ClusterError`, and is left alone.
        """
        ...
