"""Bring the sources of this machine into the workspace of a slot."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import DONE
from codexctl_tasks.flows.environment import load_renderable
from codexctl_tasks.flows.reporting import outputs_text, write_report
from codexctl_tasks.slots.sync.place import Volume, pod_specs
from codexctl_tasks.slots.sync.reaching import reach
from codexctl_tasks.slots.sync.syncing import Synced, sync

if TYPE_CHECKING:
    from codexctl_tasks.requests.slots import SyncRequest
    from codexctl_tasks.slots.sync.place import Place
    from codexctl_tasks.world.outside import Outside

SCHEMA_VERSION = 1
"""Of the JSON document; see docs/output.md."""
_SHOWN = 20


def sync_sources(request: SyncRequest, outside: Outside) -> int:
    """Sync a folder into the workspace of an environment, and tell what was done."""
    console = outside.console
    desired = load_renderable(request.source, console)
    request = request.with_defaults(desired.defaults)
    cluster = outside.connect(request.cluster, outside.clock, console.retrying)
    project = desired.loaded.context.project if desired.loaded else ""
    volume = Volume(
        namespace=desired.namespace or cluster.default_namespace,
        claim=request.claim,
        path=PurePosixPath(request.path or project or "."),
        specs=tuple(pod_specs(manifest.body for manifest in desired.manifests)),
        image=request.image,
    )
    begun_s = outside.clock.now()
    with reach(volume, cluster, outside.clock) as place:
        console.step("sync", f"{request.folder} to {place}")
        synced = sync(
            *(request.folder, place, cluster, outside.clock),
            environ=request.source.environ,
            overwrite=request.overwrite,
            announce=lambda repetition: console.retrying(str(repetition)),
        )
    elapsed_s = outside.clock.now() - begun_s
    _tell(synced, elapsed_s, outside)
    if request.files.step_outputs:
        told = {key: str(value) for key, value in _counts(synced).items()}
        write_report(request.files.step_outputs, outputs_text(told), console, mode="a")
    if request.output == "json":
        console.result_as_json(_as_json(place, synced, elapsed_s))
    return DONE


def _tell(synced: Synced, elapsed_s: float, outside: Outside) -> None:
    console = outside.console
    for warning in synced.warnings:
        console.warn(warning)
    if synced.work:
        what = "kept" if synced.is_work_kept else "overwritten"
        for path in synced.work[:_SHOWN]:
            console.step("sync", f"{what}: {path}")
        more = len(synced.work) - _SHOWN
        if more > 0:
            console.step("sync", f"{what}: {more} more")
    console.step(
        "sync",
        f"sent: {synced.sent} files, {synced.sent_bytes} bytes; found from before: "
        f"{synced.resumed}; deleted: {synced.deleted}; changed modes: {synced.changed_modes}; "
        f"kept: {synced.kept}; {elapsed_s:.1f} s",
    )


def _as_json(place: Place, synced: Synced, elapsed_s: float) -> dict[str, Any]:
    return {
        "version": SCHEMA_VERSION,
        "exitCode": DONE,
        "elapsedSeconds": round(elapsed_s, 3),
        "namespace": place.namespace,
        "pod": place.pod,
        "folder": place.folder,
        "sent": synced.sent,
        "sentBytes": synced.sent_bytes,
        "resumed": synced.resumed,
        "deleted": synced.deleted,
        "changedModes": synced.changed_modes,
        "kept": synced.kept,
        "work": list(synced.work),
        "workKept": synced.is_work_kept,
        "warnings": list(synced.warnings),
    }


def _counts(synced: Synced) -> dict[str, int]:
    return {
        "sent": synced.sent,
        "sent-bytes": synced.sent_bytes,
        "deleted": synced.deleted,
        "kept": synced.kept,
        "work-kept": len(synced.work) if synced.is_work_kept else 0,
    }
