"""What a run tells about its objects."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from codexctl_tasks.apply.applying import Account
from codexctl_tasks.apply.plan import Leaving, Step
from codexctl_tasks.apply.sending import Applied, Change
from codexctl_tasks.apply.summary import (
    NAMES_SHOWN,
    applied_lines,
    counts_line,
    kept_line,
    leaving_as_json,
    objects_as_json,
    problems_as_json,
    unfinished_lines,
    warnings_of,
)
from codexctl_tasks.errors import ClusterError, Conflict
from tests.support.fakes import FakeCluster
from tests.support.objects import yaml_of
from tests.support.plans import plan_of


def _steps(count: int) -> list[Step]:
    text = "".join(yaml_of("ConfigMap", f"c{n}") for n in range(count))
    return list(plan_of(text, FakeCluster()).steps)


def _applied(step: Step, change: Change = Change.CREATED, **more: Any) -> Applied:
    return Applied(step=step, change=change, found={"metadata": {"uid": "u"}}, **more)


@pytest.mark.parametrize("change", Change)
def test_every_change_is_a_line_with_its_place(change: Change) -> None:
    """The log shows what was done and where it is written; what is unchanged is no news."""
    [step] = _steps(1)
    lines = list(applied_lines(_applied(step, change)))

    expected = (
        [] if change is Change.UNCHANGED else [f"{change.value:<9} ConfigMap shop/c0  f.yaml:1"]
    )
    assert lines == expected


def test_what_was_taken_over_is_told() -> None:
    """Whose field or stack it was: somebody may miss it."""
    [step] = _steps(1)
    conflict = Conflict(".data.k", "helm")

    applied = _applied(replace(step, former_stack="b.shop"), Change.UNCHANGED, taken=(conflict,))

    assert list(applied_lines(applied)) == [
        "took over .data.k of helm: ConfigMap shop/c0",
        "took over ConfigMap shop/c0 from stack b.shop",
    ]


def test_warnings_have_file_and_line() -> None:
    """GitHub shows a deprecation where it is written."""
    [step] = _steps(1)

    assert list(warnings_of(_applied(step, warnings=("old", "older")))) == [
        "f.yaml:1: ConfigMap shop/c0: old",
        "f.yaml:1: ConfigMap shop/c0: older",
    ]


def test_counts_are_one_line() -> None:
    """Zeros are left out; nothing at all is said, too."""
    steps = _steps(4)
    changes = [Change.UNCHANGED, Change.CREATED, Change.UNCHANGED, Change.REPLACED]
    applied = [_applied(s, c) for s, c in zip(steps, changes, strict=True)]

    assert counts_line(applied) == "1 created, 1 replaced, 2 unchanged"
    assert counts_line([]) == "no objects"


def _account(count: int, applied: int, sent: int, refused: int = 0) -> Account:
    """Return an account of so many objects of which some were applied, sent, refused."""
    steps = _steps(count)
    account = Account(steps)
    for step in steps[: applied + refused + sent]:
        account.begin(step)
    for step in steps[:applied]:
        account.finish(step, _applied(step))
    for step in steps[applied : applied + refused]:
        account.finish(step, None)
    return account


def test_an_interrupted_run_says_how_far_it_got() -> None:
    """What may have been applied is told apart from what was not."""
    assert list(unfinished_lines(_account(4, applied=1, refused=1, sent=1))) == [
        "1 of 4 objects were applied before the end",
        "ConfigMap shop/c2 was sent, and may have been applied or not",
        "ConfigMap shop/c3 was not applied",
    ]


def test_a_finished_run_has_nothing_unfinished() -> None:
    """Nor has one whose last stage was refused: the refusals say it all."""
    assert list(unfinished_lines(_account(3, applied=3, sent=0))) == []
    assert list(unfinished_lines(_account(3, applied=2, refused=1, sent=0))) == []


def test_many_unfinished_objects_are_a_number() -> None:
    """Two thousand names are of no use to anybody."""
    lines = list(unfinished_lines(_account(2000, applied=10, sent=16)))

    assert len(lines) == 1 + 2 * (NAMES_SHOWN + 1)
    assert lines[NAMES_SHOWN + 1] == f"... and {16 - NAMES_SHOWN} more"
    assert lines[-1] == f"... and {1974 - NAMES_SHOWN} more"


def test_objects_as_data_have_every_outcome() -> None:
    """A program sees what a person reads, in the order of the manifests."""
    account = _account(4, applied=1, refused=1, sent=1)
    [first] = account.applied
    account.applied[:] = [
        replace(first, warnings=("old",), taken=(Conflict(".data.k", "helm", "status"),))
    ]

    objects = objects_as_json(account)

    assert [each["outcome"] for each in objects] == ["created", "refused", "unknown", "not applied"]
    assert objects[0] == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "namespace": "shop",
        "name": "c0",
        "outcome": "created",
        "manifest": {"file": "f.yaml", "line": 1},
        "takenOver": [{"field": ".data.k", "manager": "helm"}],
        "warnings": ["old"],
    }
    assert (objects[3]["takenOver"], objects[3]["warnings"]) == ([], [])


def test_what_left_the_stack_as_data() -> None:
    """Each with whether it was pruned, or why not."""
    one, two = (
        Leaving(name=s.name, resource=s.placed.resource, uid="u", kept=kept)
        for s, kept in zip(_steps(2), ("", "it may not be read"), strict=True)
    )

    assert [
        (e["name"], e["pruned"], e["kept"]) for e in leaving_as_json([one, two], [one.name])
    ] == [
        ("c0", True, ""),
        ("c1", False, "it may not be read"),
    ]
    assert kept_line(two) == "left the stack, but stays: ConfigMap shop/c1: it may not be read"


def test_problems_as_data() -> None:
    """The parts of an error line, one by one."""
    assert problems_as_json([ClusterError("f.yaml:1", "no", "ask")]) == [
        {"where": "f.yaml:1", "what": "no", "fix": "ask"}
    ]
