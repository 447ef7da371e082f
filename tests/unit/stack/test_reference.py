"""The schema and the page of keys are made of the model, and say what the model says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from codexctl_tasks.settings import render_request
from codexctl_tasks.stack import model
from codexctl_tasks.stack.effective import effective
from codexctl_tasks.stack.loading import load_stack
from codexctl_tasks.stack.reference import json_schema, reference

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize(
    ("example", "env", "slot"),
    [("shop", "staging", 0), ("shop", "ai", 2), ("market", "dev", 0), ("market", "ai", 1)],
)
def test_the_schema_accepts_the_examples(
    validator: Any, example: str, env: str, slot: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an environment of an example comes to is a file that an editor finds no fault with."""
    monkeypatch.chdir(ROOT / "examples" / example)
    loaded = load_stack(render_request(env=env, slot=str(slot), strict=True).source)

    validator.validate(effective(loaded))


def test_the_schema_accepts_a_file_with_templates(validator: Any) -> None:
    """Editors see the file before it is rendered: templates stand where numbers will be."""
    validator.validate(
        yaml.safe_load((ROOT / "examples" / "shop" / "services.yaml").read_text(encoding="utf-8"))
    )
    validator.validate({"project": "a", "maxSlots": "{{ Vars.slots }}", "versions": {"go": 1.25}})


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"project": "a", "servces": []},
        {"project": "a", "services": {}},
        {"project": "a", "services": [{"name": "web", "manifests": [{"file": "x"}]}]},
        {"project": "a", "maxSlots": "many"},
        {"project": "a", "environments": {"dev": {"imagePullPolicy": "Sometimes"}}},
        {"project": "a", "codex": {"mcp": {"servers": [{}]}}},
    ],
)
def test_the_schema_refuses_what_the_program_refuses(validator: Any, wrong: Any) -> None:
    """A mistake is underlined while it is typed."""
    assert not validator.is_valid(wrong)


def test_every_key_is_described() -> None:
    """An editor shows what a key is for, without a look into documentation."""
    schema = json_schema()
    keys = [
        (part["title"], key, entry)
        for part in (schema | {"title": "Stack"}, *schema["$defs"].values())
        for key, entry in part["properties"].items()
    ]

    assert len(keys) > 100
    assert [(part, key) for part, key, entry in keys if len(entry["description"]) < 5] == []
    assert {part for part, _, _ in keys} <= set(dir(model))


def test_the_page_of_keys_is_up_to_date() -> None:
    """docs/services-yaml.md says what this version does; `make docs` writes it."""
    page = (ROOT / "docs" / "services-yaml.md").read_text(encoding="utf-8")

    assert page == reference()
    assert "## `services[].overlays.<name>.pvcMounts[]`" in page
