"""Rules for custom resources, as they are written for kubectl wait."""

from __future__ import annotations

from typing import Any

import pytest

from codexctl_tasks.rollout.custom import is_broken, read_rules, what_is_missing
from tests.support.objects import condition, found


def _shop(*conditions: dict[str, Any], **status: Any) -> dict[str, Any]:
    return found("Shop", status={"conditions": list(conditions), **status})


RULES: dict[str, tuple[str, dict[str, Any], bool]] = {
    "condition": ("condition=Synced", _shop(condition("Synced")), True),
    "condition that is false": ("condition=Synced", _shop(condition("Synced", "False")), False),
    "condition that is missing": ("condition=Synced", _shop(), False),
    "condition that shall be false": (
        "condition=Busy=false",
        _shop(condition("Busy", "False")),
        True,
    ),
    "value": ("jsonpath={.status.phase}=Running", _shop(phase="Running"), True),
    "other value": ("jsonpath={.status.phase}=Running", _shop(phase="Pending"), False),
    "truth": ("jsonpath={.status.ok}=true", _shop(ok=True), True),
    "number": ("jsonpath={.status.ready}=3", _shop(ready=3), True),
    "item of a list": ("jsonpath={.status.hosts[1]}=b", _shop(hosts=["a", "b"]), True),
    "item beyond a list": ("jsonpath={.status.hosts[2]}=b", _shop(hosts=["a", "b"]), False),
    "path through a text": ("jsonpath={.status.phase.x}=b", _shop(phase="a"), False),
    "any value": ("jsonpath={.status.url}", _shop(url="http://x"), True),
    "no value": ("jsonpath={.status.url}", _shop(url=""), False),
    "all of several": (
        "condition=Synced, jsonpath={.status.phase}=Up",
        _shop(condition("Synced"), phase="Up"),
        True,
    ),
    "not all of several": ("condition=Synced,condition=Up", _shop(condition("Synced")), False),
}


@pytest.mark.parametrize(("text", "shown", "ready"), RULES.values(), ids=RULES)
def test_rules(text: str, shown: dict[str, Any], *, ready: bool) -> None:
    """What a stack's author writes about readiness decides, and nothing else."""
    missing = what_is_missing(shown, read_rules(text))

    assert (missing is None) == ready
    assert missing is None or "does not hold" in missing


USUAL: dict[str, tuple[dict[str, Any], bool]] = {
    "without status": (found("Shop"), True),
    "with conditions that nobody knows": (_shop(condition("Odd", "False")), True),
    "Ready": (_shop(condition("Ready")), True),
    "not Ready": (_shop(condition("Ready", "False", message="waits")), False),
    "Ready unknown": (_shop(condition("Ready", "Unknown")), False),
    "Available": (_shop(condition("Available")), True),
    "Succeeded": (_shop(condition("Succeeded")), True),
    "Reconciling": (_shop(condition("Reconciling"), condition("Ready")), False),
    "conditions that are no list": (found("Shop", status={"conditions": {"Ready": "True"}}), True),
}


@pytest.mark.parametrize(("shown", "ready"), USUAL.values(), ids=USUAL)
def test_without_rules_the_usual_conditions_decide(shown: dict[str, Any], *, ready: bool) -> None:
    """Most operators need no rule at all."""
    assert (what_is_missing(shown, ()) is None) == ready


def test_the_reason_is_told() -> None:
    """A person reads the operator's own words."""
    waiting = _shop(condition("Ready", "False", message="no database", reason="NoDatabase"))

    assert what_is_missing(waiting, ()) == (
        "condition=Ready does not hold: no database (NoDatabase)"
    )


def test_not_ready_is_no_failure() -> None:
    """Ready=False is where everything begins; only Stalled and Failed say that it stays so."""
    assert is_broken(_shop(condition("Ready", "False")), ()) is None
    for name in ("Stalled", "Failed"):
        broken = is_broken(_shop(condition(name)), ())
        assert broken is not None
        assert broken.text == f"condition={name}"


def test_own_rules_replace_the_usual_failures() -> None:
    """An operator with a vocabulary of its own is understood."""
    rules = read_rules("jsonpath={.status.phase}=Error")
    broken = is_broken(_shop(phase="Error"), rules)

    assert broken is not None
    assert broken.why(_shop(phase="Error")) == "status.phase is Error"
    assert is_broken(_shop(condition("Stalled")), rules) is None


@pytest.mark.parametrize("text", ["Ready", "condition=", "jsonpath=.status", "condition=A=B=C"])
def test_what_is_no_rule_is_refused(text: str) -> None:
    """Before anything is applied, not after ten minutes."""
    with pytest.raises(ValueError, match=text):
        read_rules(text)
