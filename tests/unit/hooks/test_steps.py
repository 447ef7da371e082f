"""Steps are checked before anything is applied: which hooks they name, and with what."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, Field

from codexctl_tasks.errors import CombinedError, Location
from codexctl_tasks.hooks.contract import (
    Flag,
    HookContext,
    Parameters,
    Seconds,
    Text,
    Texts,
    Whole,
    hook,
)
from codexctl_tasks.hooks.registry import Registry
from codexctl_tasks.hooks.steps import prepare, read_parameters
from codexctl_tasks.stack.steps import Point, Step


class Everything(Parameters):
    """One of each kind."""

    host_name: Text
    strict: Flag = False
    count: Whole = 0
    pause: Seconds = 1.0
    dirs: tuple[Text, ...] = ()
    headers: dict[str, Text] = Field(default={})
    either: tuple[Text, ...] | Text = ""
    names: Texts = ()


@hook("acme.everything", Everything)
def everything(given: Everything, context: HookContext) -> None:
    """Do nothing."""
    del given, context


def step(**given: Any) -> Step:
    """Return a step on line 1, whose parameters stand below it."""
    return Step(
        **{
            "point": Point.BEFORE_ALL,
            "item": "",
            "name": "it",
            "location": Location("services.yaml", 1),
            "timeout_s": 60.0,
            "locate": lambda path: Location("services.yaml", 2 + len(path)),
            **given,
        }
    )


def mistakes(**given: Any) -> list[str]:
    """Return what is wrong with these parameters."""
    _, problems = read_parameters(everything, given, lambda _: "f.yaml:7")
    return [str(problem) for problem in problems]


def test_texts_of_the_file_become_values() -> None:
    """In the file every scalar is a text, and keys are camelCase."""
    given, problems = read_parameters(
        everything,
        {
            "hostName": "a",
            "strict": "yes",
            "count": "3",
            "pause": "1m30s",
            "dirs": ["x"],
            "headers": {"A": "b"},
            "either": None,
        },
        lambda _: "",
    )

    assert problems == []
    assert given == Everything(
        host_name="a", strict=True, count=3, pause=90, dirs=("x",), headers={"A": "b"}
    )


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({}, "acme.everything: hostName is missing: add hostName: to with"),
        ({"hostname": "a"}, "hostname is no parameter of it: did you mean 'hostName'?"),
        ({"zzz": "a"}, "zzz is no parameter of it: it takes hostName, strict, count, pause"),
        ({"strict": "maybe"}, "strict is wrong: neither true nor false: write true or false"),
        ({"count": "some"}, "count is wrong: not a whole number: write digits only"),
        ({"pause": "soon"}, "pause is wrong: not a duration: write 90s, 10m or 1h30m"),
        ({"dirs": "x"}, "dirs is wrong: "),
        ({"dirs": [{"a": "b"}]}, "dirs.0 is wrong: "),
        ({"headers": ["x"]}, "headers is wrong: "),
        ({"headers": {"A": ["x"]}}, "headers.A is wrong: "),
        ({"either": {"a": "b"}}, "either is wrong: "),
        ({"names": ["a", {"b": "c"}]}, "names is wrong: not only texts"),
    ],
)
def test_each_mistake_is_one_line(given: dict[str, Any], line: str) -> None:
    """With its place, the nearest known name, and how to write it."""
    found = mistakes(**{"hostName": "x", **given} if given else {})

    assert any(line in each for each in found), found
    assert all(each.startswith("f.yaml:7: acme.everything: ") for each in found)


def test_values_are_not_repeated() -> None:
    """What was given may be a secret that landed in the wrong place."""
    assert "hunter22" not in "".join(
        mistakes(hostName=["hunter22"], strict="hunter22", count="hunter22", dirs="hunter22")
    )


def test_a_model_that_breaks_is_a_mistake_of_its_hook() -> None:
    """A validator of a package raised what it must not; its text may hold the value."""

    def break_down(value: str) -> str:
        raise KeyError(value)

    class Fragile(Parameters):
        text: Annotated[Text, AfterValidator(break_down)]

    @hook("acme.fragile", Fragile)
    def fragile(given: Fragile, context: HookContext) -> None:
        del given, context

    given, problems = read_parameters(fragile, {"text": "hunter22"}, lambda _: "f.yaml:7")

    assert given is None
    assert [str(problem) for problem in problems] == [
        "f.yaml:7: acme.fragile: its parameters cannot be checked: KeyError: a defect of the hook"
    ]


def test_all_mistakes_of_all_steps_at_once() -> None:
    """One run shows all of them, each at its line, before anything is applied."""
    steps = [
        step(use="sleep", given={"duration": "soon"}),
        step(script="echo"),
        step(use="sleap"),
        step(use="sleep", given={"duraton": "3s"}),
    ]

    with pytest.raises(CombinedError) as caught:
        prepare(steps, Registry(lambda: ()))

    assert caught.value.exit_code == 3
    assert [str(problem) for problem in caught.value.problems] == [
        "services.yaml:3: sleep: duration is wrong: not a duration: write 90s, 10m or 1h30m",
        "services.yaml:1: there is no hook 'sleap': did you mean 'sleep'?",
        "services.yaml:3: sleep: duration is missing: add duration: to with",
        "services.yaml:3: sleep: duraton is no parameter of it: did you mean 'duration'?",
    ]


def test_good_steps_are_ready_to_run() -> None:
    """Scripts as they are, hooks with their parameters."""
    script, pause = prepare(
        [step(script="echo"), step(use="sleep", given={"duration": "3s"})], Registry(lambda: ())
    )

    assert (script.hook, script.given) == (None, None)
    assert pause.hook is not None
    assert pause.given == pause.hook.parameters(duration=3.0)
