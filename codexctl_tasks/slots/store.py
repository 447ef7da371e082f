"""
Where the records of slots are: one ConfigMap each, and nothing else.

The API server decides who was first. Only that somebody else was makes a slot busy; every other
refusal is raised: what cannot be read or written for another reason says nothing about slots.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from codexctl_tasks.errors import ClusterError
from codexctl_tasks.slots.record import (
    CONFIG_MAP,
    LABELS,
    DamagedRecord,
    Owner,
    Record,
    body_of,
    read_record,
    slot_of,
)
from codexctl_tasks.world.cluster import Resource
from codexctl_tasks.world.watching import Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from typing import Any

    from codexctl_tasks.world.cluster import Cluster

NAMESPACE = Resource("v1", "Namespace", "namespaces", namespaced=False)
_OVERTAKEN = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


@dataclass(frozen=True, slots=True)
class Listing:
    """All slots at one moment."""

    records: tuple[Record, ...]
    """By number."""
    damaged: tuple[DamagedRecord, ...] = ()
    """Their slots are not free either."""

    @property
    def busy(self) -> frozenset[int]:
        """Numbers that nobody can create a record for."""
        numbers = {each.slot for each in self.records} | {each.slot for each in self.damaged}
        return frozenset(numbers)

    def of(self, owner: Owner) -> list[Record]:
        """Return the slots of an Issue or a PR: one at most, but for races that are under way."""
        return [each for each in self.records if each.is_for(owner)]


def listing_of(found: Iterable[Record | DamagedRecord]) -> Listing:
    """Return slots by number."""
    in_order = sorted(found, key=lambda each: each.slot)
    return Listing(
        tuple(each for each in in_order if isinstance(each, Record)),
        tuple(each for each in in_order if isinstance(each, DamagedRecord)),
    )


class Slots:
    """The records of the slots of one project."""

    def __init__(self, cluster: Cluster, namespace: str, prefix: str) -> None:
        """
        Prepare; nothing is sent yet.

        Args:
            cluster: Where.
            namespace: Of the records.
            prefix: How the names of the ConfigMaps begin; the number follows.
        """
        self._cluster, self.namespace, self.prefix = cluster, namespace, prefix

    @property
    def scope(self) -> Scope:
        """What a watch has to cover."""
        return Scope(CONFIG_MAP, self.namespace)

    def now(self) -> datetime:
        """
        Return the API server's time, up to 1 s behind; ask it something before.

        Raises:
            ClusterError: It does not tell the time.
        """
        now = self._cluster.now()
        if now is None:
            what = "its answers have no Date"
            raise ClusterError(self._cluster.address, what, "find out which proxy removes it")
        return now

    def list(self) -> Listing:
        """Return all slots; damaged records are no failure."""
        objects, _ = self._cluster.list_objects(CONFIG_MAP, self.namespace)
        return self.read(objects)

    def read(self, objects: Iterable[Mapping[str, Any]]) -> Listing:
        """Return the slots among the ConfigMaps of the namespace."""
        return listing_of(filter(None, map(self.parse, objects)))

    def parse(self, found: Mapping[str, Any]) -> Record | DamagedRecord | None:
        """Return the record in a ConfigMap, or what is wrong with it; None: it is none."""
        if not slot_of(found["metadata"]["name"], self.prefix):
            return None
        try:
            return read_record(found, self.prefix)
        except DamagedRecord as error:
            return error

    def get(self, slot: int) -> Record | None:
        """
        Return the record of one slot, None if there is none.

        Raises:
            DamagedRecord: It makes no sense.
        """
        found = self._cluster.get(CONFIG_MAP, self.namespace, f"{self.prefix}{slot}")
        return read_record(found, self.prefix) if found else None

    def create(self, record: Record) -> Record | None:
        """Make a new record, None if the slot has one: then somebody was faster."""
        body = body_of(record, self.namespace, self.prefix)
        try:
            made = self._cluster.create(CONFIG_MAP, self.namespace, body)
        except ClusterError as error:
            if error.reason != "AlreadyExists":
                raise
            return None
        return read_record(made, self.prefix)

    def replace(self, record: Record) -> Record | None:
        """Write a record that was read, None if it has changed or gone since."""
        body = body_of(record, self.namespace, self.prefix)
        try:
            made = self._cluster.replace(CONFIG_MAP, self.namespace, body)
        except ClusterError as error:
            if error.status not in _OVERTAKEN:
                raise
            return None
        return read_record(made, self.prefix)

    def delete(self, record: Record) -> bool:
        """Delete a record that is as it was read; False if it has changed or gone since."""
        return self._cluster.delete(
            *(CONFIG_MAP, self.namespace, f"{self.prefix}{record.slot}", record.uid),
            version=record.version,
            propagation="Background",  # at once: it owns nothing
        )

    def make_namespace(self) -> None:
        """
        Make the namespace of the records; that it is there already is as good.

        Raises:
            ClusterError: This account may not, for instance.
        """
        body = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": self.namespace,
                "labels": {**LABELS, "codexctl.io/record": "slots"},
            },
        }
        try:
            self._cluster.create(NAMESPACE, "", body)
        except ClusterError as error:
            if error.reason == "AlreadyExists":
                return
            if error.status != HTTPStatus.FORBIDDEN:
                raise
            raise ClusterError(
                f"Namespace {self.namespace}",
                "the records of slots belong there, but it does not exist, and this account may "
                "not create it",
                f"kubectl create namespace {self.namespace}",
                status=error.status,
            ) from error
