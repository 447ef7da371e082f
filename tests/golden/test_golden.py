"""The examples render to exactly what they rendered to before."""

from __future__ import annotations

import pytest

from tests.golden.renderings import CASES, EXPECTED, rendering


@pytest.mark.parametrize("name", CASES)
def test_an_example_renders_as_before(name: str) -> None:
    """A change of the renderer, or of an example, shows in files that a person can read."""
    assert rendering(name) == (EXPECTED / f"{name}.yaml").read_text(encoding="utf-8"), (
        "if this is meant: python -m tests.golden.renderings"
    )


def test_there_is_no_file_without_a_case() -> None:
    """What nobody checks any more is removed."""
    assert {file.stem for file in EXPECTED.iterdir()} == set(CASES)
