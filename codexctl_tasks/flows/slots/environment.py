"""Where the environment of a slot is, and whether it is that of the slot."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from codexctl_tasks.apply.inventory import Inventory, stack_label
from codexctl_tasks.apply.plan import KEEP_ANNOTATION, is_to_be_kept
from codexctl_tasks.apply.remains import NAMESPACE
from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.slots.ownership import Ownership, ownership_of
from codexctl_tasks.stack.loading import load_stack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codexctl_tasks.flows.slots.site import Site
    from codexctl_tasks.requests.runs import DeployRequest
    from codexctl_tasks.slots.record import Record
    from codexctl_tasks.world.cluster import Cluster


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotEnvironment:
    """The namespace of a slot, as it is at this moment."""

    request: DeployRequest
    """How the environment of the slot is loaded."""
    namespace: str
    """Empty: the environment has none."""
    exists: bool
    has_inventory: bool
    """This stack was applied in it."""
    is_ours: bool
    """Its labels say that it was made for this slot."""
    wanted: Ownership = field(repr=False)
    """What they have to say."""

    @property
    def is_known(self) -> bool:
        """Whether anything in it may be touched."""
        return self.is_ours or self.has_inventory

    def why_kept(self, namespace: Mapping[str, Any]) -> str:
        """Return why the namespace itself is not deleted; empty: it may go."""
        if ownership_of(namespace) != self.wanted:
            labels = " ".join(f"{name}={value}" for name, value in self.wanted.labels.items())
            return f"it does not have the labels of this slot, {labels}"
        if is_to_be_kept(namespace):
            return f"its annotation {KEEP_ANNOTATION} says so"
        return ""


def find_environment(site: Site, record: Record) -> SlotEnvironment:
    """
    Look where the environment of a slot is; nothing is changed.

    Raises:
        ConfigurationError: The record is another project's, or names a namespace that only a
            typing error can have brought into it.
    """
    env = record.env or site.request.source.env
    source = replace(site.request.source, env=env, slot=record.slot, namespace="")
    usual = load_stack(source).context.namespace
    namespace = record.namespace or usual
    if namespace != usual:
        source = replace(source, namespace=namespace)
    repository = record.repo or site.request.repository
    found = site.cluster.get(NAMESPACE, "", namespace) if namespace else None
    stack = f"{site.project}.{env}.{record.slot}"
    label = stack_label(stack, namespace)
    wanted = Ownership.of(slot=record.slot, repository=repository, stack=label)
    environment = SlotEnvironment(
        request=replace(
            site.request, source=source, repository=repository, stack="", output="text"
        ),
        namespace=namespace,
        exists=found is not None,
        has_inventory=found is not None and _has_inventory(site.cluster, stack, namespace),
        is_ours=found is not None and ownership_of(found) == wanted,
        wanted=wanted,
    )
    _check(environment, usual, record, site)
    return environment


def _has_inventory(cluster: Cluster, stack: str, namespace: str) -> bool:
    inventory = Inventory(cluster, stack, namespace)
    inventory.read()
    return bool(inventory.names)


def _check(environment: SlotEnvironment, usual: str, record: Record, site: Site) -> None:
    if not site.concerns(record):
        what = f"is that of {record.owner}, project {record.project or 'unknown'}"
        raise ConfigurationError(
            f"slot {record.slot}", what, "clean it up with the services.yaml of that one"
        )
    if environment.namespace != usual and not environment.is_ours:
        raise ConfigurationError(
            f"ConfigMap {site.slots.namespace}/{site.slots.prefix}{record.slot}",
            f"names namespace {environment.namespace}, where services.yaml says {usual}; and that "
            "one does not have the labels of this slot",
            "correct the record with kubectl edit",
        )
