"""The catalogue of scenarios that are played on a real cluster: complete, and told apart."""

from __future__ import annotations

from codexctl_tasks.rollout import symptoms
from tests.scenarios.catalogue import SCENARIOS

_LONGEST_NAMESPACE = 63
_PREFIX = "test-gw10-1234567-"


def test_every_rule_has_a_scenario() -> None:
    """Each way to fail is proved by a rollout that is broken in that way."""
    rules = {scenario.fault.rule for scenario in SCENARIOS if scenario.fault}
    assert rules - {""} == {
        *("image name", "image", "registry", "configuration", "start", "crash", "init or sidecar"),
        *("pod", "job", "deadline", "creation", "definition", "volume", "blocked", "custom"),
        *("gone", "scheduling"),
    }


def test_every_grace_is_a_constant_of_the_judge() -> None:
    """A scenario says by name how long the judge must wait, so that the two cannot differ."""
    graces = {scenario.fault.grace for scenario in SCENARIOS if scenario.fault} - {""}
    assert {name for name in graces if not hasattr(symptoms, name)} == set()


def test_names_are_told_apart_and_fit_into_a_namespace() -> None:
    """Scenarios that are played side by side do not meet."""
    names = [scenario.name for scenario in SCENARIOS]
    assert len(set(names)) == len(names)
    assert max(len(_PREFIX + name) for name in names) <= _LONGEST_NAMESPACE


def test_more_than_a_few_rollouts_must_not_be_failed() -> None:
    """A judge that calls everything broken does not pass."""
    assert sum(scenario.fault is None for scenario in SCENARIOS) >= 20
