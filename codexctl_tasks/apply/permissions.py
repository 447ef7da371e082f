"""
Which rights an account lacks, by the rules that the server lists for it.

A SelfSubjectRulesReview answers for every kind of a namespace with one request. What server-side
apply asks for, as an API server of 1.34 answers:

- ``patch``, always, and ``create`` as well where the object does not exist yet, also on a dry run.
  ``update`` helps in neither case; ``force`` needs nothing more.
- Both are asked with the name of the object, so a rule with ``resourceNames`` grants ``create``
  too. A POST has no name: such a rule never grants it.
- A Role in a namespace also speaks of the Namespace object itself.

What the rules do not tell: that a rule for a cluster-wide kind comes from a RoleBinding and does
not help (it is listed all the same), that the server lets nobody grant by a Role what they
may not do themselves, and what admission refuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

_ALL = "*"


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that an account has to be allowed to do."""

    verb: str
    group: str
    """Of the API; empty: the core group."""
    plural: str
    """The kind as its path names it: ``deployments``."""
    namespace: str
    """Empty: in the whole cluster."""
    name: str
    """Of the object; empty for requests that name none: ``list``, a ``create`` by POST."""


def missing(needs: Iterable[Need], status: Mapping[str, Any]) -> list[Need]:
    """
    Return the needs that no rule grants.

    Args:
        needs: In the namespace that was reviewed, or in the whole cluster.
        status: Of a SelfSubjectRulesReview. If it is incomplete, as it always is where a webhook
            takes part in authorization, nothing is known to be missing.
    """
    try:
        if status.get("incomplete") or status.get("evaluationError"):
            return []
        return [n for n in needs if not any(_grants(r, n) for r in status["resourceRules"])]
    except (AttributeError, KeyError, TypeError):  # no answer of an API server: it tells nothing
        return []


def described(needs: Iterable[Need]) -> list[str]:
    """Return one line for each kind and namespace: what may not be done there."""
    verbs: dict[tuple[str, str], dict[str, None]] = {}
    for need in needs:
        kind = f"{need.plural}.{need.group}" if need.group else need.plural
        place = f"namespace {need.namespace}" if need.namespace else "the whole cluster"
        verbs.setdefault((kind, place), {})[need.verb] = None
    return [f"may not {', '.join(v)} {kind} in {place}" for (kind, place), v in verbs.items()]


def _grants(rule: Mapping[str, Any], need: Need) -> bool:
    """Tell whether a rule grants a need; ``deployments/scale`` is another resource."""
    names = rule.get("resourceNames")  # no wildcards here: "*" is a name like any other
    return (
        _lists(rule["verbs"], need.verb)
        and _lists(rule.get("apiGroups") or (), need.group)
        and _lists(rule.get("resources") or (), need.plural)
        and (not names or need.name in names)
    )


def _lists(entries: Collection[str], wanted: str) -> bool:
    return _ALL in entries or wanted in entries
