"""What exists already: read with a number of requests that depends on kinds, not on objects."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from codexctl_tasks.errors import ClusterError
from codexctl_tasks.world.cluster import CONNECTIONS
from codexctl_tasks.world.parallel import in_parallel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from codexctl_tasks.stack.manifests import ObjectName
    from codexctl_tasks.world.cluster import Cluster, Resource

FEW = 3
"""Up to this many objects are asked for one by one: a LIST would bring everybody else's too."""


class Address(NamedTuple):
    """Where an object is on the server."""

    resource: Resource
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Live:
    """The objects that exist, as far as they may be read."""

    _objects: Mapping[Address, Mapping[str, Any]]
    _unreadable: frozenset[tuple[Resource, str]] = field(default=frozenset())

    def find(self, address: Address) -> Mapping[str, Any] | None:
        """Return the object; None if there is none, or if it may not be read."""
        return self._objects.get(address)

    def is_known(self, address: Address) -> bool:
        """Tell whether the account may read such objects: else absence means nothing."""
        return (address.resource, address.namespace) not in self._unreadable


def read_live(addresses: Iterable[Address], cluster: Cluster) -> Live:
    """Read these objects: one LIST per kind and namespace, or a few GETs."""
    names: dict[tuple[Resource, str], list[str]] = defaultdict(list)
    for address in dict.fromkeys(addresses):
        names[address.resource, address.namespace].append(address.name)
    groups = list(names.items())
    found: dict[Address, Mapping[str, Any]] = {}
    unreadable: set[tuple[Resource, str]] = set()

    def read(group: tuple[tuple[Resource, str], list[str]]) -> Sequence[Mapping[str, Any]] | None:
        (resource, namespace), wanted = group
        return _read_group(resource, namespace, wanted, cluster)

    for ((resource, namespace), wanted), objects in in_parallel(read, groups, limit=CONNECTIONS):
        if objects is None:
            unreadable.add((resource, namespace))
            continue
        asked_for = set(wanted)
        for each in objects:
            if (name := each["metadata"]["name"]) in asked_for:
                found[Address(resource, namespace, name)] = each
    return Live(found, frozenset(unreadable))


def address_of(name: ObjectName, resource: Resource) -> Address:
    """Return where an object of this name is."""
    return Address(resource, name.namespace, name.name)


def _read_group(
    resource: Resource, namespace: str, names: Sequence[str], cluster: Cluster
) -> Sequence[Mapping[str, Any]] | None:
    """Return what exists of a kind in a namespace; None when nothing of it may be read."""
    try:
        if len(names) > FEW:
            return cluster.list_objects(resource, namespace)[0]
    except ClusterError as error:
        if error.status == HTTPStatus.NOT_FOUND:  # its definition is applied in this very run
            return []
        if error.status != HTTPStatus.FORBIDDEN:
            raise
    try:  # perhaps it may be asked for by name
        objects = [cluster.get(resource, namespace, name) for name in names]
    except ClusterError as error:
        if error.status == HTTPStatus.FORBIDDEN:
            return None
        raise
    return [each for each in objects if each is not None]
