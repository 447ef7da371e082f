"""Objects that other tools have applied, or still manage, on a real cluster."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.deploys import (
    applied_by_kubectl,
    config_map,
    errors,
    kubectl,
    line_of,
    objects,
    patched,
    without_pods,
)

if TYPE_CHECKING:
    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@pytest.fixture
def space(playground: Playground) -> Playground:
    """Give a playground whose namespace exists."""
    kubectl(playground, "create", "namespace", playground.namespace)
    return playground


def _former(space: Playground) -> list[dict[str, Any]]:
    """Return a stack with more in it than `_now` has."""
    container = space.workload("web")["spec"]["template"]["spec"]["containers"][0]
    workload = without_pods(space.workload("web", env=[{"name": n, "value": "1"} for n in "AB"]))
    workload["spec"]["template"]["spec"]["containers"].append({**container, "name": "sidecar"})
    metadata = {"labels": {"team": "a", "old": "1"}, "annotations": {"old": "1"}}
    return [config_map("settings", {"mode": "fast", "old": "1"}, **metadata), workload]


def _now(space: Playground) -> list[dict[str, Any]]:
    settings, workload = copy.deepcopy(_former(space))
    del settings["metadata"]["labels"]["old"], settings["metadata"]["annotations"]
    del settings["data"]["old"]
    containers = workload["spec"]["template"]["spec"]["containers"]
    del containers[1], containers[0]["env"][1]
    return [settings, workload]


@pytest.mark.parametrize(
    "flags",
    [
        ("apply",),
        ("apply", "--server-side"),
        ("create", "--field-manager=helm"),
        ("apply", "--server-side", "--field-manager=helm"),
    ],
    ids=["kubectl", "kubectl-server-side", "helm", "helm-server-side"],
)
def test_what_a_manifest_has_lost_since_an_earlier_tool_applied_it_goes(
    space: Playground, flags: tuple[str, ...]
) -> None:
    """Label, annotation, key, variable and container: nothing stays for ever; told as adopted."""
    space.write(*_former(space))
    applied_by_kubectl(space, *flags)
    patched(space, "configmap", "settings", {"data": {"theirs": "1"}}, "--field-manager=gitops")
    space.write(*_now(space))

    planned = space.codexctl("plan")
    adopted = space.codexctl("apply")
    again = space.codexctl("apply")

    assert "2 to adopt" in planned.stdout
    assert adopted.returncode == 0, adopted.stderr
    assert f"adopted   ConfigMap {space.namespace}/settings  all.yaml:1" in adopted.stderr
    assert "2 adopted" in adopted.stderr
    settings = space.kubectl("get", "configmap", "settings")
    assert settings["data"] == {"mode": "fast", "theirs": "1"}
    assert settings["metadata"]["labels"] == {"team": "a"}
    assert "annotations" not in settings["metadata"]
    workload = space.kubectl("get", "deployment", "web")
    assert LAST_APPLIED not in workload["metadata"].get("annotations", {})
    [container] = workload["spec"]["template"]["spec"]["containers"]
    assert container["name"] == "app"
    assert [each["name"] for each in container["env"]] == ["A"]
    assert "2 unchanged" in again.stderr


def test_what_a_person_has_added_to_an_adopted_object_stays(space: Playground) -> None:
    """``kubectl edit`` and ``kubectl label`` are no deploys: only what we set is ours."""
    space.write(config_map("settings"))
    applied_by_kubectl(space, "apply")
    kubectl(space, "label", "configmap", "settings", "note=mine")
    edit = {"data": {"mode": "slow", "extra": "1"}}
    patched(space, "configmap", "settings", edit, "--field-manager=kubectl-edit")

    result = space.codexctl("apply")

    assert result.returncode == 0, result.stderr
    assert "took over .data.mode of kubectl-edit" in result.stderr
    found = space.kubectl("get", "configmap", "settings")
    assert found["data"] == {"mode": "fast", "extra": "1"}
    assert found["metadata"]["labels"] == {"note": "mine"}


def test_fields_of_a_controller_stop_the_run_before_it_begins(space: Playground) -> None:
    """All of them at once, each with line and owner; a new object of the set is not applied."""
    space.write(
        config_map("one", {"free": "0", "mode": "theirs"}),
        config_map("two", {"size": "theirs"}),
    )
    applied_by_kubectl(space, "apply", "--server-side", "--field-manager=gitops")
    space.write(config_map("one", {"free": "0", "mode": "ours"}), file="one.yaml")
    space.write(config_map("two", {"size": "ours"}), file="two.yaml")
    space.write(config_map("fresh"), file="all.yaml")

    refused = space.codexctl("apply")

    assert refused.returncode == 4
    fix = "remove the field from the manifest, or take it over with --force-conflicts"
    assert errors(refused) == [
        f"{line_of(space, field, f'{name}.yaml')}ConfigMap {space.namespace}/{name}: "
        f".data.{field} belongs to field manager gitops: {fix}"
        for name, field in (("one", "mode"), ("two", "size"))
    ]
    assert objects(space) == {"ConfigMap/one", "ConfigMap/two"}
    assert space.kubectl("get", "configmap", "one")["data"]["mode"] == "theirs"

    forced = space.codexctl("apply", "--force-conflicts")
    same = space.codexctl("apply")

    assert forced.returncode == 0, forced.stderr
    assert space.kubectl("get", "configmap", "one")["data"]["mode"] == "ours"
    assert space.kubectl("get", "configmap", "two")["data"] == {"size": "ours"}
    assert objects(space) == {"ConfigMap/fresh", "ConfigMap/one", "ConfigMap/two"}
    assert "3 unchanged" in same.stderr


def test_what_is_taken_over_is_in_the_json(space: Playground) -> None:
    """Programs learn which fields of whom a plan would take and a deploy has taken."""
    space.write(config_map("settings"))
    applied_by_kubectl(space, "apply")
    edit = {"data": {"mode": "slow"}}
    patched(space, "configmap", "settings", edit, "--field-manager=kubectl-edit")

    planned = json.loads(space.codexctl("plan", "--output", "json").stdout)
    applied = json.loads(space.codexctl("apply", "--output", "json").stdout)

    [would], [has] = planned["objects"], applied["objects"]
    taken = [{"field": ".data.mode", "manager": "kubectl-edit"}]
    assert (would["action"], would["takesOver"]) == ("adopt", taken)
    assert (has["outcome"], has["takenOver"]) == ("adopted", taken)
