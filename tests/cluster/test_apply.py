"""What a deploy sends to a real cluster: what differs from the manifests, and nothing else."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.deploys import (
    autoscaler,
    changes,
    claim,
    config_map,
    definition,
    errors,
    kubectl,
    line_of,
    objects,
    patched,
    requests,
    secret,
    service,
    without_pods,
)
from tests.support.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster

NAMED = ("--stack", "shop")


@pytest.fixture
def faults(playground: Playground, tmp_path: Path) -> Iterator[Faults]:
    """Count requests: use it as KUBECONFIG by `faults_file`."""
    with Faults(playground.environment["KUBECONFIG"]) as running:
        running.kubeconfig(tmp_path / "faults.conf")
        yield running


@pytest.fixture
def counted(faults: Faults, tmp_path: Path) -> dict[str, str]:
    """Give the variables that lead through `faults`."""
    assert faults.requests == []
    return {"KUBECONFIG": str(tmp_path / "faults.conf")}


def _mixed(playground: Playground, maps: int) -> list[dict[str, Any]]:
    """Return a stack of many kinds; there are so many ConfigMaps of it."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}}
    job = playground.job("nightly", "true")["spec"]
    return [
        *(config_map(f"map-{number}", {"key": str(number)}) for number in range(maps)),
        secret("db", password="swordfish"),
        claim("disk"),
        account,
        service("web"),
        without_pods(playground.workload("web", env=[{"name": "A", "value": "1"}])),
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": "nightly"},
            "spec": {"schedule": "0 3 * * *", "suspend": True, "jobTemplate": {"spec": job}},
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "web"},
            "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]},
        },
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "web"},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}},
        },
    ]


def test_a_second_run_sends_nothing(
    playground: Playground, faults: Faults, counted: dict[str, str]
) -> None:
    """Reads, as many for 20 ConfigMaps as for 200; one that changed is one request, rehearsed."""
    reads = {}
    for maps in (20, 200):
        stack = _mixed(playground, maps)
        playground.write(*stack)
        first = playground.codexctl("apply", *NAMED)
        assert first.returncode == 0, first.stderr
        faults.requests.clear()

        second = playground.codexctl("apply", *NAMED, **counted)

        assert second.returncode == 0, second.stderr
        assert f"apply    {len(stack)} unchanged" in second.stderr
        assert {seen.method for seen in requests(faults)} == {"GET"}
        reads[maps] = len(requests(faults))
    assert reads[20] == reads[200]
    faults.requests.clear()

    playground.write(*stack[1:], config_map("map-0", {"key": "other"}))
    third = playground.codexctl("apply", *NAMED, **counted)

    assert third.returncode == 0, third.stderr
    assert f"1 changed, {len(stack) - 1} unchanged" in third.stderr
    [sent] = changes(faults)
    assert (sent.method, sent.path.rpartition("/")[2]) == ("PATCH", "map-0")
    assert (faults.count("PATCH"), faults.count("PATCH", query="dryRun=All")) == (2, 1)


def test_an_edit_by_hand_is_reverted_and_told_what_others_added_stays(
    playground: Playground,
) -> None:
    """Our field is as in the manifest again; label, annotation and key of others are theirs."""
    playground.write(config_map("settings", {"mode": "fast", "size": "1"}))
    assert playground.codexctl("apply").returncode == 0
    added = {"labels": {"team": "b"}, "annotations": {"note": "by hand"}}
    edit = {"metadata": added, "data": {"mode": "slow", "extra": "theirs"}}
    patched(playground, "configmap", "settings", edit, "--field-manager=kubectl-edit")

    planned = playground.codexctl("plan")
    reverted = playground.codexctl("apply")
    again = playground.codexctl("apply")

    assert "~ data.mode: slow → fast" in planned.stdout
    assert reverted.returncode == 0, reverted.stderr
    assert f"changed   ConfigMap {playground.namespace}/settings" in reverted.stderr
    assert "took over .data.mode of kubectl-edit" in reverted.stderr
    found = playground.kubectl("get", "configmap", "settings")
    assert found["data"] == {"mode": "fast", "size": "1", "extra": "theirs"}
    assert found["metadata"]["labels"]["team"] == "b"
    assert found["metadata"]["annotations"]["note"] == "by hand"
    assert "1 unchanged" in again.stderr


