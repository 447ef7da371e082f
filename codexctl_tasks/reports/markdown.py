"""The job summary of GitHub Actions: a headline, a table, a Gantt chart, and what broke."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from codexctl_tasks.reports.story import SKIPPED_BECAUSE
from codexctl_tasks.reports.timeline import Phase, spans_of
from codexctl_tasks.rollout.wait import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from codexctl_tasks.reports.story import Story, Workload
    from codexctl_tasks.reports.timeline import Span

LIMIT_BYTES = 1024 * 1024
"""GitHub drops the summary of a step that is longer, and shows an error instead."""
CHART_LIMIT = 45_000
"""Characters: Mermaid refuses diagrams of more than 50,000."""
ROWS_IN_CHART = 40
"""More cannot be read; the broken ones come first."""
_CUT = "\n\n**The rest was cut:** GitHub allows 1 MiB for the summary of a step.\n"
_LONGEST_CELL = 600
_LONGEST_LINE = 2000
_LONGEST_BAR = 60
_MARGIN_PX, _LETTER_PX = 20, 6
"""Of the names beside Mermaid's bars; its own margin is too narrow for most."""
_MARKS = {
    Outcome.READY: "✅",
    Outcome.FAILED: "❌",
    Outcome.TIMED_OUT: "⏱️",
    Outcome.NOT_READY: "❔",
}
_OF_STORY = {"healthy": "✅", "applied": "✅", "timed out": "⏱️"}
_SPECIAL = re.compile(r"[^\w\s.,;:/=%'\"?-]|_", re.ASCII)
"""Everything that Markdown, HTML or GitHub could read as more than a character."""
_NOT_IN_CHART = re.compile(r"[^\w ./()'+=-]+")
"""Colons, commas, semicolons, hashes, braces and quotes have a meaning in Mermaid."""
_TAGS = {
    Phase.WAITING: "",
    Phase.TROUBLE: "crit, active, ",
    Phase.READY: "done, ",
    Phase.FAILED: "crit, ",
}


def job_summary(story: Story, room_bytes: int = LIMIT_BYTES) -> str:
    """Return the Markdown, cut so that it fits into *room_bytes*; empty if nothing fits."""
    left = room_bytes - len(_CUT.encode())
    kept: list[str] = []
    for piece in _pieces(story):
        left -= len(piece.encode())
        if left < 0:
            return "".join([*kept, _CUT]) if room_bytes >= len(_CUT.encode()) else ""
        kept.append(piece)
    return "".join(kept)


def plan_summary(
    title: str, totals: str, lines: Iterable[str], room_bytes: int = LIMIT_BYTES
) -> str:
    """Return the Markdown of a plan, cut so that it fits into *room_bytes*; empty if it cannot."""
    head = (
        f"## 📋 {cell(f'{title}: planned')}\n\n{cell(totals)}. Nothing was changed.\n\n"
        "<details><summary>What a deploy would do</summary>\n\n<pre>\n"
    )
    end = "</pre>\n\n</details>\n\n"
    left = room_bytes - len(f"{head}{end}{_CUT}".encode())
    if left < 0:
        return ""
    kept: list[str] = []
    for line in lines:
        shown = f"{html.escape(_one_line(line, _LONGEST_LINE))}\n"
        left -= len(shown.encode())
        if left < 0:
            return f"{head}{''.join(kept)}{end}{_CUT}"
        kept.append(shown)
    return f"{head}{''.join(kept)}{end}" if kept else head.partition("<details>")[0]


