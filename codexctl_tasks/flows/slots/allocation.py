"""Slots: take one for an Issue or a PR, list them, change a record, give one back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from codexctl_tasks.errors import DONE, ClusterError, CodexctlError, DeadlineError, UsageError
from codexctl_tasks.flows.environment import warn_of_unknown_keys
from codexctl_tasks.flows.reporting import outputs_text, write_report
from codexctl_tasks.flows.slots.place import SlotPlace
from codexctl_tasks.reports import slots as report
from codexctl_tasks.reports.slots import SlotRow
from codexctl_tasks.slots.choosing import Wish, brief, own_record
from codexctl_tasks.slots.lease import refuse_if_held
from codexctl_tasks.slots.record import Owner, Record, State
from codexctl_tasks.slots.taking import Taking

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from codexctl_tasks.requests.slots import (
        EnsureSlotRequest,
        ReleaseRequest,
        SlotRequest,
        SlotSetRequest,
    )
    from codexctl_tasks.slots.store import Listing
    from codexctl_tasks.world.outside import Outside

_ATTEMPTS = 5  # each sees the newest version: others change it rarely


def ensure_slot(request: EnsureSlotRequest, outside: Outside) -> int:
    """Give the Issue or PR its slot, a new one if it has none; wait if all are taken."""
    place = SlotPlace(request, outside)
    console, clock = outside.console, outside.clock
    warn_of_unknown_keys(place.loaded, console)
    wish = Wish(
        owner=_owner(request),
        env=request.source.env,
        project=place.project,
        branch=request.branch,
        holder=request.holder,
        lease_s=request.lease_s,
        most=place.most,
        namespace_of=place.namespace_of,
    )
    place.namespace_of(1)  # what is wrong with the pattern is told before anything is asked
    taking = Taking(
        *(place.slots, wish, clock),
        open_feed=lambda: outside.watch(
            place.cluster, [place.slots.scope], clock, console.retrying
        ),
        announce=lambda line: console.step("slot", line),
    )
    try:
        taken = taking.take(request.wait_s)
    except DeadlineError as error:
        _tell_timeout(request, error, outside)
        raise
    record = taken.record
    how = "taken over" if taken.recreated else "new" if taken.created else "taken again"
    console.step(
        "slot",
        f"{record.slot} for {record.owner}: {how}, {record.state}, namespace {record.namespace}, "
        f"for {brief(request.lease_s)} from now on",
    )
    flags = {"created": taken.created, "recreated": taken.recreated}
    return _tell(request, outside, place, record, flags)


def _tell_timeout(request: EnsureSlotRequest, error: DeadlineError, outside: Outside) -> None:
    """Tell later jobs why there is no slot; `agent.ending` reads it."""
    if outputs := request.files.step_outputs:
        told = {"status": "slot-timeout", "reason": f"{error.where}: {error.what}"}
        write_report(outputs, outputs_text(told), outside.console, "a")


def slots(request: SlotRequest, outside: Outside) -> int:
    """Print all slots; a damaged record is shown beside the others."""
    place = SlotPlace(request, outside)
    listing = place.slots.list()
    rows = [
        SlotRow(slot=each.slot, record=each, links=_links(place, each)) for each in listing.records
    ]
    rows += [SlotRow(slot=e.slot, record=None, problem=str(e)) for e in listing.damaged]
    rows.sort(key=lambda row: row.slot)
    now = place.slots.now()
    if request.output == "json":
        outside.console.result_as_json(report.as_json(rows, now))
    else:
        outside.console.result(report.table_lines(rows, now))
    return DONE


def slot_set(request: SlotSetRequest, outside: Outside) -> int:
    """Change what a record says; nothing is deployed or deleted."""
    place = SlotPlace(request, outside)
    slot = request.source.slot
    for _ in range(_ATTEMPTS):
        listing = place.slots.list()
        before = _named(listing, slot)
        if before is None:
            place.check(slot)
            fix = "ensure-slot takes one; slots lists them"
            raise UsageError("--slot", f"slot {slot} is not taken", fix)
        if not request.force:
            refuse_if_held(before, request.holder, place.slots.now())
        wanted = _changed(before, request)
        _refuse_twins(wanted, listing)
        if written := place.slots.replace(wanted):
            if before.owner != written.owner:
                _undo_if_twin(place, before, written)
            told = ", ".join(f"{key} {value or 'none'}" for key, value in request.changes.items())
            outside.console.step("slot", f"{slot} changed: {told}")
            return _tell(request, outside, place, written)
    raise _restless(slot)


def release(request: ReleaseRequest, outside: Outside) -> int:
    """Give a lease back, so that the next run need not wait for its end; the environment stays."""
    place = SlotPlace(request, outside)
    for _ in range(_ATTEMPTS):
        listing = place.slots.list()
        slot = request.source.slot
        record = _named(listing, slot) if slot else own_record(listing, _owner(request))
        if record and (request.issue or request.pr) and not record.is_for(_owner(request)):
            what = f"slot {slot} is that of {record.owner}, not of {_owner(request)}"
            raise UsageError("--slot", what, "leave the number out")
        if record is None:
            place.check(slot)
            what = f"slot {slot} is" if slot else f"{_owner(request)} has"
            outside.console.step("slot", f"{what} {'free' if slot else 'no slot'}: nothing to do")
            return _tell(request, outside, place, None)
        now = place.slots.now()
        if not request.force:
            refuse_if_held(record, request.holder, now)
        if written := place.slots.replace(record.given_back(now)):
            outside.console.step("slot", f"{record.slot} of {record.owner}: given back")
            return _tell(request, outside, place, written)
    raise _restless(request.source.slot or 0)


def _owner(request: SlotRequest) -> Owner:
    return Owner(repo=request.repo, issue=request.issue, pr=request.pr)


def _named(listing: Listing, slot: int) -> Record | None:
    """Return the record of a slot, None if it is free; raise `DamagedRecord` for nonsense."""
    for damaged in listing.damaged:
        if damaged.slot == slot:
            raise damaged
    return next((each for each in listing.records if each.slot == slot), None)


def _changed(before: Record, request: SlotSetRequest) -> Record:
    changes = dict(request.changes)
    state = State(str(changes.pop("state", before.state)))
    repo = before.repo or request.repo
    return replace(before, **changes, state=state, repo=repo)  # type: ignore[arg-type]


def _refuse_twins(wanted: Record, listing: Listing) -> None:
    """Raise `UsageError` if the Issue or the PR of a record has another slot."""
    for damaged in listing.damaged:
        if damaged.is_for(wanted.owner):
            raise damaged
    for other in listing.of(wanted.owner):
        if other.slot != wanted.slot:
            what = f"{other.owner} has slot {other.slot}: an Issue or PR has one slot"
            raise UsageError("slot-set", what, "clean that one up first")


def _undo_if_twin(place: SlotPlace, before: Record, written: Record) -> None:
    """Put a record back if its Issue or PR has got another slot in this moment."""
    try:
        _refuse_twins(written, place.slots.list())
    except CodexctlError:
        _undo(place, before, written)
        raise


def _undo(place: SlotPlace, before: Record, written: Record) -> None:
    """Give a slot back to whom it was for; what a run writes meanwhile stays, such as its lease."""
    newest: Record | None = written
    for _ in range(_ATTEMPTS):
        if newest is None or (newest.uid, newest.owner) != (written.uid, written.owner):
            return  # somebody else has changed it, or deleted it
        back = replace(newest, repo=before.repo, issue=before.issue, pr=before.pr)
        if place.slots.replace(replace(back, branch=before.branch, state=before.state)):
            return
        newest = place.slots.get(written.slot)
    raise _restless(written.slot)


def _links(place: SlotPlace, record: Record) -> Sequence[tuple[str, str]]:
    """Return the pages of an environment that may be there."""
    try:
        return place.links(record.slot) if record.state in (State.READY, State.UNHEALTHY) else []
    except CodexctlError:  # they are an extra: a stack may not render for every number
        return []


def _tell(
    request: SlotRequest,
    outside: Outside,
    place: SlotPlace,
    record: Record | None,
    flags: Mapping[str, bool] | None = None,
) -> int:
    """Tell programs about one slot: as JSON if wanted, and as outputs of a step."""
    flags = flags or {}
    if outputs := request.files.step_outputs:
        told = {key: str(value).lower() for key, value in flags.items()}
        text = outputs_text({**report.step_outputs(record), **told})
        write_report(outputs, text, outside.console, "a")
    if request.output == "json":
        rows = [SlotRow(slot=record.slot, record=record)] if record else []
        data = report.as_json(rows, place.slots.now())
        outside.console.result_as_json({**data, **flags})
    return DONE


def _restless(slot: int) -> ClusterError:
    what = f"its record changed {_ATTEMPTS} times while it was written"
    return ClusterError(f"slot {slot}", what, "find out who else writes it")
