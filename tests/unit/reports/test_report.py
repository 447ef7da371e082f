"""The final report."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import DONE, TIMED_OUT, WORKLOAD_FAILED
from codexctl_tasks.reports.report import as_json, headline, text_lines
from codexctl_tasks.rollout.diagnosis import Diagnosis
from codexctl_tasks.rollout.findings import LOG_LINES_SHOWN
from codexctl_tasks.rollout.wait import Outcome, Result
from tests.support import output_schema, stories
from tests.support.objects import manifests, target, yaml_of
from tests.support.shell import ROOT

if TYPE_CHECKING:
    from codexctl_tasks.stack.manifests import Manifest

DIAGNOSIS = Diagnosis(
    cause="container app: exit code 1",
    where="pod web-1",
    hint="see the log",
    events=("BackOff x3: again", "Failed x1: oh"),
    log=tuple(f"line {n}" for n in range(LOG_LINES_SHOWN + 10)),
)
READY = Result(target(name="ok"), Outcome.READY, 1.0, "1 of 1 pod ready")
FAILED = Result(target(name="web"), Outcome.FAILED, 24.3, "crash loop", DIAGNOSIS)
LATE = Result(target(name="api"), Outcome.TIMED_OUT, 600.0, "0 of 1 pod ready", Diagnosis())
SKIPPED = manifests(yaml_of("Job", "later"))


@pytest.mark.parametrize(
    ("results", "exit_code", "line"),
    [
        ([READY], DONE, "HEALTHY  1 ready  (72.0 s of 600 s)"),
        ([], DONE, "HEALTHY  no workloads  (72.0 s of 600 s)"),
        ([READY, FAILED, LATE], WORKLOAD_FAILED, "FAILED  1 ready, 1 failed, 1 timed out  (72.0"),
        ([READY, LATE], TIMED_OUT, "TIMED OUT  1 ready, 1 timed out  (72.0"),
        ([READY], 130, "INTERRUPTED  1 ready  (72.0"),
        ([], 143, "INTERRUPTED  no workloads  (72.0"),
    ],
    ids=["healthy", "nothing", "failed", "timed out", "interrupted", "terminated"],
)
def test_the_first_line_says_it_all(results: list[Result], exit_code: int, line: str) -> None:
    """Outcome, counts, time: the line that people copy into a chat agrees with the exit code."""
    _, text = headline(results, [], exit_code=exit_code, elapsed_s=72.0, timeout_s=600.0)

    assert text.startswith(line)


def test_failures_are_explained_below() -> None:
    """Cause, place, hint, events, log and manifest; what is ready needs no words."""
    lines = [line for _, line in text_lines([READY, FAILED], SKIPPED)]

    assert lines[:7] == [
        "Deployment shop/web  FAILED  crash loop  after 24 s",
        "  cause     container app: exit code 1",
        "  where     pod web-1",
        "  hint      see the log",
        "  events    BackOff x3: again",
        "            Failed x1: oh",
        "  log       | line 10",
    ]
    assert lines[-3:] == [
        "            | line 34",
        "  manifest  web.yaml:1",
        "Job shop/later  SKIPPED  its wave comes after one that is not healthy",
    ]
    assert not [line for line in lines if "shop/ok" in line]


def test_what_is_unknown_is_left_out() -> None:
    """No empty fields."""
    lines = [line for _, line in text_lines([LATE], [])]

    assert lines == [
        "Deployment shop/api  TIMED OUT  0 of 1 pod ready  after 600 s",
        "  manifest  web.yaml:1",
    ]


def test_the_same_facts_as_data() -> None:
    """Programs get names, outcomes, seconds, places and causes; everything survives JSON."""
    data = as_json([READY, FAILED], SKIPPED, elapsed_s=72.04567, exit_code=1)
    data = json.loads(json.dumps(data))

    assert (data["exitCode"], data["elapsedSeconds"]) == (1, 72.046)
    assert data["skipped"] == ["Job shop/later"]
    ready, failed = data["workloads"]
    assert ready == {
        "kind": "Deployment",
        "namespace": "shop",
        "name": "ok",
        "outcome": "ready",
        "beganSeconds": 0.0,
        "afterSeconds": 1.0,
        "detail": "1 of 1 pod ready",
        "manifest": "web.yaml:1",
        "diagnosis": None,
        "timeline": [],
    }
    assert failed["outcome"] == "failed"
    assert failed["diagnosis"]["cause"] == "container app: exit code 1"
    assert failed["diagnosis"]["events"] == list(DIAGNOSIS.events)


@pytest.mark.parametrize(
    ("results", "skipped", "exit_code"),
    [
        ([stories.READY], [], DONE),
        ([stories.READY, stories.FAILED, stories.CRASHED], stories.SKIPPED, WORKLOAD_FAILED),
        ([stories.READY, stories.LATE], [], TIMED_OUT),
        ([stories.UNDECIDED], [], 130),
        ([stories.hostile()], [], WORKLOAD_FAILED),
        ([], [], DONE),
    ],
    ids=["healthy", "failed", "timed out", "interrupted", "hostile", "nothing"],
)
def test_the_data_keep_to_the_published_schema(
    results: list[Result], skipped: list[Manifest], exit_code: int
) -> None:
    """Programs may rely on docs/output.schema.json, however a run ends."""
    data = as_json(results, skipped, elapsed_s=1.0, exit_code=exit_code)

    output_schema.check(json.loads(json.dumps(data)), "apply")


def test_the_timeline_is_part_of_the_data() -> None:
    """A program sees when a cause was first known, not only that it was."""
    [workload] = as_json([stories.FAILED], [], elapsed_s=25.0, exit_code=1)["workloads"]

    assert workload["beganSeconds"] == 1.3
    assert [(m["atSeconds"], m["kind"]) for m in workload["timeline"]] == [
        (1.3, "applied"),
        (1.9, "progress"),
        (4.3, "symptom"),
        (24.3, "failed"),
    ]
    assert workload["timeline"][2]["text"] == stories.MISSING


def test_every_key_is_documented() -> None:
    """Whoever reads the JSON finds each key explained in docs/output.md."""
    page = (ROOT / "docs" / "output.md").read_text("utf-8")
    text = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    told = {word for code in re.findall(r"`([^`]+)`", text) for word in re.findall(r"\w+", code)}

    assert output_schema.keys() <= told
