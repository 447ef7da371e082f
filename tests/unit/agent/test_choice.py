"""Model and effort: services.yaml, then labels, then what was given."""

from __future__ import annotations

import pytest

from codexctl_tasks.agent.choice import Choice, choose
from codexctl_tasks.errors import ConfigurationError

BASE = Choice("base", "low")


@pytest.mark.parametrize(
    ("labels", "given", "chosen"),
    [
        ((), Choice(), BASE),
        (("bug", "[ai-dev]"), Choice(), BASE),
        (("[ai-model-gpt-5.1]",), Choice(), Choice("gpt-5.1", "low")),
        (("[AI-Reasoning-HIGH]", " [ai-reasoning-high] "), Choice(), Choice("base", "high")),
        (("[ai-model-x]", "[ai-reasoning-high]"), Choice("y", "medium"), Choice("y", "medium")),
    ],
)
def test_the_nearest_one_counts(labels: tuple[str, ...], given: Choice, chosen: Choice) -> None:
    """Whoever starts the run has the last word."""
    assert choose(BASE, labels, given) == chosen


def test_a_list_of_models() -> None:
    """Only these, in the spelling of the list; what services.yaml says needs no leave."""
    assert choose(BASE, ["[ai-model-gpt-5]"], Choice(), ("GPT-5",)).model == "GPT-5"
    assert choose(BASE, [], Choice(), ("GPT-5",)).model == "base"


@pytest.mark.parametrize(
    ("labels", "given", "models", "part"),
    [
        (("[ai-model-a]", "[ai-model-b]"), Choice(), (), "contradict"),
        (("[ai-reasoning-low]", "[ai-reasoning-high]"), Choice("x", "low"), (), "contradict"),
        (("[ai-reasoning-huge]",), Choice(), (), "'huge'"),
        (("[ai-model-]",), Choice(), (), "names none"),
        (("[ai-model-b]",), Choice(), ("a",), "not allowed"),
        ((), Choice("$(x)"), (), "no name"),
    ],
)
def test_what_nobody_can_mean_is_an_error(
    labels: tuple[str, ...], given: Choice, models: tuple[str, ...], part: str
) -> None:
    """In one line; no model is chosen by chance."""
    with pytest.raises(ConfigurationError, match=part) as caught:
        choose(BASE, labels, given, models)
    assert "\n" not in str(caught.value)
