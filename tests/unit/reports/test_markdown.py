"""The job summary of GitHub Actions."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from codexctl_tasks.reports.markdown import (
    CHART_LIMIT,
    LIMIT_BYTES,
    ROWS_IN_CHART,
    job_summary,
    plan_summary,
)
from codexctl_tasks.rollout.wait import Outcome
from tests.support import stories
from tests.support.objects import target

if TYPE_CHECKING:
    from codexctl_tasks.reports.story import Story
    from codexctl_tasks.rollout.wait import Result

_DIRECTIVE = r'%%\{init: \{"gantt": \{"leftPadding": \d+\}\}\}%%'
_NAME = r"[^:;,#%{}\"`<>&\n]+"
_CHART = re.compile(
    rf"{_DIRECTIVE}\ngantt\n    dateFormat x\n    axisFormat %s s\n    todayMarker off"
    rf"(?:\n    section {_NAME}"
    rf"(?:\n    (?:waiting|trouble - {_NAME}|ready|failed) :(?:crit, |active, |done, )*\d+, \d+)+)*"
)
"""What Mermaid's own parser takes for a chart with these tasks (tried with version 11.17)."""


def _chart(summary: str) -> str:
    [chart] = re.findall(r"^```mermaid\n(.*?)\n```$", summary, re.DOTALL | re.MULTILINE)
    return str(chart)


def _table(summary: str) -> list[list[str]]:
    lines = [line for line in summary.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def _many(number: int, result: Result = stories.CRASHED) -> Story:
    results = [replace(result, target=target(name=f"w{n:05}")) for n in range(number)]
    return stories.story(*results, exit_code=1)


def test_a_reader_sees_first_what_broke() -> None:
    """Headline, facts, and a table whose first rows are the failures with their causes."""
    summary = job_summary(stories.broken())

    headline, _, facts = summary.splitlines()[:3]
    assert headline == "## ❌ shop.staging: failed"
    assert facts == (
        "1 ready, 2 failed, 1 timed out, 1 not ready, 2 skipped · "
        "3 created, 2 changed, 14 unchanged · 120.1 s of 600 s"
    )
    rows = _table(summary)
    assert [(row[0], row[2], row[3]) for row in rows] == [
        ("❌", "failed", "24.3"),
        ("❌", "failed", "92.7"),
        ("⏱️", "timed out", "120.0"),
        ("❔", "not ready", "102.7"),
        ("✅", "ready", "8.4"),
        ("⏭️", "skipped", ""),
        ("⏭️", "skipped", ""),
    ]
    assert html.unescape(rows[0][4]) == stories.MISSING


def test_each_failure_can_be_opened() -> None:
    """Place, hint, manifest, events and log stand below, folded, one after the other."""
    summary = job_summary(stories.broken())

    assert re.findall(r"<details><summary>(.*?)</summary>", summary) == [
        "Deployment shop/web: image not found",
        "StatefulSet shop/worker: crash loop, exit code 1",
        "Deployment shop/search: 0 of 1 pod ready",
    ]
    assert summary.count("<details>") == summary.count("</details>") == 3
    assert "- manifest: web.yaml:1\n" in summary
    blocks = [html.unescape(b) for b in re.findall(r"<pre>\n(.*?)\n</pre>", summary, re.DOTALL)]
    assert "\n".join(stories.CRASHED.diagnosis.log if stories.CRASHED.diagnosis else ()) in blocks


def test_trouble_that_was_not_decided_can_be_opened_too() -> None:
    """The wait ended before a crash was a verdict: its log is there all the same."""
    summary = job_summary(stories.story(stories.CRASHING, stories.UNDECIDED, exit_code=130))

    assert re.findall(r"<details><summary>(.*?)</summary>", summary) == [
        "StatefulSet shop/worker: 0 of 1 pod ready: crashed"
    ]


def test_the_chart_has_a_section_for_each_workload() -> None:
    """Bars in milliseconds from the beginning: waiting, trouble with its cause, the end."""
    chart = _chart(job_summary(stories.broken()))

    assert _CHART.fullmatch(chart)
    assert re.findall(r"section (.*)", chart)[:2] == [
        "Deployment shop/web",
        "StatefulSet shop/worker",
    ]
    assert "    waiting :1400, 3800\n" in chart
    assert (
        "    trouble - container worker exit code 1 (Error) :crit, active, 3800, 16000\n" in chart
    )
    assert "    failed :crit, 92700, 120100\n" in chart
    assert "    ready :done, 8400, 120100" in chart


def test_hostile_texts_break_nothing() -> None:
    """A log line is no markup, no table cell, no end of the chart, no command."""
    result = replace(stories.hostile(), target=target(name=f"x{stories.HOSTILE}"))
    summary = job_summary(stories.story(result, exit_code=1, title=stories.HOSTILE))

    assert _CHART.fullmatch(_chart(summary))
    assert [len(row) for row in _table(summary)] == [5]
    outside = summary.replace("<details><summary>", "").replace("</summary>", "")
    outside = re.sub(r"</?(?:details|pre)>", "", outside)
    assert not re.search(r"<(?!br)|\]\(|@all \|", outside)
    assert summary.count("```") == 2
    assert not [line for line in summary.splitlines() if line.startswith("::")]


def test_a_good_day_is_short() -> None:
    """Headline, one row, one chart; nothing to open."""
    summary = job_summary(stories.healthy())

    assert summary.startswith("## ✅ shop.staging: healthy\n")
    assert "<details>" not in summary
    assert [row[2] for row in _table(summary)] == [Outcome.READY.value]


def test_a_run_without_workloads_names_what_ended_it() -> None:
    """A refused deploy has no table and no chart, but its problems."""
    summary = job_summary(stories.refused())

    assert (
        "- ❌ deploy/web.yaml:12: spec.replcas: unknown field: did you mean 'replicas'?" in summary
    )
    assert "mermaid" not in summary
    assert "|" not in summary


def test_a_summary_stays_below_the_limit_of_github() -> None:
    """A longer one would be dropped as a whole: it is cut, and says so."""
    summary = job_summary(_many(5000))

    assert len(summary.encode()) <= LIMIT_BYTES
    assert summary.endswith(
        "**The rest was cut:** GitHub allows 1 MiB for the summary of a step.\n"
    )
    assert summary.count("| failed |") > 2000


def test_what_other_commands_wrote_leaves_less_room() -> None:
    """The limit is that of a step, not that of a command; nothing at all beats a broken end."""
    story = stories.broken()

    assert job_summary(story, len(job_summary(story).encode()) + 100) == job_summary(story)
    small = job_summary(story, 1000)
    assert len(small.encode()) <= 1000
    assert "The rest was cut" in small
    assert job_summary(story, 10) == ""


def test_a_large_chart_shows_as_much_as_mermaid_takes() -> None:
    """The broken ones are in it, and the text says how many are not."""
    summary = job_summary(_many(100))

    chart = _chart(summary)
    assert len(chart) <= CHART_LIMIT
    assert chart.count("section ") == ROWS_IN_CHART
    assert f"The chart shows {ROWS_IN_CHART} of 100 workloads." in summary


def test_a_long_plan_is_cut() -> None:
    """What is shown of it is still closed in itself, and it says that there is more."""
    lines = [f"+ create   ConfigMap shop/a{number:05}" for number in range(50_000)]

    summary = plan_summary("shop", "50000 to create", lines)

    assert len(summary.encode()) <= LIMIT_BYTES
    assert "</pre>\n\n</details>\n\n\n\n**The rest was cut:**" in summary
    assert plan_summary("shop", "1 to create", lines, 100) == ""
