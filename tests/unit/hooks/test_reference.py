"""The list of hooks and their page in the docs."""

from __future__ import annotations

import yaml

from codexctl_tasks.hooks.contract import Flag, HookContext, Parameters, Seconds, Text, hook
from codexctl_tasks.hooks.reference import describe_parameters, reference
from codexctl_tasks.hooks.registry import BUILT_IN, Registry
from codexctl_tasks.hooks.steps import read_parameters
from codexctl_tasks.stack.documents import read_documents
from tests.support.shell import ROOT


class Some(Parameters):
    """Some of each kind."""

    host_name: Text
    """Whose
    name."""
    pause: Seconds = 90.0
    """How long."""
    strict: Flag = False
    """Whether."""
    dirs: tuple[Text, ...] = ()
    """Which."""
    either: tuple[Text, ...] | Text | None = None
    """One or more."""


@hook("acme.some", Some)
def some(given: Some, context: HookContext) -> None:
    """Do nothing."""
    del given, context


def test_parameters_in_words() -> None:
    """Kind, default and meaning as a person would say them."""
    assert [(p.name, p.kind, p.need, p.meaning) for p in describe_parameters(some)] == [
        ("hostName", "text", "required", "Whose name."),
        ("pause", "duration", "default `1m30s`", "How long."),
        ("strict", "`true` or `false`", "default `false`", "Whether."),
        ("dirs", "list of texts", "", "Which."),
        ("either", "list of texts or text", "", "One or more."),
    ]


def test_the_page_of_hooks_is_up_to_date() -> None:
    """docs/hooks.md says what this version does; `make docs` writes it."""
    page = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")

    assert page == reference()


def test_every_hook_says_what_it_replaces_and_how_it_is_used() -> None:
    """The shell on one side, the step on the other; every parameter has a meaning."""
    for name in BUILT_IN:
        found = Registry(lambda: ()).find(name)
        assert found is not None
        assert found.replaces, name  # type: ignore[union-attr]
        for parameter in describe_parameters(found):  # type: ignore[arg-type]
            assert parameter.meaning, f"{name}: {parameter.name}"


def test_the_examples_are_steps_that_work() -> None:
    """What people copy is read without a mistake."""
    for name in BUILT_IN:
        found = Registry(lambda: ()).find(name)
        assert found is not None
        [document] = read_documents(found.example, "example", keep_spelling=True)  # type: ignore[union-attr]
        steps = document.value
        assert yaml.safe_load(found.example)[0]["use"] == name  # type: ignore[union-attr]
        for step in steps:
            given, problems = read_parameters(found, step.get("with", {}), lambda _: "")  # type: ignore[arg-type]
            assert problems == []
            assert given is not None
