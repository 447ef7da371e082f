"""Where the slots of a stack are: its cluster, and the records in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from codexctl_tasks.errors import ClusterError
from codexctl_tasks.flows.slots.place import SlotPlace
from codexctl_tasks.slots.record import CONFIG_MAP, Record
from codexctl_tasks.stack.rendering import defaults_of

if TYPE_CHECKING:
    from codexctl_tasks.requests.runs import DeployRequest
    from codexctl_tasks.requests.slots import RemovalRequest
    from codexctl_tasks.slots.store import Slots
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.outside import Outside


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """What all removals of a run share."""

    request: DeployRequest
    """Of the stack; each removal sets the slot."""
    outside: Outside
    place: SlotPlace
    holder: str
    """This run, as records name it."""
    lease_s: float
    """How long a removal that dies keeps others out."""

    @property
    def cluster(self) -> Cluster:
        """Where everything is."""
        return self.place.cluster

    @property
    def slots(self) -> Slots:
        """The records."""
        return self.place.slots

    @property
    def project(self) -> str:
        """Name of the project."""
        return self.place.project

    def concerns(self, record: Record) -> bool:
        """Tell whether a record is of this project and repository, as far as both are known."""
        own = self.request.repository.lower()
        is_other_repo = record.repo and own and record.repo.lower() != own
        is_other_project = record.project and record.project != self.project
        return not is_other_repo and not is_other_project

    def is_among_all(self, record: Record) -> bool:
        """Tell whether a record is of this environment, too: what goes without being named."""
        return self.concerns(record) and record.env in ("", self.request.source.env)

    def bare_record(self, slot: int) -> Record:
        """
        Return what there is of a damaged record: its number.

        Raises:
            ClusterError: It is gone.
        """
        name = f"{self.slots.prefix}{slot}"
        found = self.cluster.get(CONFIG_MAP, self.slots.namespace, name)
        if found is None:
            where = f"ConfigMap {self.slots.namespace}/{name}"
            raise ClusterError(where, "was removed in this moment", "repeat it")
        metadata = found["metadata"]
        return Record(
            slot=slot,
            env=self.request.source.env,
            uid=metadata["uid"],
            version=metadata["resourceVersion"],
            source=found,
        )


def open_site(request: RemovalRequest, outside: Outside) -> Site:
    """
    Read ``services.yaml`` and get hold of the cluster; nothing is changed.

    Raises:
        CodexctlError: It says nothing of slots, or cannot be used.
    """
    place = SlotPlace(request.deploy, outside)
    return Site(
        request=request.deploy.with_defaults(defaults_of(place.loaded)),
        outside=outside,
        place=place,
        holder=request.holder,
        lease_s=request.lease_s,
    )
