"""A run as JUnit XML, which most CI servers show as tests: one test for each workload."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from codexctl_tasks.reports.story import SKIPPED_BECAUSE, Note
from codexctl_tasks.rollout.wait import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codexctl_tasks.errors import Location
    from codexctl_tasks.reports.story import Story, Workload

_RUN = "codexctl.run"
"""Class of the test that stands for the run as a whole."""
_ELEMENTS = {
    Outcome.FAILED: "failure",
    Outcome.TIMED_OUT: "error",
    Outcome.NOT_READY: "skipped",
}


def junit_xml(story: Story) -> str:
    """Return one test suite: a failure for what failed, an error for what could not be decided."""
    cases = list(_cases(story)) or [_case("the run", _RUN, story.elapsed_s, None)]
    counts = {
        "tests": len(cases),
        "failures": sum(case.find("failure") is not None for case in cases),
        "errors": sum(case.find("error") is not None for case in cases),
        "skipped": sum(case.find("skipped") is not None for case in cases),
    }
    numbers = {name: str(count) for name, count in counts.items()}
    numbers["time"] = f"{story.elapsed_s:.3f}"
    root = ET.Element("testsuites", {"name": "codexctl", **numbers})
    begun_at = story.begun_at.strftime("%Y-%m-%dT%H:%M:%S")
    suite = ET.SubElement(
        root, "testsuite", {"name": story.title, **numbers, "timestamp": begun_at}
    )
    suite.extend(cases)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _cases(story: Story) -> Iterator[ET.Element]:
    for workload in story.workloads:
        yield _case_of(workload)
    for skipped in story.skipped:
        case = _case(skipped.text, "codexctl.skipped", 0.0, skipped.place)
        ET.SubElement(case, "skipped", message=SKIPPED_BECAUSE)
        yield case
    problems = list(story.problems)
    if story.word == "interrupted":  # what is only skipped would look green
        problems.append(Note(text="the run was interrupted", place=None))
    for problem in problems:
        case = _case("the run", _RUN, story.elapsed_s, problem.place)
        ET.SubElement(case, "error", message=problem.text, type=story.word).text = problem.text
        yield case


def _case_of(workload: Workload) -> ET.Element:
    group = ".".join(part for part in (workload.namespace, workload.kind) if part)
    case = _case(workload.name, group, workload.took_s, workload.place)
    element = _ELEMENTS.get(workload.outcome)
    if element:
        cause = workload.diagnosis.cause
        message = f"{workload.detail}: {cause}" if cause else workload.detail
        outcome = ET.SubElement(case, element, message=message)
        if element != "skipped":
            outcome.set("type", workload.outcome.value)
            outcome.text = "\n".join(_explanation(workload))
    ET.SubElement(case, "system-out").text = "\n".join(_account(workload))
    return case


def _case(name: str, group: str, time_s: float, place: Location | None) -> ET.Element:
    found = {"name": name, "classname": group, "time": f"{time_s:.3f}"}
    if place:
        found["file"] = place.file
    if place and place.line:
        found["line"] = str(place.line)
    return ET.Element("testcase", found)


def _explanation(workload: Workload) -> Iterator[str]:
    found = workload.diagnosis
    facts = {
        "cause": workload.reason,
        "where": found.where,
        "hint": found.hint,
        "manifest": str(workload.place),
    }
    yield from (f"{name}: {value}" for name, value in facts.items() if value)


def _account(workload: Workload) -> Iterator[str]:
    for moment in workload.history:
        yield f"{moment.at_s:7.1f} s  {moment.kind.value}: {moment.text}"
    for name, lines in (("events", workload.diagnosis.events), ("log", workload.diagnosis.log)):
        if lines:
            yield from ("", f"{name}:", *lines)
