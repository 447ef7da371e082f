"""The slots of a stack in its cluster: what all tasks about slots begin with."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from codexctl_tasks.errors import CombinedError, ConfigurationError, UsageError
from codexctl_tasks.slots.choosing import own_record
from codexctl_tasks.slots.record import Owner, Record, State
from codexctl_tasks.slots.store import Slots
from codexctl_tasks.stack.links import pages_of
from codexctl_tasks.stack.loading import load_stack
from codexctl_tasks.stack.rendering import defaults_of, obstacles_of

if TYPE_CHECKING:
    from codexctl_tasks.requests.basis import ClusterRequest, Source
    from codexctl_tasks.requests.slots import SlotRequest
    from codexctl_tasks.stack.links import Page
    from codexctl_tasks.stack.loading import LoadedStack
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.outside import Outside

USUAL_PREFIX = "codex-env-"
"""Of the Go tool, where ``state.configmapPrefix`` says nothing."""
_NAMESPACE = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,200}[-a-z0-9])?")


class SlotPlace:
    """Where a stack has its slots."""

    def __init__(self, request: ClusterRequest, outside: Outside) -> None:
        """
        Load ``services.yaml`` and get hold of the cluster; nothing is sent yet.

        Raises:
            ConfigurationError, CombinedError: It says nothing of slots, or cannot be used.
        """
        self._source, self._outside = request.source, outside
        self._loaded: dict[int, LoadedStack] = {}
        if request.source.manifests:
            raise UsageError("--manifests", "is plain YAML without slots", "give --env")
        outside.console.hide(request.source.secrets)
        self.loaded = self._load(1)
        if obstacles := list(obstacles_of(self.loaded)):
            raise CombinedError(obstacles)
        namespace, prefix = _state_of(self.loaded)
        self.most = self.loaded.stack.max_slots
        """Slots are numbered from 1 to this; 0: there is no limit."""
        self.cluster: Cluster = outside.connect(
            request.with_defaults(defaults_of(self.loaded)).cluster,
            outside.clock,
            outside.console.retrying,
        )
        self.slots = Slots(self.cluster, namespace, prefix)

    @property
    def project(self) -> str:
        """Name of the project."""
        return self.loaded.stack.project

    def check(self, slot: int) -> None:
        """Raise `UsageError` for a number that no slot can have."""
        if self.most and slot > self.most:
            fix = f"maxSlots in services.yaml allows 1 to {self.most}"
            raise UsageError("--slot", f"there is no slot {slot}", fix)

    def namespace_of(self, slot: int) -> str:
        """
        Return the namespace of a slot.

        Raises:
            ConfigurationError: It is no name, or the same for all slots.
        """
        namespace = self._load(slot).context.namespace
        env = self._source.env
        place, key = self.loaded.document.location(("namespace",)), f"namespace.patterns.{env}"
        if not _NAMESPACE.fullmatch(namespace):
            what = f"{key} makes {namespace!r} of slot {slot}"
            raise ConfigurationError(place, what, "use small letters, digits and hyphens")
        other = self._load(2 if slot == 1 else 1).context.namespace
        if self.most != 1 and other == namespace:
            what = f"{key} gives all slots the namespace {namespace}"
            raise ConfigurationError(place, what, "let the pattern contain the slot")
        return namespace

    def links(self, slot: int) -> list[Page]:
        """Return the pages of ``codex.links``, as far as it is known on which host they are."""
        return pages_of(self._load(slot))

    def _load(self, slot: int) -> LoadedStack:
        if slot not in self._loaded:
            source: Source = replace(self._source, slot=slot, namespace="")
            self._loaded[slot] = load_stack(source)
            self._outside.console.hide(self._loaded[slot].secrets)
        return self._loaded[slot]


def wanted_record(place: SlotPlace, request: SlotRequest) -> Record:
    """
    Return the record of the slot that is to be worked on, by its number, Issue or PR.

    Raises:
        UsageError: It is not taken, another's, of another environment, or on its way out.
        ConfigurationError: Its record is damaged, or its namespace would be another now.
    """
    listing, slot = place.slots.list(), request.source.slot
    for damaged in listing.damaged:
        if damaged.slot == slot:
            raise damaged
    owner = Owner(repo=request.repo, issue=request.issue, pr=request.pr)
    if slot:
        place.check(slot)
        found = next((each for each in listing.records if each.slot == slot), None)
    else:
        found = own_record(listing, owner)
    if found is None:
        what = f"slot {slot} is not taken" if slot else f"{owner} has no slot"
        raise UsageError("--slot" if slot else "slot", what, "codexctl ensure-slot takes one")
    _refuse_other(found, owner, request)
    namespace = place.namespace_of(found.slot)
    if found.namespace and found.namespace != namespace:
        what = f"its namespace is {found.namespace}, but services.yaml makes {namespace} of it now"
        raise ConfigurationError(f"slot {found.slot}", what, "clean it up, and take one again")
    return found


def _refuse_other(found: Record, owner: Owner, request: SlotRequest) -> None:
    """Raise `UsageError` for a slot that nobody may deploy to in this way."""
    where, env = f"slot {found.slot}", request.source.env
    is_foreign = owner.repo and found.repo and owner.repo.lower() != found.repo.lower()
    if is_foreign or ((owner.issue or owner.pr) and not found.is_for(owner)):
        raise UsageError(where, f"is that of {found.owner}, not of {owner}", "name one of them")
    if found.env and found.env != env:
        raise UsageError(where, f"is of environment {found.env}, not {env}", "give its --env")
    if found.state is State.RELEASING or found.is_leaving:
        fix = "repeat the cleanup, or take it again with ensure-slot"
        raise UsageError(where, "is being taken down", fix)


def _state_of(loaded: LoadedStack) -> tuple[str, str]:
    """Return namespace and prefix of the records."""
    state, place = loaded.stack.state, loaded.document.location(("state",))
    namespace = state.configmap_namespace.strip()
    prefix = state.configmap_prefix.strip() or USUAL_PREFIX
    if not namespace:
        what = "state.configmapNamespace is missing: slots are recorded in ConfigMaps there"
        raise ConfigurationError(place, what, "name a namespace that all environments share")
    if not _NAMESPACE.fullmatch(namespace):
        what = f"state.configmapNamespace is {namespace!r}, which is no name of a namespace"
        raise ConfigurationError(place, what, "use small letters, digits and hyphens")
    if not _PREFIX.fullmatch(prefix):
        what = f"state.configmapPrefix is {prefix!r}, with which no ConfigMap can begin"
        raise ConfigurationError(place, what, "use small letters, digits and hyphens")
    return namespace, prefix