def gantt(story: Story) -> str:
    """
    Return a Mermaid chart of the rollout in milliseconds from the beginning of the run.

    The axis shows seconds since the epoch, which are the same in every time zone.
    """
    shown = story.workloads[:ROWS_IN_CHART]
    longest = max((len(in_chart(workload.name)) for workload in shown), default=0)
    margin = _MARGIN_PX + longest * _LETTER_PX
    lines = [
        f'%%{{init: {{"gantt": {{"leftPadding": {margin}}}}}}}%%',
        *("gantt", "    dateFormat x", "    axisFormat %s s", "    todayMarker off"),
    ]
    length = sum(map(len, lines))
    for workload in shown:
        rows = [f"    section {in_chart(workload.name)}"]
        rows += [f"    {_bar(span)}" for span in spans_of(workload.history, story.end_s)]
        length += sum(len(row) + 1 for row in rows)
        if length > CHART_LIMIT:
            break
        lines += rows
    return "\n".join(lines)


def in_chart(text: str) -> str:
    """Return a text that Mermaid takes for a name, whatever it was."""
    return " ".join(_NOT_IN_CHART.sub(" ", text).split()) or "-"


def _pieces(story: Story) -> Iterator[str]:
    """Yield what is worth reading, the most important first."""
    title = cell(f"{story.title}: {story.word}")
    yield f"## {_OF_STORY.get(story.word, '❌')} {title}\n\n"
    facts = (story.counts, story.applied, f"{story.elapsed_s:.1f} s of {story.timeout_s:.0f} s")
    yield f"{' · '.join(_escaped(fact) for fact in facts if fact)}\n\n"
    yield from (f"- ❌ {cell(problem.text)}\n" for problem in story.problems)
    if story.workloads or story.skipped:
        yield "\n| | workload | state | seconds | cause |\n|---|---|---|--:|---|\n"
        yield from map(_row, story.workloads)
        for skipped in story.skipped:
            yield f"| ⏭️ | {cell(skipped.text)} | skipped | | {SKIPPED_BECAUSE} |\n"
    if any(workload.history for workload in story.workloads):
        yield f"\n```mermaid\n{gantt(story)}\n```\n"
        if len(story.workloads) > ROWS_IN_CHART:
            yield f"\nThe chart shows {ROWS_IN_CHART} of {len(story.workloads)} workloads.\n"
    yield from map(_details, story.suspects)
    yield "\n"


def _row(workload: Workload) -> str:
    cells = (
        _MARKS[workload.outcome],
        cell(workload.name),
        workload.outcome.value,
        f"{workload.after_s:.1f}",
        "" if workload.outcome is Outcome.READY else cell(workload.reason),
    )
    return f"| {' | '.join(cells)} |\n"


def _details(workload: Workload) -> str:
    found = workload.diagnosis
    facts = {"where": found.where, "hint": found.hint, "manifest": str(workload.place)}
    lines = [f"- {name}: {cell(value)}\n" for name, value in facts.items() if value]
    heading = f"{workload.name}: {workload.detail}"
    return (
        f"\n<details><summary>{html.escape(_one_line(heading, _LONGEST_CELL))}</summary>\n\n"
        f"{''.join(lines)}{_block('events', found.events)}{_block('log', found.log)}\n</details>\n"
    )


def _block(name: str, lines: Iterable[str]) -> str:
    # A <pre> ends only with its own end tag, which cannot occur in escaped text.
    text = "\n".join(html.escape(_one_line(line, _LONGEST_LINE)) for line in lines)
    return f"\n{name}\n\n<pre>\n{text}\n</pre>\n" if text else ""


def _bar(span: Span) -> str:
    name = span.phase.value
    if span.cause:
        cause = in_chart(span.cause)
        short = f"{cause[:_LONGEST_BAR].strip()}..." if len(cause) > _LONGEST_BAR else cause
        name = f"{name} - {short}"
    from_ms = round(span.from_s * 1000)
    return f"{name} :{_TAGS[span.phase]}{from_ms}, {max(round(span.to_s * 1000), from_ms + 1)}"


def cell(text: str) -> str:
    """Return a text that stays within its cell of a table, whatever is in it."""
    return _escaped(_one_line(text, _LONGEST_CELL))


def _one_line(text: str, longest: int) -> str:
    line = text.replace("\r", " ").replace("\n", " ")
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", text)
