"""Who owns which fields of an object."""

from __future__ import annotations

from typing import Any

import pytest

from codexctl_tasks.apply.ownership import (
    hand_over,
    has_former_manager,
    is_ours,
    may_be_taken,
    owns,
)
from codexctl_tasks.errors import Conflict

SPEC = {"f:spec": {"f:replicas": {}}}
DATA = {"f:data": {"f:a": {}}}


def _entry(
    manager: str, operation: str = "Apply", fields: Any = None, **more: Any
) -> dict[str, Any]:
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": "apps/v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields if fields is not None else SPEC,
        "time": "2026-01-02T12:00:00Z",
        **more,
    }


def _live(*entries: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "web", "resourceVersion": "41", "managedFields": list(entries)}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata}


OURS = _entry("codexctl")
CONTROLLER = _entry("kube-controller-manager", "Update", {"f:metadata": {"f:annotations": {}}})
FORMER = [
    ("kubectl-client-side-apply", "Update"),
    ("kubectl", "Apply"),
    ("helm", "Update"),
    ("helm", "Apply"),
    ("Helm", "Update"),
]
STAYING = [
    _entry("kubectl-edit", "Update"),
    _entry("kubectl", "Update"),
    _entry("kubectl", "Update", subresource="scale"),
    _entry("kubectl-client-side-apply", "Apply"),
    _entry("helm", "Update", subresource="status"),
    CONTROLLER,
    OURS,
]


@pytest.mark.parametrize(("manager", "operation"), FORMER)
def test_fields_of_a_former_tool_become_ours(manager: str, operation: str) -> None:
    """Who changes over to codexctl can remove a field from a manifest, and it goes away."""
    former = _entry(manager, operation, DATA, time="2026-03-01T00:00:00Z")
    live = _live(former, CONTROLLER, OURS)

    fields, version = hand_over(live)

    assert has_former_manager(live)
    assert (fields["op"], fields["path"]) == ("replace", "/metadata/managedFields")
    assert fields["value"] == [
        CONTROLLER,
        _entry("codexctl", "Apply", {**SPEC, **DATA}, time="2026-03-01T00:00:00Z"),
    ]
    assert version == {"op": "replace", "path": "/metadata/resourceVersion", "value": "41"}


def test_fields_of_several_tools_are_joined() -> None:
    """What two of them set is ours once, with everything below it."""
    one = {"f:spec": {"f:template": {"f:a": {}, ".": {}}, "f:replicas": {}}}
    other = {"f:spec": {"f:template": {"f:b": {}}}, "f:metadata": {}}

    fields, _ = hand_over(_live(_entry("helm", "Update", one), _entry("kubectl", "Apply", other)))

    [entry] = fields["value"]
    assert entry["fieldsV1"] == {
        "f:spec": {"f:template": {"f:a": {}, ".": {}, "f:b": {}}, "f:replicas": {}},
        "f:metadata": {},
    }


@pytest.mark.parametrize("entry", STAYING, ids=lambda e: f"{e['manager']} {e['operation']}")
def test_what_controllers_and_people_own_stays_theirs(entry: dict[str, Any]) -> None:
    """Status, scale and edits by hand are nobody's deploy."""
    assert hand_over(_live(entry)) == []
    assert not has_former_manager(_live(entry))


def test_fields_of_another_version_are_left_alone() -> None:
    """Their paths mean other things; without managedFields there is nothing to do at all."""
    old = _entry("helm", "Update", apiVersion="apps/v1beta1")
    now = _entry("helm", "Apply", DATA)

    assert hand_over(_live(old)) == []
    fields, _ = hand_over(_live(old, now))
    assert fields["value"] == [old, _entry("codexctl", "Apply", DATA)]
    assert hand_over({"apiVersion": "v1", "metadata": {"name": "a"}}) == []


@pytest.mark.parametrize(
    ("entries", "ours", "replicas"),
    [
        ([], False, False),
        ([CONTROLLER], False, False),
        ([OURS], True, True),
        ([CONTROLLER, OURS], True, True),
        ([_entry("codexctl", fields=DATA)], True, False),
        ([_entry("codexctl", "Update")], False, False),
        ([_entry("codexctl", subresource="scale")], False, False),
    ],
)
def test_what_is_ours(entries: list[dict[str, Any]], ours: bool, replicas: bool) -> None:
    """Only what codexctl has applied; neither its patches nor subresources count."""
    live = _live(*entries)

    assert (is_ours(live), owns(live, "spec", "replicas")) == (ours, replicas)
    assert not owns(live, "spec", "replicas", "deeper")


@pytest.mark.parametrize(
    ("managers", "taken"),
    [
        (["kubectl"], True),
        (["kubectl-client-side-apply", "kubectl-edit", "helm", "Helm"], True),
        (["before-first-apply"], True),
        (["kube-controller-manager"], False),
        (["kubectl", "argocd-controller"], False),
        (["my-kubectl"], False),
        ([], False),
    ],
    ids=str,
)
def test_only_former_deploys_and_people_yield(managers: list[str], taken: bool) -> None:
    """A controller would set its field again at once: that is for the user to decide."""
    assert may_be_taken([Conflict(".spec.replicas", name) for name in managers]) is taken
