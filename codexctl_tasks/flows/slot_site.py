"""Where the slots of a stack are: its cluster, and the records in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from codexctl_tasks.errors import ClusterError
from codexctl_tasks.slots.record import CONFIG_MAP, Record
from codexctl_tasks.slots.store import Slots
from codexctl_tasks.stack.loading import load_stack
from codexctl_tasks.stack.rendering import defaults_of

if TYPE_CHECKING:
    from codexctl_tasks.requests import DeployRequest, RemovalRequest
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.outside import Outside


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """What all removals of a run share."""

    request: DeployRequest
    """Of the stack; each removal sets the slot."""
    outside: Outside
    cluster: Cluster
    slots: Slots
    project: str
    max_slots: int
    """0: no limit."""
    holder: str
    """This run, as records name it."""
    lease_s: float
    """How long a removal that dies keeps others out."""

    def concerns(self, record: Record) -> bool:
        """Tell whether a record is of this project and repository, as far as both are known."""
        own = self.request.repository.lower()
        is_other_repo = record.repo and own and record.repo.lower() != own
        is_other_project = record.project and record.project != self.project
        return not is_other_repo and not is_other_project

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
    Read ``services.yaml`` and connect; nothing is changed.

    Raises:
        CodexctlError: It cannot be used, or the cluster cannot be reached.
    """
    source = request.deploy.source
    outside.console.hide(source.secrets)
    loaded = load_stack(source)
    outside.console.hide(loaded.secrets)
    deploy = request.deploy.with_defaults(defaults_of(loaded))
    cluster = outside.connect(deploy.cluster, outside.clock, outside.console.retrying)
    state = loaded.stack.state
    return Site(
        request=deploy,
        outside=outside,
        cluster=cluster,
        slots=Slots(
            cluster,
            state.configmap_namespace or "codexctl",
            state.configmap_prefix or f"{loaded.stack.project}-slot-",
        ),
        project=loaded.stack.project,
        max_slots=loaded.stack.max_slots,
        holder=request.holder,
        lease_s=request.lease_s,
    )
