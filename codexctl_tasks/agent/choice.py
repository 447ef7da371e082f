"""Which model works on something, and how hard it thinks (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.requests.agents import EFFORTS

if TYPE_CHECKING:
    from collections.abc import Iterable

_LABEL = re.compile(r"\[\s*ai-(model|reasoning)-\s*([^\[\]]*?)\s*\]", re.IGNORECASE)
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}")


@dataclass(frozen=True, slots=True)
class Choice:
    """Model and effort; what is empty is left to others."""

    model: str = ""
    effort: str = ""


def choose(
    base: Choice, labels: Iterable[str], given: Choice, models: tuple[str, ...] = ()
) -> Choice:
    """
    Return what holds: *given* before labels before *base*.

    Args:
        base: What ``services.yaml`` says.
        labels: Of the issue or pull request, of which ``[ai-model-X]`` and ``[ai-reasoning-Y]``
            count, in upper or lower case.
        given: By whoever starts the run.
        models: That may be chosen by labels or by whoever starts the run; empty: any.

    Raises:
        ConfigurationError: Two labels disagree, or one names what nobody knows.
    """
    said = choice_of_labels(labels)
    asked = Choice(given.model.strip() or said.model, given.effort.strip().lower() or said.effort)
    if asked.model:
        asked = Choice(_known_model(asked.model, models), asked.effort)
    if asked.effort and asked.effort not in EFFORTS:
        what = f"nothing is called {asked.effort[:80]!r}"
        raise ConfigurationError("effort", what, f"use {', '.join(EFFORTS)}")
    return Choice(asked.model or base.model.strip(), asked.effort or base.effort.strip().lower())


def choice_of_labels(labels: Iterable[str]) -> Choice:
    """
    Return what labels say.

    Raises:
        ConfigurationError: Two of them disagree.
    """
    found: dict[str, set[str]] = {"model": set(), "reasoning": set()}
    for label in labels:
        if match := _LABEL.fullmatch(label.strip()):
            found[match[1].lower()].add(match[2].lower())
    for name, values in found.items():
        if len(values) > 1:
            shown = " and ".join(f"[ai-{name}-{value[:80]}]" for value in sorted(values))
            raise ConfigurationError("labels", f"{shown} contradict each other", "leave one")
        if "" in values:
            raise ConfigurationError("labels", f"[ai-{name}-] names none", "remove it")
    model, effort = (next(iter(values), "") for values in found.values())
    return Choice(model, effort)


def _known_model(name: str, models: tuple[str, ...]) -> str:
    """Return a model as its list writes it."""
    if not _MODEL.fullmatch(name):
        raise ConfigurationError("model", f"{name[:80]!r} is no name of a model", "correct it")
    if not models:
        return name
    for known in models:
        if known.casefold() == name.casefold():
            return known
    raise ConfigurationError("model", f"{name} is not allowed here", f"use {' or '.join(models)}")
