"""Why a namespace does not go away: the object that holds it, by name."""

from __future__ import annotations

from typing import Any

import pytest

from codexctl_tasks.apply.remains import what_holds
from tests.support.fakes import FakeCluster

LEAVING = {"deletionTimestamp": "2026-01-02T12:00:00Z"}
REMAINING = "Some resources are remaining: configmaps. has 1 resource instances"


def _cluster(*objects: tuple[str, str], message: str = "", **metadata: Any) -> FakeCluster:
    cluster = FakeCluster()
    conditions = [{"type": "NamespaceContentRemaining", "status": "True", "message": message}]
    cluster.objects["Namespace", "", "shop"] = {
        "metadata": {"name": "shop", **LEAVING},
        "status": {"conditions": conditions if message else []},
    }
    usual = {**LEAVING, "finalizers": ["x.io/hold"]}
    for kind, name in objects:
        cluster.objects[kind, "shop", name] = {"metadata": {"name": name, **usual, **metadata}}
    return cluster


@pytest.mark.parametrize("message", ["", REMAINING])
def test_the_object_and_its_finalizer_are_named(message: str) -> None:
    """Also before Kubernetes itself has said anything."""
    cluster = _cluster(("ConfigMap", "held"), message=message)

    assert what_holds("shop", cluster) == "ConfigMap held is held by finalizer x.io/hold"


def test_only_what_kubernetes_blames_is_looked_at() -> None:
    """A namespace may have thousands of objects of a hundred kinds."""
    cluster = _cluster(("ConfigMap", "held"), ("Secret", "other"), message=REMAINING)

    assert "Secret" not in what_holds("shop", cluster)
    assert [call for call in cluster.calls if call.startswith("list")] == ["list ConfigMap"]


def test_many_are_counted() -> None:
    """A line stays a line."""
    cluster = _cluster(*(("Secret", f"s{n}") for n in range(7)))

    assert what_holds("shop", cluster).endswith(
        "Secret s4 is held by finalizer x.io/hold and 2 more"
    )


@pytest.mark.parametrize("change", [{"finalizers": []}, {"deletionTimestamp": None}])
def test_what_holds_nothing_is_not_blamed(change: dict[str, Any]) -> None:
    """It is still being deleted, or nobody has begun to."""
    cluster = _cluster(("ConfigMap", "a"), **change)

    assert what_holds("shop", cluster) == "Kubernetes does not say why"


def test_what_may_not_be_read_leaves_the_rest() -> None:
    """An account sees what it sees."""
    cluster = _cluster(("ConfigMap", "held"), ("Secret", "s"))
    cluster.forbidden_kinds = {"Secret"}

    assert what_holds("shop", cluster) == "ConfigMap held is held by finalizer x.io/hold"


def test_it_may_be_gone_meanwhile() -> None:
    """Then nothing holds it."""
    assert what_holds("none", FakeCluster()) == "nothing any more"
