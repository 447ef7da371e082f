"""JUnit XML, as CI servers read it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from codexctl_tasks.reports.junit import junit_xml
from tests.support import stories

if TYPE_CHECKING:
    from codexctl_tasks.reports.story import Story

_COUNTS = {"tests", "failures", "errors", "skipped", "time"}
_SHAPE: dict[str, tuple[set[str], set[str], set[str]]] = {
    # element: required attributes, allowed ones, children
    "testsuites": ({"name", *_COUNTS}, set(), {"testsuite"}),
    "testsuite": ({"name", "timestamp", *_COUNTS}, {"hostname", "id", "package"}, {"testcase"}),
    "testcase": (
        {"name", "classname", "time"},
        {"file", "line"},
        {"failure", "error", "skipped", "system-out"},
    ),
    "failure": ({"message", "type"}, set(), set()),
    "error": ({"message", "type"}, set(), set()),
    "skipped": ({"message"}, set(), set()),
    "system-out": (set(), set(), set()),
}
"""What Jenkins, GitLab and others agree on."""


def _checked(story: Story) -> ET.Element:
    root = ET.fromstring(junit_xml(story))  # noqa: S314 - our own text
    for element in root.iter():
        required, allowed, children = _SHAPE[element.tag]
        assert required <= set(element.keys()) <= required | allowed, element.tag
        assert {child.tag for child in element} <= children
    for case in root.iter("testcase"):
        assert sum(child.tag != "system-out" for child in case) <= 1
    for group in (root, *root.iter("testsuite")):
        cases = list(group.iter("testcase"))
        assert int(group.get("tests", "")) == len(cases)
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(group.get(name, "")) == sum(case.find(tag) is not None for case in cases)
        assert float(group.get("time", "")) >= 0
    return root


@pytest.mark.parametrize(
    "story",
    [
        stories.broken(),
        stories.healthy(),
        stories.refused(),
        stories.story(),
        stories.story(stories.hostile(), exit_code=1, title=stories.HOSTILE),
    ],
    ids=["broken", "healthy", "refused", "empty", "hostile"],
)
def test_every_report_is_one_that_servers_read(story: Story) -> None:
    """The shape is right and the counts add up, however the run ended."""
    _checked(story)


def test_each_workload_is_a_test() -> None:
    """A failure, an error for a time-out, skipped for what was not decided or never applied."""
    cases = {case.get("name"): case for case in _checked(stories.broken()).iter("testcase")}

    assert {name: next(child.tag for child in case) for name, case in cases.items()} == {
        "Deployment shop/web": "failure",
        "StatefulSet shop/worker": "failure",
        "Deployment shop/search": "error",
        "DaemonSet shop/agent": "skipped",
        "Deployment shop/api": "system-out",
        "Job shop/reindex": "skipped",
        "Ingress shop/public": "skipped",
    }
    worker = cases["StatefulSet shop/worker"]
    assert worker.attrib == {
        "name": "StatefulSet shop/worker",
        "classname": "shop.StatefulSet",
        "time": "91.300",
        "file": "web.yaml",
        "line": "1",
    }
    failure, out = worker
    assert failure.get("message") == f"crash loop, exit code 1: {stories.CRASH}"
    assert f"cause: {stories.CRASH}" in str(failure.text)
    assert "   92.7 s  failed: crash loop, exit code 1" in str(out.text)
    assert "redis.exceptions.ConnectionError: Error 111" in str(out.text)


def test_what_ended_the_run_is_an_error() -> None:
    """A refused deploy is red on the server too, with the place of the mistake."""
    [case] = _checked(stories.refused()).iter("testcase")

    assert (case.get("file"), case.get("line")) == ("deploy/web.yaml", "12")
    assert case.find("error") is not None


def test_an_interrupted_run_is_not_green() -> None:
    """What was skipped is no failure for a server: the run itself is one."""
    story = stories.story(stories.UNDECIDED, exit_code=130)

    workload, run = _checked(story).iter("testcase")

    assert workload.find("skipped") is not None
    assert [error.get("message") for error in run] == ["the run was interrupted"]


def test_a_report_is_never_empty() -> None:
    """Servers call a report without tests broken: a run that applied is one test that passed."""
    [case] = _checked(stories.story(judged=False)).iter("testcase")

    assert (case.get("name"), list(case)) == ("the run", [])


def test_hostile_texts_come_out_as_they_are() -> None:
    """No text ends an element, and what XML cannot hold is gone."""
    told = stories.story(stories.hostile(), exit_code=1)
    [case] = _checked(told).iter("testcase")

    assert str(case.findtext("system-out")).endswith(
        told.workloads[0].diagnosis.log[0].replace("\r\n", "\n")
    )
