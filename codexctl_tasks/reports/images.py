"""What is told of images at the end of a run (pure): a table, Markdown, data, outputs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codexctl_tasks.reports.markdown import cell

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SCHEMA_VERSION = 1
"""Of the JSON document; see docs/output.md."""
BAD = frozenset({"failed", "skipped"})
"""What is no success; all other words are."""
_SHOWN_DIGEST = len("sha256:") + 12
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRow:
    """What became of one image."""

    name: str
    """Its key under ``images``."""
    target: str
    """Where it is, with its tag."""
    what: str
    """``unchanged``, ``copied``, ``retagged``, ``built``, ``failed``, ``skipped``, ``would copy``,
    ``would build``."""
    digest: str = ""
    """Empty: it is not there."""
    size_bytes: int = 0
    """What was moved; 0: nothing."""
    seconds: float = 0.0
    error: str = ""
    """In one line; empty: nothing went wrong."""

    @property
    def is_bad(self) -> bool:
        """Whether the image is not as it should be."""
        return self.what in BAD


def headline(rows: Sequence[ImageRow]) -> tuple[str, str]:
    """Return the state that colours the first line, and the line."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.what] = counts.get(row.what, 0) + 1
    told = ", ".join(f"{count} {what}" for what, count in counts.items()) or "no images"
    if any(row.is_bad for row in rows):
        return "failed", f"FAILED  {told}"
    return "ready", f"IMAGES  {told}"


def table_lines(rows: Sequence[ImageRow]) -> Iterator[tuple[str, str]]:
    """Yield one line for each image, in columns; below a bad one why."""
    name_width = max((len(row.name) for row in rows), default=0)
    what_width = max((len(row.what) for row in rows), default=0)
    for row in rows:
        size = size_text(row.size_bytes) if row.size_bytes else ""
        facts = f"{row.seconds:6.1f} s  {size:>9}  {row.digest[:_SHOWN_DIGEST]:<{_SHOWN_DIGEST}}"
        line = f"  {row.name:<{name_width}}  {row.what:<{what_width}}  {facts}  {row.target}"
        yield "failed" if row.is_bad else "", line
        if row.error:
            yield "", f"    {row.error}"


def markdown(rows: Sequence[ImageRow]) -> str:
    """Return the table for the summary of a job."""
    mark = "❌" if any(row.is_bad for row in rows) else "✅"
    _, told = headline(rows)
    lines = [
        f"## {mark} Images: {cell(told.partition('  ')[2])}",
        "",
        "| image | what was done | digest | size | seconds |",
        "|---|---|---|---:|---:|",
    ]
    for row in rows:
        what = f"**{row.what}**: {cell(row.error)}" if row.error else row.what
        size = size_text(row.size_bytes) if row.size_bytes else ""
        facts = f"{cell(row.digest[:_SHOWN_DIGEST])} | {size} | {row.seconds:.1f}"
        lines.append(f"| {cell(row.name)}<br>{cell(row.target)} | {what} | {facts} |")
    return "\n".join([*lines, "", ""])


def as_json(rows: Sequence[ImageRow], *, exit_code: int) -> dict[str, Any]:
    """Return the report as data; docs/output.md describes it."""
    return {
        "version": SCHEMA_VERSION,
        "exitCode": exit_code,
        "images": [
            {
                "name": row.name,
                "target": row.target,
                "outcome": row.what,
                "digest": row.digest,
                "bytes": row.size_bytes,
                "seconds": round(row.seconds, 3),
                "error": row.error,
            }
            for row in rows
        ],
    }


def step_outputs(rows: Sequence[ImageRow]) -> dict[str, str]:
    """Return ``digests``: JSON with the digest of each image by its name."""
    digests = {row.name: row.digest for row in rows if row.digest}
    return {"digests": json.dumps(digests, sort_keys=True)}


def size_text(count: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in _UNITS[:-1]:
        if count < _STEP:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= _STEP
    return f"{count:.1f} {_UNITS[-1]}"
