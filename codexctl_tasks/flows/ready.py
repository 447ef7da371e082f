"""
Make the environment of a slot ready: images, sources, deploy, wait.

What was deployed is remembered in the slot's record as a fingerprint of the desired objects, with
the digests of their images. As long as it stays the same and everything is healthy, neither a hook
runs nor an object is sent.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from codexctl_tasks.errors import DONE, TIMED_OUT, WORKLOAD_FAILED, UsageError
from codexctl_tasks.flows import deploy, images, workspace
from codexctl_tasks.flows.environment import load_applicable
from codexctl_tasks.flows.reporting import outputs_text, write_report
from codexctl_tasks.flows.slot_records import SlotPlace
from codexctl_tasks.reports import slots as report
from codexctl_tasks.reports.slots import SlotRow
from codexctl_tasks.requests import ReportFiles
from codexctl_tasks.slots.choosing import own_record
from codexctl_tasks.slots.lease import SlotLease
from codexctl_tasks.slots.record import Owner, Record, State
from codexctl_tasks.world.cluster import Resource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codexctl_tasks.requests import EnsureReadyRequest, Source
    from codexctl_tasks.stack.desired import Desired
    from codexctl_tasks.world.outside import Outside

LOOK_S = 30.0
"""To find out that what was deployed before is still healthy; else it is deployed again."""
_NAMESPACE = Resource("v1", "Namespace", "namespaces", namespaced=False)
_IMAGE_STEPS = {
    "mirror": images.mirror,
    "build": images.build,
    "all": images.mirror_and_build,
}


def ensure_ready(request: EnsureReadyRequest, outside: Outside) -> int:
    """
    Bring a slot's environment up to date and wait until it is healthy.

    Returns:
        0 also if it is not healthy and that was allowed; else what a deploy returns.

    Raises:
        UsageError: The slot is nobody's.
        DeadlineError: Another run holds it.
    """
    place = SlotPlace(request, outside)
    record = _record(place, request)
    with SlotLease(
        *(place.slots, record, outside.clock),
        holder=request.holder,
        lease_s=request.lease_s,
        announce=outside.console.warn,
    ) as lease:
        return _Preparation(request, place, lease, outside).run()


def _record(place: SlotPlace, request: EnsureReadyRequest) -> Record:
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
        raise UsageError("ensure-ready", what, "codexctl ensure-slot takes one")
    return found


class _Preparation:
    """One slot that is made ready."""

    def __init__(
        self, request: EnsureReadyRequest, place: SlotPlace, lease: SlotLease, outside: Outside
    ) -> None:
        self._place, self._lease, self._outside = place, lease, outside
        self._console, self._request = outside.console, request
        self._pins: Path | None = None
        self._before = lease.record
        namespace = place.namespace_of(self._before.slot)
        self._is_missing = place.cluster.get(_NAMESPACE, "", namespace) is None

    def run(self) -> int:
        """Go through the phases; the record says at each moment what is known."""
        with tempfile.TemporaryDirectory(prefix="codexctl-pins-") as folder:
            if code := self._make_images(Path(folder, "pins.json")):
                return self._end(code)
            self._prepare_workspace()
            wanted = self._fingerprint()
            if self._is_as_before(wanted):
                return self._end(DONE)
            self._lease.change(state=State.PREPARING, fingerprint="")
            request = replace(self._request.deploy, source=self._source)
            code = deploy.apply_and_wait(request, self._outside)
            self._lease.check()
            self._remember(code, wanted)
        return self._end(code)

    @property
    def _source(self) -> Source:
        return replace(self._request.deploy.source, slot=self._before.slot, pins=self._pins)

    def _prepare_workspace(self) -> None:
        """Bring the sources to where the pods of the slot will look for them."""
        claim = self._request.sync.claim
        desired = load_applicable(self._source, self._console)
        if not self._request.syncs or not _has_claim(desired, claim):
            self._console.step("sync", "nothing to do: the stack has no workspace")
            return
        if self._is_missing or self._before.state is State.ALLOCATED:
            self._apply_foundation()
        source = replace(self._request.sync.source, slot=self._before.slot)
        workspace.sync_sources(replace(self._request.sync, source=source), self._outside)
        self._lease.check()

    def _apply_foundation(self) -> None:
        """Apply what `slotBootstrapInfra` names: the workspace is needed before the services."""
        stack = self._place.loaded.stack
        named = stack.environment(self._request.source.env).slot_bootstrap_infra
        filters = replace(
            self._source.filters,
            only_infra=frozenset(name.strip().lower() for name in named),
            skip_services=frozenset(service.name.strip().lower() for service in stack.services),
        )
        self._lease.change(state=State.PREPARING, fingerprint="")
        source = replace(self._source, filters=filters)
        foundation = replace(self._request.deploy, source=source, files=ReportFiles())
        deploy.apply(foundation, self._outside)

    def _make_images(self, pins: Path) -> int:
        step = _IMAGE_STEPS.get(self._request.which)
        if step is None or not self._place.loaded.stack.images:
            return DONE
        source = replace(self._request.images.source, slot=self._before.slot)
        code = step(replace(self._request.images, source=source, pin=pins), self._outside)
        self._pins = pins if pins.exists() else None
        self._lease.check()
        return code

    def _fingerprint(self) -> str:
        """Return a hash of all desired objects, with the digests of their images."""
        desired = load_applicable(self._source, self._console)
        bodies = [manifest.body for manifest in desired.manifests]
        text = json.dumps(bodies, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def _is_as_before(self, wanted: str) -> bool:
        """Tell whether what is desired was deployed, and is healthy still."""
        record, request = self._lease.record, self._request
        if request.force or self._is_missing or record.fingerprint != wanted:
            return False
        look = replace(
            request.deploy,
            source=self._source,
            wait_timeout_s=min(LOOK_S, request.deploy.wait_timeout_s),
            chosen=request.deploy.chosen | {"wait-timeout"},
        )
        if deploy.wait(look, self._outside) == DONE:
            self._console.step("ready", "nothing has changed, and all of it is healthy")
            self._lease.change(state=State.READY)
            return True
        self._console.step("ready", "nothing has changed, but not all is healthy: deploying again")
        return False

    def _remember(self, code: int, fingerprint: str) -> None:
        if code == DONE:
            self._lease.change(state=State.READY, fingerprint=fingerprint)
        elif code in (WORKLOAD_FAILED, TIMED_OUT):
            self._lease.change(state=State.UNHEALTHY)

    def _end(self, code: int) -> int:
        """Tell programs and people how it ended."""
        request, record = self._request, self._lease.record
        is_unhealthy = record.state is State.UNHEALTHY
        flags = {
            "infra-ready": code == DONE,
            "infra-unhealthy": is_unhealthy,
            "created": self._before.state is State.ALLOCATED,
            "recreated": self._is_missing and self._before.state is not State.ALLOCATED,
        }
        self._console.step("ready", f"slot {record.slot} of {record.owner}: {record.state}")
        if outputs := request.files.step_outputs:
            told = {name: str(value).lower() for name, value in flags.items()}
            text = outputs_text({**report.step_outputs(record), **told})
            write_report(outputs, text, self._console, "a")
        if request.output == "json":
            self._print(code, flags)
        if is_unhealthy and request.allows_unhealthy:
            self._console.warn(f"slot {record.slot} is not healthy; going on, as was asked for")
            return DONE
        return code

    def _print(self, code: int, flags: Mapping[str, bool]) -> None:
        rows = [SlotRow(slot=self._lease.record.slot, record=self._lease.record)]
        data = report.as_json(rows, self._place.slots.now())
        self._console.result_as_json({**data, "exitCode": code, **flags})


def _has_claim(desired: Desired, claim: str) -> bool:
    return any(
        each.name.kind == "PersistentVolumeClaim" and each.name.name == claim
        for each in desired.manifests
    )
