"""Values from outside open no template, and are what they were where nothing is rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.settings import deploy_request
from codexctl_tasks.stack.loading import load_stack
from codexctl_tasks.stack.sealing import is_sealed, sealed, unsealed

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("text", ["{{ x }}", "a{%if%}", "{# x", "a{", "${#list[@]}"])
def test_dangerous_values_are_sealed_and_come_back(text: str) -> None:
    """Nothing that could open a template is left, and nothing is lost."""
    assert "{" not in sealed(text)
    assert is_sealed(sealed(text))
    assert unsealed({"a": [sealed(text)]}) == {"a": [text]}


@pytest.mark.parametrize("text", ["", "main", '{"json": {"a": 1}}', "}}", "${HOME}"])
def test_usual_values_stay(text: str) -> None:
    """JSON and shell are no templates."""
    assert sealed(text) == text


def test_a_value_that_is_not_rendered_again_keeps_its_braces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A description may hold braces; only what is rendered again is refused."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "services.yaml").write_text(
        "project: shop\ncodex: {projectContext: 'see {{ Vars.A }} in {{ Namespace }}'}\n"
    )

    loaded = load_stack(
        deploy_request(env="staging", namespace="{{n}}", vars="A={{ Vars.B }}").source
    )

    assert loaded.stack.codex.project_context == "see {{ Vars.B }} in {{n}}"
    assert loaded.context.names()["Namespace"] == "{{n}}"