def test_what_a_manifest_does_not_have_any_more_is_removed(playground: Playground) -> None:
    """A label, a key and a variable that were applied once go with their lines."""
    workload = without_pods(
        playground.workload("web", env=[{"name": n, "value": "1"} for n in "AB"])
    )
    settings = config_map("settings", {"mode": "fast", "old": "1"}, labels={"old": "1"})
    playground.write(settings, workload)
    assert playground.codexctl("apply").returncode == 0
    less = copy.deepcopy(workload)
    del less["spec"]["template"]["spec"]["containers"][0]["env"][1]
    playground.write(config_map("settings"), less)

    result = playground.codexctl("apply")

    assert "2 changed" in result.stderr
    found = playground.kubectl("get", "configmap", "settings")
    assert found["data"] == {"mode": "fast"}
    assert "labels" not in found["metadata"]
    pod = playground.kubectl("get", "deployment", "web")["spec"]["template"]["spec"]
    assert [each["name"] for each in pod["containers"][0]["env"]] == ["A"]


def test_the_autoscaler_of_the_stack_decides_about_replicas(playground: Playground) -> None:
    """A new workload begins with the manifest's number; from then on the live one stands."""
    workload = without_pods(playground.workload("web"), replicas=2)
    playground.write(workload, autoscaler("web"))
    assert playground.codexctl("apply").returncode == 0
    assert playground.kubectl("get", "deployment", "web")["spec"]["replicas"] == 2
    kubectl(playground, "scale", "deployment", "web", "--replicas=4")

    same = playground.codexctl("apply")
    workload["metadata"]["labels"] = {"team": "a"}
    playground.write(workload, autoscaler("web"))
    planned = playground.codexctl("plan")
    changed = playground.codexctl("apply")

    assert "2 unchanged" in same.stderr
    assert "replicas" not in planned.stdout
    assert "1 changed, 1 unchanged" in changed.stderr
    found = playground.kubectl("get", "deployment", "web")
    assert found["spec"]["replicas"] == 4
    assert found["metadata"]["labels"] == {"team": "a"}


def test_an_autoscaler_outside_the_stack_keeps_its_replicas(playground: Playground) -> None:
    """Who scales through ``scale`` is an autoscaler: its number is no conflict, and stays."""
    workload = without_pods(playground.workload("web"), replicas=2)
    playground.write(workload)
    assert playground.codexctl("apply").returncode == 0
    scaled = ("--subresource=scale", "--field-manager=kube-controller-manager")
    patched(playground, "deployment", "web", {"spec": {"replicas": 4}}, *scaled)

    same = playground.codexctl("apply")
    workload["metadata"]["labels"] = {"team": "a"}
    playground.write(workload)
    changed = playground.codexctl("apply")

    assert same.returncode == 0, same.stderr
    assert "1 changed" in changed.stderr
    found = playground.kubectl("get", "deployment", "web")
    assert found["spec"]["replicas"] == 4
    assert found["metadata"]["labels"] == {"team": "a"}


def test_a_changed_job_is_replaced(playground: Playground) -> None:
    """The template of a Job cannot be changed: the plan says so, the new one runs; once."""
    job = playground.job("migrate", "true")
    job["spec"]["suspend"] = True
    playground.write(job)
    assert playground.codexctl("apply").returncode == 0
    before = playground.kubectl("get", "job", "migrate")["metadata"]["uid"]
    job["spec"]["template"]["spec"]["containers"][0]["command"] = ["sh", "-c", "echo 2"]
    playground.write(job)

    planned = playground.codexctl("plan")
    replaced = playground.codexctl("apply")
    after = playground.kubectl("get", "job", "migrate")
    same = playground.codexctl("apply")

    assert f"replace  Job {playground.namespace}/migrate" in planned.stdout
    assert "1 to replace" in planned.stdout
    assert replaced.returncode == 0, replaced.stderr
    assert "1 replaced" in replaced.stderr
    assert after["metadata"]["uid"] != before
    assert after["spec"]["template"]["spec"]["containers"][0]["command"][2] == "echo 2"
    assert "1 unchanged" in same.stderr


