"""What is told of slots (pure): a table, data, outputs of a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codexctl_tasks.slots.choosing import brief
from codexctl_tasks.slots.record import Record, written_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

SCHEMA_VERSION = 1
"""Of the JSON document; see docs/output.md."""
_COLUMNS = ("slot", "state", "for", "env", "namespace", "age", "lease", "holder")


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotRow:
    """One slot."""

    slot: int
    record: Record | None
    """None: it is damaged."""
    links: Sequence[tuple[str, str]] = ()
    """Title and address."""
    problem: str = ""
    """Why the record is damaged, in one line."""


def table_lines(rows: Sequence[SlotRow], now: datetime) -> Iterator[tuple[str, str]]:
    """Yield one line for each slot, in columns; below it its pages, or what is wrong with it."""
    if not rows:
        yield "", "no slot is taken"
        return
    table = [_COLUMNS, *(_cells(row, now) for row in rows)]
    widths = [max(len(cells[index]) for cells in table) for index in range(len(_COLUMNS))]
    colours = {"ready": "ready", "unhealthy": "failed", "damaged": "failed"}
    for cells, row in zip(table, (None, *rows), strict=True):
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        yield colours.get(cells[1], ""), "  ".join(padded).rstrip()
        for title, address in row.links if row else ():
            yield "", f"      {title}: {address}"
        if row and row.problem:
            yield "", f"      {row.problem}"


def as_json(rows: Sequence[SlotRow], now: datetime) -> dict[str, Any]:
    """Return all slots as data; docs/output.md describes it."""
    return {
        "version": SCHEMA_VERSION,
        "exitCode": 0,
        "slots": [slot_data(row, now) for row in rows],
    }


def slot_data(row: SlotRow, now: datetime) -> dict[str, Any]:
    """Return one slot as data; what is not known is empty, 0 or null."""
    record = row.record or Record(slot=row.slot)
    times = {
        "leaseUntil": record.lease_until,
        "heartbeat": record.heartbeat,
        "created": record.created,
        "used": record.used,
    }
    return {
        "slot": row.slot,
        "state": record.state.value if row.record else "damaged",
        "env": record.env,
        "namespace": record.namespace,
        "project": record.project,
        "repo": record.repo,
        "issue": record.issue,
        "pr": record.pr,
        "branch": record.branch,
        "holder": record.holder,
        **{key: written_time(time) if time else None for key, time in times.items()},
        "leaseLeftSeconds": round(record.lease_left_s(now), 3),
        "fingerprint": record.fingerprint,
        "links": [{"title": title, "url": address} for title, address in row.links],
        "problem": row.problem,
    }


def step_outputs(record: Record | None) -> dict[str, str]:
    """Return what later steps need to know of a slot; all empty: there is none."""
    if record is None:
        return {"slot": "", "namespace": "", "env": "", "state": ""}
    return {
        "slot": str(record.slot),
        "namespace": record.namespace,
        "env": record.env,
        "state": record.state.value,
    }


def _cells(row: SlotRow, now: datetime) -> tuple[str, ...]:
    record = row.record
    if record is None:
        return (str(row.slot), "damaged", *("-" for _ in _COLUMNS[2:]))
    left_s = record.lease_left_s(now)
    lease = brief(left_s) if left_s else ("over" if record.holder else "")
    age = brief(max((now - record.created).total_seconds(), 0)) if record.created else ""
    return (
        str(record.slot),
        record.state.value,
        # Somebody may have written into a record what would end the line.
        *(" ".join(text.split()) or "-" for text in (str(record.owner), record.env)),
        *(" ".join(text.split()) or "-" for text in (record.namespace, age, lease, record.holder)),
    )
