"""
Rules for custom resources, and for anything else that a stack's author knows better.

A rule is written as for ``kubectl wait``: ``condition=Ready``, ``condition=Ready=False`` or
``jsonpath={.status.phase}=Running``; several are separated by commas.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Object = Mapping[str, Any]

_CONDITION = re.compile(r"condition=([A-Za-z0-9./_-]+)(?:=([A-Za-z]+))?")
_PATH = re.compile(r"jsonpath=\{\.?([A-Za-z0-9_.\[\]-]+)\}(?:=(.*))?")
EXAMPLE = "write condition=Ready or jsonpath={.status.phase}=Running"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that must hold of an object."""

    text: str
    """As it was written."""
    path: tuple[str, ...]
    """Of the value; ``("condition", NAME)`` stands for the status of a condition."""
    value: str | None
    """As text, without regard to case; None: any but an empty one."""

    def holds(self, found: Object) -> bool:
        """Tell whether an object is so."""
        actual = self.actual(found)
        if self.value is None:
            return bool(actual)
        return actual is not None and _text(actual).lower() == self.value.lower()

    def actual(self, found: Object) -> Any:
        """Return the value that the rule speaks of, None where there is none."""
        if self.path[0] == "condition":
            return _condition(found, self.path[1]).get("status")
        value: Any = found
        for step in self.path:
            if isinstance(value, dict):
                value = value.get(step)
            elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
                value = value[int(step)]
            else:
                return None
        return value

    def why(self, found: Object) -> str:
        """Return what the object says about it: the message of a condition, or the value."""
        if self.path[0] == "condition":
            said = _condition(found, self.path[1])
            parts = (said.get("message"), f"({said['reason']})" if said.get("reason") else "")
            return " ".join(str(part) for part in parts if part)
        actual = self.actual(found)
        return f"{'.'.join(self.path)} is {_text(actual)}" if actual is not None else ""


def read_rules(text: str) -> tuple[Rule, ...]:
    """
    Read rules that are separated by commas.

    Raises:
        ValueError: One of them is no rule; the text says which.
    """
    return tuple(read_rule(part.strip()) for part in text.split(",") if part.strip())


def read_rule(text: str) -> Rule:
    """
    Read one rule.

    Raises:
        ValueError: It is none; the text is *text*.
    """
    if found := _CONDITION.fullmatch(text):
        return Rule(text, ("condition", found[1]), found[2] or "True")
    if found := _PATH.fullmatch(text):
        steps = found[1].replace("[", ".").replace("]", "").split(".")
        return Rule(text, tuple(step for step in steps if step), found[2])
    raise ValueError(text)


def is_broken(found: Object, rules: Sequence[Rule]) -> Rule | None:
    """Return the rule by which an object has failed; without *rules* the usual conditions."""
    return next((rule for rule in rules or USUAL_FAILURES if rule.holds(found)), None)


def what_is_missing(found: Object, rules: Sequence[Rule]) -> str | None:
    """
    Return what keeps an object from being ready; None if nothing does.

    Without *rules* the conditions that operators usually set decide; an object that has none of
    them is ready because it exists.
    """
    if rules:
        unmet = next((rule for rule in rules if not rule.holds(found)), None)
        return None if unmet is None else _unmet(found, unmet)
    reconciling = _condition(found, "Reconciling")
    if reconciling.get("status") == "True":
        return str(reconciling.get("message") or "is being reconciled")
    for rule in _USUAL_SUCCESSES:
        status = rule.actual(found)
        if status is not None:
            return None if rule.holds(found) else _unmet(found, rule)
    return None


def _unmet(found: Object, rule: Rule) -> str:
    why = rule.why(found)
    return f"{rule.text} does not hold: {why}" if why else f"{rule.text} does not hold"


def _condition(found: Object, name: str) -> Object:
    conditions = (found.get("status") or {}).get("conditions") or ()
    if isinstance(conditions, list):
        for each in conditions:
            if isinstance(each, dict) and str(each.get("type")).lower() == name.lower():
                return each
    return {}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


USUAL_FAILURES = read_rules("condition=Stalled,condition=Failed")
"""What operators set when they give up."""
_USUAL_SUCCESSES = read_rules("condition=Ready,condition=Available,condition=Succeeded")
