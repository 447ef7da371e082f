"""
Make the environment of a slot ready: images, sources, deploy, wait.

What was deployed is remembered in the slot's record as a fingerprint. As long as it stays the same
and everything is healthy, neither a hook runs nor an object is sent.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from codexctl_tasks.agent.pod import Shell
from codexctl_tasks.errors import (
    DONE,
    TIMED_OUT,
    WORKLOAD_FAILED,
    ClusterError,
)
from codexctl_tasks.flows import deploy, images
from codexctl_tasks.flows.agent.inspection import end_runs
from codexctl_tasks.flows.agent.site import find_site
from codexctl_tasks.flows.agent.site import workspace as agent_workspace
from codexctl_tasks.flows.environment import load_applicable
from codexctl_tasks.flows.reporting import outputs_text, write_report
from codexctl_tasks.flows.slots import workspace
from codexctl_tasks.flows.slots.content import fingerprint
from codexctl_tasks.flows.slots.place import SlotPlace, wanted_record
from codexctl_tasks.flows.tenancy import mark_recorded
from codexctl_tasks.reports import slots as report
from codexctl_tasks.reports.outputs import public_address
from codexctl_tasks.reports.slots import SlotRow
from codexctl_tasks.requests.basis import ReportFiles
from codexctl_tasks.slots.lease import SlotLease, refuse_if_held
from codexctl_tasks.slots.ownership import records_label
from codexctl_tasks.slots.record import State
from codexctl_tasks.slots.sync.reaching import CLAIM
from codexctl_tasks.stack.items import title_of
from codexctl_tasks.world.cluster import Resource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codexctl_tasks.requests.basis import Source
    from codexctl_tasks.requests.runs import DeployRequest
    from codexctl_tasks.requests.slots import EnsureReadyRequest
    from codexctl_tasks.stack.desired import Desired
    from codexctl_tasks.stack.manifests import Manifest
    from codexctl_tasks.world.outside import Outside

LOOK_S = 30.0
"""To find out that what was deployed before is still healthy; else it is deployed again."""
_UNHEALTHY = (WORKLOAD_FAILED, TIMED_OUT)
_NAMESPACE = Resource("v1", "Namespace", "namespaces", namespaced=False)
_KEYS = {"infra-ready": "infraReady", "infra-unhealthy": "infraUnhealthy"}
"""Of the JSON document, for outputs of a step."""
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
        UsageError: The slot is nobody's, or not what was asked for.
        DeadlineError: Another run holds it.
    """
    place = SlotPlace(request, outside)
    record = wanted_record(place, request)
    fix = "wait for that run or end it; codexctl release --force gives its slot back"
    refuse_if_held(record, request.holder, place.slots.now(), fix)
    with SlotLease(
        *(place.slots, record, outside.clock),
        holder=request.holder,
        lease_s=request.lease_s,
        announce=outside.console.warn,
    ) as lease:
        return _Preparation(request, place, lease, outside).run()