def test_other_kinds_are_replaced_only_on_request(playground: Playground) -> None:
    """Without ``codexctl/replace`` an immutable field is an error; with it the object is new."""
    workload = without_pods(playground.workload("web"))
    playground.write(workload)
    assert playground.codexctl("apply").returncode == 0
    for labels in (
        workload["spec"]["selector"]["matchLabels"],
        workload["spec"]["template"]["metadata"]["labels"],
    ):
        labels["tier"] = "front"
    playground.write(workload)

    refused = playground.codexctl("apply")
    workload["metadata"]["annotations"] = {"codexctl/replace": "true"}
    playground.write(workload)
    replaced = playground.codexctl("apply")
    same = playground.codexctl("apply")

    assert refused.returncode == 4
    assert "field is immutable" in refused.stderr
    assert replaced.returncode == 0, replaced.stderr
    assert "1 replaced" in replaced.stderr
    found = playground.kubectl("get", "deployment", "web")["spec"]["selector"]
    assert found == {"matchLabels": {"app": "web", "tier": "front"}}
    assert "1 unchanged" in same.stderr


def test_namespace_kind_and_what_needs_them_come_in_one_set(
    playground: Playground, faults: Faults, counted: dict[str, str]
) -> None:
    """Whatever the order of the files; the second run finds all of it, and sends nothing."""
    group = f"{playground.namespace}.example.com"
    space = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": playground.namespace, "labels": {"team": "a"}},
    }
    widget = {
        "apiVersion": f"{group}/v1",
        "kind": "Widget",
        "metadata": {"name": "one"},
        "spec": {"size": 3},
    }
    playground.write(widget, config_map("settings"), service("web"), file="a.yaml")
    playground.write(definition(group), space, file="b.yaml")
    try:
        first = playground.codexctl("apply-wait", *NAMED)
        second = playground.codexctl("apply-wait", *NAMED, **counted)
        misspelt = {**widget, "spec": {"sise": 3}}
        playground.write(misspelt, config_map("settings"), service("web"), file="a.yaml")
        third = playground.codexctl("apply-wait", *NAMED)
        found = playground.kubectl("get", f"widgets.{group}", "one")["spec"]
    finally:
        kubectl(playground, "delete", "customresourcedefinition", f"widgets.{group}")

    assert first.returncode == 0, first.stderr
    assert "5 created" in first.stderr
    assert second.returncode == 0, second.stderr
    assert "5 unchanged" in second.stderr
    assert changes(faults) == []
    assert third.returncode == 4
    [error] = errors(third)
    assert error.startswith(line_of(playground, "sise", "a.yaml"))
    assert found == {"size": 3}


def test_warnings_of_the_server_come_with_their_place(playground: Playground) -> None:
    """Deprecated kinds, and pods that a standard of the namespace would not like."""
    standard = {"pod-security.kubernetes.io/warn": "restricted"}
    space = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": playground.namespace, "labels": standard},
    }
    playground.write(space, file="space.yaml")
    endpoints = {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "web"}}
    playground.write(endpoints, file="endpoints.yaml")
    playground.write(without_pods(playground.workload("web")), file="web.yaml")

    result = playground.codexctl("apply")

    assert result.returncode == 0, result.stderr
    lines = result.stderr.splitlines()
    old, unsafe = sorted(line for line in lines if line.startswith("warning: "))
    named = f"{playground.namespace}/web: "
    assert old.startswith(f"warning: endpoints.yaml:1: Endpoints {named}")
    assert "is deprecated" in old
    assert unsafe.startswith(f"warning: web.yaml:1: Deployment {named}")
    assert 'would violate PodSecurity "restricted' in unsafe


def test_nothing_is_remembered_without_a_name(
    playground: Playground, faults: Faults, counted: dict[str, str]
) -> None:
    """Plain manifests without --stack leave no label, no lease and no inventory."""
    playground.write(config_map("settings"))

    result = playground.codexctl("apply-wait", **counted)

    assert result.returncode == 0, result.stderr
    assert objects(playground) == {"ConfigMap/settings"}
    assert "labels" not in playground.kubectl("get", "configmap", "settings")["metadata"]
    assert faults.count(path="/leases") == 0
