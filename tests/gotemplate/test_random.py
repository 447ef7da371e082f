"""Random templates: the same output as Go's, or an error on both sides."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.gotemplate.go_process import answer
from tests.gotemplate.grammar import Writer
from tests.gotemplate.vocabulary import DATA

if TYPE_CHECKING:
    from tests.gotemplate.go_process import Oracle

_BOUNDED = settings(
    max_examples=300,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_REFUSALS = (
    "a struct cannot be printed",
    "blocks, or",
    "calls inside each other",
    "cannot format this value",
    "cannot print nil here",
    "imaginary",
    "not valid UTF-8",
    "prints its inside",
    "structs cannot be compared",
    "too deeply",
)
"""What Go renders and this package cannot; see cases/differences.py."""
_NEEDLESS = "cannot index slice/array with type interface"
"""What Go refuses and this package does not; see cases/differences.py."""


@st.composite
def _templates(draw: st.DrawFn) -> tuple[str, Any]:
    """Draw a template and its data."""
    seed = draw(st.integers(min_value=0, max_value=2**32))
    return Writer(Random(seed)).template(), draw(st.sampled_from(DATA))  # noqa: S311 - no secret


@given(_templates())
@_BOUNDED
def test_same_as_go(oracle: Oracle, case: tuple[str, Any]) -> None:
    """Whatever somebody has written for the Go tool gives the same here, or the same refusal."""
    theirs, ours = oracle.ask(*case), answer(*case)
    if "output" in theirs and "error" in ours:
        assert any(reason in ours["error"] for reason in _REFUSALS), (case, theirs, ours)
    elif _NEEDLESS not in theirs.get("error", ""):
        assert theirs.get("output") == ours.get("output"), (case, theirs, ours)


@given(_templates())
@settings(_BOUNDED, max_examples=100)
def test_fails_only_in_expected_ways(case: tuple[str, Any]) -> None:
    """No template makes the program crash, and the same one gives the same twice."""
    assert answer(*case) == answer(*case)  # any exception but the two expected ones gets through


@given(st.text())
@example("{ { }} {% raw %} {# x #} ##\r\n\x00\ufeff")
@_BOUNDED
def test_text_without_actions_is_untouched(text: str) -> None:
    """A file without double braces comes out as it went in."""
    text = text.replace("{{", "{ {")
    assert answer(text, None) == {"output": text}