class _Preparation:
    """One slot that is made ready."""

    def __init__(
        self, request: EnsureReadyRequest, place: SlotPlace, lease: SlotLease, outside: Outside
    ) -> None:
        self._place, self._lease, self._outside = place, lease, outside
        self._console, self._request = outside.console, request
        self._pins: Path | None = None
        self._before = lease.record
        self._namespace = place.namespace_of(self._before.slot)
        self._is_missing = self._lacks_namespace()
        self._is_unhealthy = False
        self._url = ""

    def _lacks_namespace(self) -> bool:
        """Tell whether there is no namespace, or soon will be none; if unknown, there is one."""
        try:
            found = self._place.cluster.get(_NAMESPACE, "", self._namespace)
        except ClusterError as error:
            if error.status != HTTPStatus.FORBIDDEN:
                raise
            return False
        return found is None or "deletionTimestamp" in found["metadata"]

    def run(self) -> int:
        """Go through the phases; the record says at each moment what is known."""
        with tempfile.TemporaryDirectory(prefix="codexctl-pins-") as folder:
            code = self._make_images(Path(folder, "pins.json")) or self._bring_up()
        return self._end(code)

    def _bring_up(self) -> int:
        desired = load_applicable(self._source, self._console)
        self._url = public_address(desired.manifests)
        claim = self._workspace_of(desired)
        if claim is None:
            self._console.step("sync", "nothing to do: the stack has no workspace")
        elif code := self._prepare_workspace(claim):
            return self._remember(code, "")
        sync = self._request.sync
        folder = sync.folder if claim else None
        wanted = fingerprint(desired, folder, sync.source.environ)
        looked = self._look(wanted)
        if looked is not None:
            return looked
        self._lease.change(state=State.PREPARING, fingerprint="")
        code = deploy.apply_and_wait(self._deploy_request(self._source), self._outside)
        self._remember(code, wanted)
        slots = self._place.slots
        records = records_label(slots.namespace, slots.prefix)
        mark_recorded(self._place.cluster, self._namespace, records, self._console.warn)
        return code

    @property
    def _source(self) -> Source:
        source = self._request.deploy.source
        return replace(source, slot=self._before.slot, namespace="", pins=self._pins)

    def _deploy_request(self, source: Source) -> DeployRequest:
        repository = self._before.repo or self._request.repo
        return replace(self._request.deploy, source=source, repository=repository)

    def _workspace_of(self, desired: Desired) -> Manifest | None:
        """Return the claim that the sources go to; None: they go nowhere."""
        wanted = ("PersistentVolumeClaim", self._request.sync.claim)
        found = (each for each in desired.manifests if (each.name.kind, each.name.name) == wanted)
        return next(found, None) if self._request.syncs else None

    def _prepare_workspace(self, claim: Manifest) -> int:
        """Bring the sources to where the pods of the slot will look for them."""
        namespace, name = self._namespace, claim.name.name
        lacks_claim = self._is_missing or self._place.cluster.get(CLAIM, namespace, name) is None
        if lacks_claim and (code := self._apply_foundation(claim.item)):
            return code
        self._end_agents()
        source = replace(self._request.sync.source, slot=self._before.slot, namespace="")
        workspace.sync_sources(replace(self._request.sync, source=source), self._outside)
        self._lease.check()
        return DONE

    def _end_agents(self) -> None:
        """
        End what agents still do in the workspace, before it is changed under their hands.

        The slot is this run's: whoever started them has given it up, or is gone.
        """
        loaded, cluster, outside = self._place.loaded, self._place.cluster, self._outside
        if self._is_missing or "codex" not in loaded.stack.model_fields_set:
            return
        sync = self._request.sync
        volume = agent_workspace(self._namespace, sync.claim, sync.path or loaded.context.project)
        try:
            site = find_site(cluster, volume, loaded.stack.codex.agent.container)
        except ClusterError:  # there is no pod in which one could work
            return
        end_runs(Shell(site, cluster, outside.clock), outside)

    def _apply_foundation(self, owner: str) -> int:
        """
        Apply what the workspace needs: what `slotBootstrapInfra` names, and what makes the claim.

        *owner*: Title of the item that makes it.
        """
        stack = self._place.loaded.stack
        named = {
            name.strip().lower()
            for name in stack.environment(self._request.source.env).slot_bootstrap_infra
        }
        infra = {each.name.strip().lower(): title_of(each) for each in stack.infrastructure}
        services = {each.name.strip().lower(): title_of(each) for each in stack.services}
        filters = replace(
            self._source.filters,
            skip_infra=frozenset(n for n in infra if n not in named and infra[n] != owner),
            skip_services=frozenset(n for n in services if services[n] != owner),
        )
        self._lease.change(state=State.PREPARING, fingerprint="")
        foundation = self._deploy_request(replace(self._source, filters=filters))
        code = deploy.apply(replace(foundation, files=ReportFiles()), self._outside)
        self._lease.check()
        return code

    def _make_images(self, pins: Path) -> int:
        step = _IMAGE_STEPS.get(self._request.which)
        if step is None or not self._place.loaded.stack.images:
            return DONE
        source = replace(self._request.images.source, slot=self._before.slot, namespace="")
        code = step(replace(self._request.images, source=source, pin=pins), self._outside)
        self._pins = pins if pins.exists() else None
        self._lease.check()
        return code

    def _look(self, wanted: str) -> int | None:
        """Return how it ends if nothing has to be deployed; None: something has to be."""
        request = self._request
        if request.force or self._is_missing or self._lease.record.fingerprint != wanted:
            return None
        look = replace(
            self._deploy_request(self._source),
            files=ReportFiles(),
            wait_timeout_s=min(LOOK_S, request.deploy.wait_timeout_s),
            chosen=request.deploy.chosen | {"wait-timeout"},
        )
        try:
            code = deploy.wait(look, self._outside)
            why = "not all is healthy"
        except ClusterError as error:  # if it is more than a missing object, the deploy says so
            code, why = WORKLOAD_FAILED, f"{error.where}: {error.what}"
        if code in _UNHEALTHY:
            self._console.step("ready", f"nothing has changed, but {why}: deploying again")
            return None
        if code == DONE:
            self._console.step("ready", "nothing has changed, and all of it is healthy")
            self._lease.change(state=State.READY)
        return code

    def _remember(self, code: int, deployed: str) -> int:
        """Note how a deploy has ended; one that was interrupted leaves it as it was."""
        self._is_unhealthy = code in _UNHEALTHY
        if code == DONE:
            self._lease.change(state=State.READY, fingerprint=deployed)
        elif self._is_unhealthy:
            self._lease.change(state=State.UNHEALTHY)
        return code

    def _end(self, code: int) -> int:
        """Tell programs and people how it ended; return the exit code of the task."""
        request, record = self._request, self._lease.record
        flags = {
            "infra-ready": code == DONE,
            "infra-unhealthy": self._is_unhealthy,
            "created": self._before.state is State.ALLOCATED,
            "recreated": self._is_missing and self._before.state is not State.ALLOCATED,
        }
        exit_code = DONE if self._is_unhealthy and request.allows_unhealthy else code
        self._console.step("ready", f"slot {record.slot} of {record.owner}: {record.state}")
        if outputs := request.files.step_outputs:
            told = {name: str(value).lower() for name, value in flags.items()}
            told |= {"url": self._url, "exit-code": str(exit_code)}
            text = outputs_text({**report.step_outputs(record), **told})
            write_report(outputs, text, self._console, "a")
        if request.output == "json":
            self._print(exit_code, flags)
        if exit_code != code:
            self._console.warn(f"slot {record.slot} is not healthy; going on, as was asked for")
        return exit_code

    def _print(self, code: int, flags: Mapping[str, bool]) -> None:
        rows = [SlotRow(slot=self._lease.record.slot, record=self._lease.record)]
        data = report.as_json(rows, self._place.slots.now())
        named = {_KEYS.get(name, name): value for name, value in flags.items()}
        self._console.result_as_json({**data, "exitCode": code, **named, "url": self._url})
