"""Which rights an account lacks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codexctl_tasks.apply.permissions import Need, described, missing

PATCH = Need("patch", "apps", "deployments", "shop", "web")
CREATE = Need("create", "apps", "deployments", "shop", "web")
POST = Need("create", "apps", "deployments", "shop", "")
CORE = Need("patch", "", "configmaps", "shop", "settings")
CLUSTER = Need("patch", "rbac.authorization.k8s.io", "clusterroles", "", "reader")
NEEDS = [PATCH, CREATE, POST, CORE, CLUSTER]


def _rule(verbs: str, groups: str, resources: str, names: str = "") -> dict[str, Any]:
    lists = {"verbs": verbs, "resources": resources, "resourceNames": names}
    rule = {key: value.split() for key, value in lists.items() if value}
    return {**rule, "apiGroups": ["" if g == "core" else g for g in groups.split()]}


def _missing(*rules: dict[str, Any], needs: list[Need] = NEEDS, **more: Any) -> list[Need]:
    return missing(needs, {"incomplete": False, "resourceRules": list(rules), **more})


@pytest.mark.parametrize(
    ("rule", "granted"),
    [
        (_rule("*", "*", "*"), NEEDS),
        (_rule("patch", "apps", "deployments"), [PATCH]),
        (_rule("get patch create", "core apps", "services deployments"), [PATCH, CREATE, POST]),
        (_rule("*", "apps", "*"), [PATCH, CREATE, POST]),
        (_rule("patch", "core", "*"), [CORE]),
        (_rule("patch", "*", "*"), [PATCH, CORE, CLUSTER]),
        (_rule("patch create", "apps", "deployments", "web api"), [PATCH, CREATE]),
        (_rule("patch create", "apps", "deployments", "api"), []),
        (_rule("patch", "apps", "deployments", "*"), []),
        (_rule("*", "*", "deployments/scale */status deployments/*"), []),
        (_rule("*", "extensions", "deployments"), []),
        (_rule("update get list watch delete", "*", "*"), []),
        ({"verbs": ["*"]}, []),
    ],
    ids=str,
)
def test_a_rule_grants_what_the_server_lets_through(
    rule: dict[str, Any], granted: list[Need]
) -> None:
    """Wildcards count, subresources do not, names restrict; nobody is warned of what works."""
    assert _missing(rule) == [need for need in NEEDS if need not in granted]


def test_rules_add_up() -> None:
    """Rights from several roles are looked at together."""
    rules = _rule("patch", "apps", "*"), _rule("create", "apps", "*", "web")

    assert _missing(*rules, needs=[PATCH, CREATE]) == []


def test_without_rules_everything_is_missing() -> None:
    """An account without any role learns all it lacks at once."""
    assert _missing() == NEEDS


@pytest.mark.parametrize(
    "more",
    [{"incomplete": True}, {"evaluationError": "webhook does not support rule resolution"}],
    ids=str,
)
def test_an_incomplete_review_tells_nothing(more: dict[str, Any]) -> None:
    """Where a webhook also decides, nobody is kept from what it may allow."""
    assert _missing(**more) == []


JUNK: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["verbs", "apiGroups", "resources", "resourceNames", "resourceRules"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(JUNK, JUNK)
def test_a_strange_answer_stops_nothing(status: Any, rules: Any) -> None:
    """Whatever stands between codexctl and the server answers, the run goes on."""
    for answer in (status, {"resourceRules": rules}, {"resourceRules": [rules]}):
        assert all(need in NEEDS for need in missing(NEEDS, answer))


def test_what_is_missing_is_one_line_for_each_kind_and_place() -> None:
    """The lines can be sent as they are to somebody who gives rights."""
    needs = [PATCH, CREATE, Need("patch", "apps", "deployments", "shop", "api"), CORE, CLUSTER]

    assert described(needs) == [
        "may not patch, create deployments.apps in namespace shop",
        "may not patch configmaps in namespace shop",
        "may not patch clusterroles.rbac.authorization.k8s.io in the whole cluster",
    ]
    assert described([]) == []
