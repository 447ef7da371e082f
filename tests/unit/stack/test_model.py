"""services.yaml as types: all mistakes at once, unknown keys as hints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import CombinedError
from codexctl_tasks.stack.documents import Document, read_documents
from codexctl_tasks.stack.validation import parse_stack, unknown_key_problems

if TYPE_CHECKING:
    from codexctl_tasks.stack.model import Stack


def _document(text: str) -> Document:
    [document] = read_documents(text, "services.yaml", keep_spelling=True)
    return document


def _parse(text: str) -> Stack:
    return parse_stack(_document(text))


def test_every_mistake_is_reported_with_its_line() -> None:
    """One run lists all mistakes of the file, each with line and path."""
    with pytest.raises(CombinedError) as caught:
        _parse("namespace: x\nservices:\n- name: web\n  manifests:\n  - file: a\n- manifests: 3\n")

    lines = str(caught.value).splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        "services.yaml:1",
        "services.yaml:1",
        "services.yaml:5",
        "services.yaml:6",
        "services.yaml:6",
    ]
    assert {line.split(": ")[1].split(" ")[0] for line in lines} == {
        "project",
        "namespace",
        "services.web.manifests[0].path",
        "services[1].name",
        "services[1].manifests",
    }
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "key",
    [
        "namespace:",
        "namespace: {patterns: }",
        "namespace: {patterns: {a: }}",
        "environments:",
        "environments: {staging: }",
        "infrastructure:",
        "services:",
        "services: [{name: a, manifests: , when: }]",
    ],
)
def test_a_key_without_a_value_is_the_same_as_no_key(key: str) -> None:
    """A half-written or emptied section does not stop the deploy."""
    assert _parse(f"project: shop\n{key}\n").project == "shop"


def test_texts_keep_their_spelling() -> None:
    """Project 007 and the name 1.10 are not numbers."""
    stack = _parse("project: 007\nservices:\n- name: 1.10\n")

    assert (stack.project, stack.services[0].name) == ("007", "1.10")


def test_unknown_keys_are_found_at_every_level_with_the_nearest_name() -> None:
    """A misspelt key is not silently ignored."""
    document = _document(
        "project: shop\nservice: []\nenvironments: {staging: {frm: ai}}\n"
        "services:\n- name: web\n  manifest: []\n  manifests:\n  - path: a\n    zzz: 1\n"
    )

    problems = unknown_key_problems(parse_stack(document), document)

    assert [str(problem).replace(" is not a known key", "") for problem in problems] == [
        "services.yaml:2: service: did you mean 'services'?",
        "services.yaml:3: environments.staging.frm: did you mean 'from'?",
        "services.yaml:6: services.web.manifest: did you mean 'manifests'?",
        "services.yaml:9: services.web.manifests[0].zzz: docs/services-yaml.md lists the keys",
    ]


def test_a_stack_cannot_be_changed() -> None:
    """What was validated is what is used."""
    with pytest.raises(ValueError, match="frozen"):
        _parse("project: shop\n").project = "other"
