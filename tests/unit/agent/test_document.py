"""``docs/ai-run.md``: what it says is what the code does."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from codexctl_tasks.agent.admission import Policy as Admission
from codexctl_tasks.agent.choice import EFFORTS
from codexctl_tasks.agent.prompting import MOST_CHARACTERS, Facts
from codexctl_tasks.agent.proxy.objects import ProxySettings
from codexctl_tasks.agent.result import Kind, Status
from codexctl_tasks.agent.work.known import DEFAULTS
from codexctl_tasks.agent.work.policy import Policy
from codexctl_tasks.agent.work.verification import MOST_BUNDLE_BYTES, MOST_COMMITS
from codexctl_tasks.flows.agent.assignment import DEFAULT_LIMIT_S
from codexctl_tasks.flows.agent.gate import PATIENCE_S
from codexctl_tasks.requests.agents import BRANCH_PREFIX
from codexctl_tasks.settings import gate_request

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "ai-run.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")


def section(heading: str) -> str:
    """Return what stands below a heading."""
    parts = re.split(r"^##+ ", TEXT, flags=re.MULTILINE)
    [found] = [part for part in parts if part.startswith(f"{heading}\n")]
    return found


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading, without its head."""
    lines = [line for line in section(heading).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def test_each_status_has_its_exit_code_and_advice() -> None:
    """A reader finds every end of a run, and no other."""
    found = rows("How it ended")
    expected = [(f"`{status}`", str(status.exit_code)) for status in Status]
    assert [
        (row[0], row[2].partition("; 2 to 5 if it could not begin")[0]) for row in found
    ] == expected
    assert all(row[1] and row[3] for row in found)


def test_each_kind_has_its_label_and_its_command() -> None:
    """As the gate knows them when nobody says otherwise."""
    request = gate_request()
    found = {row[0].strip("`"): row for row in rows("What one can ask for")}
    assert set(found) == {kind.value for kind in Kind}
    assert {row[1].strip("`"): kind for kind, row in found.items()} == dict(request.labels)
    for kind, (_, _, comments, what) in found.items():
        assert f"`{request.command} {kind}`" in comments
        assert what.startswith("a comment on") != Kind(kind).makes_commits


def test_each_protected_path_stands_beside_its_rule() -> None:
    """The table is the policy, pattern by pattern."""
    told = {}
    for cell, rule in rows("What is checked before anything is pushed"):
        told |= dict.fromkeys(re.findall(r"`([^`]+)`", cell), rule)
    assert told == {pattern: rule.value for pattern, rule in DEFAULTS.items()}


def test_limits_are_those_of_the_code() -> None:
    """Numbers that somebody relies on."""
    usual, proxy = Policy(), ProxySettings
    megabyte = 10**6
    files = f"{usual.most_files} files, {usual.most_file_bytes // megabyte} MB each"
    assert f"{files}, {usual.most_bytes // megabyte} MB in all" in TEXT
    assert f"{MOST_COMMITS} commits and {MOST_BUNDLE_BYTES // 2**20} MiB" in TEXT
    known = {each.name: each.default for each in fields(proxy)}
    size = f"{known['max_request_bytes'] // 2**20} MiB"
    assert f"{known['max_requests']:,} requests of {size}" in TEXT
    assert f"{MOST_CHARACTERS:,} characters" in TEXT
    assert f"more than {Admission().most_runs} runs of one account within an hour" in TEXT
    assert gate_request().most_runs == Admission().most_runs
    assert (PATIENCE_S, DEFAULT_LIMIT_S) == (120, 3600), "two minutes, and an hour"
    assert f"`{BRANCH_PREFIX}N`" in TEXT


def test_names_are_those_of_the_code() -> None:
    """Efforts, and what templates of a project can use."""
    assert ", ".join(f"`{each}`" for each in EFFORTS) in section("What it costs")
    told = section("What the agent is told")
    assert all(f"`{each.name}`" in told for each in fields(Facts))
