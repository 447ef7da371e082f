"""What a real cluster would refuse: all of it is said at once, and nothing has been changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.accounts import kubeconfig_with_rights
from tests.support.deploys import (
    changes,
    config_map,
    errors,
    kubectl,
    line_of,
    namespace_exists,
    objects,
    requests,
    service,
    until,
    without_pods,
)
from tests.support.faults import Faults

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cluster.conftest import Playground

    WaitForLine = Callable[[subprocess.Popen[str], str], str]

pytestmark = pytest.mark.cluster

MANY = 10_000
FIX = "correct the manifest"


@pytest.fixture
def space(playground: Playground) -> Playground:
    """Give a playground whose namespace exists."""
    kubectl(playground, "create", "namespace", playground.namespace)
    return playground


def test_every_mistake_in_every_file_is_told_at_once(playground: Playground) -> None:
    """Each with file, line and field; not even the namespace is created, nor the good file."""
    workload = without_pods(playground.workload("web"))
    workload["spec"] = {"replica": 2, **workload["spec"]}
    playground.write(workload, file="a.yaml")
    deeper = without_pods(playground.workload("deep"))
    deeper["spec"]["template"]["spec"]["containers"][0]["imagePulPolicy"] = "Always"
    playground.write(deeper, file="deep.yaml")
    playground.write({**config_map("settings"), "dta": {}}, file="b.yaml")
    gadget = {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "one"}}
    playground.write(gadget, file="c.yaml")
    typed = without_pods(playground.workload("api"))
    typed["spec"]["replicas"] = "two"
    playground.write(typed, file="d.yaml")
    playground.write(config_map("good"), file="e.yaml")

    result = playground.codexctl("apply-wait", "--stack", "shop", "--output", "json")

    assert result.returncode == 4
    space = playground.namespace
    gadget_fix = "correct apiVersion and kind, or install its CustomResourceDefinition"
    expected = {
        ("a.yaml", "replica:", f"Deployment {space}/web"): (
            "spec.replica is no field of Deployment in apps/v1"
        ),
        ("b.yaml", "dta", f"ConfigMap {space}/settings"): "dta is no field of ConfigMap in v1",
        ("d.yaml", "replicas", f"Deployment {space}/api"): (
            "spec.replicas: expected numeric (int or float), got string"
        ),
        ("deep.yaml", "imagePul", f"Deployment {space}/deep"): (
            'spec.template.spec.containers[name="app"].imagePulPolicy '
            "is no field of Deployment in apps/v1"
        ),
    }
    found = errors(result)
    assert found == [
        f"c.yaml:1: the cluster has no kind Gadget in example.com/v1: {gadget_fix}",
        *(
            f"{line_of(playground, field, file)}{name}: {what}: {FIX}"
            for (file, field, name), what in expected.items()
        ),
    ]
    assert "created" not in result.stderr
    assert not namespace_exists(playground)
    report = json.loads(result.stdout)
    told = [": ".join(problem.values()) for problem in report["problems"]]
    assert (report["exitCode"], told) == (4, found)
    assert {each["outcome"] for each in report["objects"]} == {"not applied"}


def test_values_that_the_server_refuses_are_told_at_once(space: Playground) -> None:
    """An invalid value, a name that cannot be, a namespace that nobody makes; all stays as is."""
    space.write(config_map("good"), file="a.yaml")
    space.write(service("web", type="Loadbalancer"), file="b.yaml")
    space.write(config_map("Bad_Name"), file="c.yaml")
    space.write(config_map("far", namespace=f"{space.namespace}-not"), file="d.yaml")

    result = space.codexctl("apply")

    assert result.returncode == 4
    port, name, far = errors(result)
    assert port.startswith(f"{line_of(space, 'type', 'b.yaml')}Service {space.namespace}/web: ")
    assert 'spec.type: Unsupported value: "Loadbalancer"' in port
    assert name.startswith(f"{line_of(space, 'name:', 'c.yaml')}ConfigMap {space.namespace}/Bad")
    assert "metadata.name: Invalid value" in name
    assert far.startswith(f"d.yaml:1: ConfigMap {space.namespace}-not/far: ")
    assert f'namespaces "{space.namespace}-not" not found' in far
    assert objects(space) == set()


def test_immutable_fields_are_told_before_anything_is_applied(playground: Playground) -> None:
    """Selector, cluster IP and a sealed ConfigMap; the new object beside them is not created."""
    stack = [
        without_pods(playground.workload("web")),
        service("web", clusterIP="None"),
        {**config_map("sealed"), "immutable": True},
    ]
    playground.write(*stack)
    assert playground.codexctl("apply").returncode == 0
    workload, headless, sealed = stack
    for labels in (
        workload["spec"]["selector"]["matchLabels"],
        workload["spec"]["template"]["metadata"]["labels"],
    ):
        labels["tier"] = "front"
    headless["spec"]["clusterIP"] = "10.255.255.254"
    sealed["data"] = {"mode": "slow"}
    for number, each in enumerate(stack):
        playground.write(each, file=f"{number}.yaml")
    playground.write(config_map("fresh"), file="all.yaml")

    result = playground.codexctl("apply")

    assert result.returncode == 4
    selector, address, content = errors(result)
    assert selector.startswith(line_of(playground, "selector", "0.yaml"))
    assert "spec.selector: " in selector
    assert "field is immutable" in selector
    assert address.startswith(line_of(playground, "spec", "1.yaml"))
    assert "spec.clusterIPs[0]: Invalid value" in address
    assert content.startswith(line_of(playground, "data", "2.yaml"))
    assert "data: Forbidden: field is immutable" in content
    assert objects(playground) == {"ConfigMap/sealed"}


@pytest.fixture
def policy(space: Playground) -> Iterator[Playground]:
    """Give a namespace where ConfigMaps with the key ``forbidden`` are denied."""
    name = space.namespace
    admission = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": name}}
    here = {"matchLabels": {"kubernetes.io/metadata.name": name}}
    maps = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["configmaps"],
    }
    rule = {"expression": "!('forbidden' in object.data)", "message": "that key is not allowed"}
    items: list[dict[str, Any]] = [
        {
            **admission,
            "kind": "ValidatingAdmissionPolicy",
            "spec": {
                "matchConstraints": {"resourceRules": [maps], "namespaceSelector": here},
                "validations": [rule],
            },
        },
        {
            **admission,
            "kind": "ValidatingAdmissionPolicyBinding",
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        },
    ]
    kinds = "validatingadmissionpolicies,validatingadmissionpolicybindings"
    try:
        everything = {"apiVersion": "v1", "kind": "List", "items": items}
        kubectl(space, "create", "--filename", "-", given=json.dumps(everything))
        probe = json.dumps(config_map("probe", {"forbidden": "1"}))
        trial = ("create", "--dry-run=server", "--filename", "-")
        until(lambda: not kubectl(space, *trial, given=probe, check=False))
        yield space
    finally:
        kubectl(space, "delete", kinds, name, "--ignore-not-found")


def test_a_policy_that_denies_stops_the_run_before_it_begins(policy: Playground) -> None:
    """Its own words, file and line; what it has nothing against is not applied either."""
    policy.write(config_map("good"), file="a.yaml")
    policy.write(config_map("bad", {"forbidden": "1"}), file="b.yaml")

    result = policy.codexctl("apply")

    assert result.returncode == 4
    [error] = errors(result)
    assert error.startswith(f"b.yaml:1: ConfigMap {policy.namespace}/bad: ")
    assert "denied request: that key is not allowed" in error
    assert objects(policy) == set()


def test_missing_permissions_are_told_once_per_kind(space: Playground, tmp_path: Path) -> None:
    """Which verbs are missing for which kind; what would be allowed is not applied either."""
    kubectl(space, "create", "configmap", "old")
    rules = [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "patch"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]},
    ]
    kubeconfig = kubeconfig_with_rights(space, "narrow", tmp_path, rules)
    space.write(config_map("old"), config_map("new"), config_map("newer"), file="a.yaml")
    space.write(*(without_pods(space.workload(name)) for name in ("web", "api")), file="b.yaml")
    space.write(service("web"), file="c.yaml")

    result = space.codexctl("apply", "--kubeconfig", kubeconfig)

    assert result.returncode == 4
    fix = "ask for this permission, or use other credentials"
    assert errors(result) == [
        f"{place}: this account may not {what} in namespace {space.namespace}: {fix}"
        for place, what in (
            ("a.yaml:8", "create configmaps"),
            ("b.yaml:1", "create, patch deployments.apps"),
            ("c.yaml:1", "patch services"),  # nobody knows whether it exists
        )
    ]
    assert objects(space) == {"ConfigMap/old"}
    assert "data" not in space.kubectl("get", "configmap", "old")


def test_an_account_of_one_namespace_is_enough(space: Playground, tmp_path: Path) -> None:
    """It may not even look at the Namespace: a named stack is deployed, pruned and destroyed."""
    everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    kubeconfig = ("--kubeconfig", kubeconfig_with_rights(space, "own", tmp_path, [everything]))
    named = ("--stack", "shop", *kubeconfig)
    space.write(config_map("a"), config_map("b"))
    assert space.codexctl("apply-wait", *named).returncode == 0
    space.write(config_map("a"))

    pruned = space.codexctl("apply-wait", *named)
    left = objects(space)
    destroyed = space.codexctl("destroy", *named)

    assert pruned.returncode == 0, pruned.stderr
    assert left == {"ConfigMap/a", "ConfigMap/codexctl-shop"}
    assert destroyed.returncode == 0, destroyed.stderr
    assert objects(space) == set()


def test_an_object_of_two_files_is_refused(playground: Playground) -> None:
    """Nobody can say which of the two is meant: both places, exit code 3, nothing applied."""
    playground.write(config_map("settings"), config_map("good"), file="a.yaml")
    other = config_map("settings", {"mode": "slow"}, namespace=playground.namespace)
    playground.write(other, file="b.yaml")

    result = playground.codexctl("apply")

    assert result.returncode == 3
    [error] = errors(result)
    name = f"ConfigMap {playground.namespace}/settings"
    assert error == (f"b.yaml:1: {name} is declared twice, first at a.yaml:1: remove one of them")
    assert not namespace_exists(playground)


def test_an_object_without_a_name_is_refused(playground: Playground) -> None:
    """File and line, exit code 3, nothing applied."""
    playground.write(config_map("good"), file="a.yaml")
    playground.write({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}, file="b.yaml")

    result = playground.codexctl("apply")

    assert result.returncode == 3
    assert errors(result) == ["b.yaml:3: metadata.name is missing: add it"]
    assert not namespace_exists(playground)


def test_a_namespace_on_its_way_out_is_awaited_and_made_anew(
    space: Playground, started: list[subprocess.Popen[str]], wait_for_line: WaitForLine
) -> None:
    """Whoever deletes a namespace and deploys again at once gets a whole stack."""
    held = json.dumps(config_map("held", finalizers=["example.com/held"]))
    kubectl(space, "create", "--filename", "-", given=held)
    kubectl(space, "delete", "namespace", space.namespace, "--wait=false")
    before = space.kubectl("get", "namespace", space.namespace)["metadata"]["uid"]
    space.write(config_map("settings"), service("web"))

    process = space.start("apply-wait", "--stack", "shop")
    started.append(process)
    wait_for_line(process, f"Namespace {space.namespace} is being deleted: waiting until it is")
    removal = '{"metadata":{"finalizers":null}}'
    kubectl(space, "patch", "configmap", "held", "--type=merge", "--patch", removal)
    _, rest = process.communicate(timeout=120)

    assert process.returncode == 0, rest
    assert "3 created" in rest
    assert space.kubectl("get", "namespace", space.namespace)["metadata"]["uid"] != before
    assert objects(space) == {"ConfigMap/codexctl-shop", "ConfigMap/settings"}


def test_a_mistake_in_the_last_of_very_many_objects_is_found(
    playground: Playground, tmp_path: Path
) -> None:
    """With a handful of requests: of new objects of one shape one is asked for."""
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m{0}}}\n{1}: {{key: '{0}'}}\n"
    fields = ["data"] * (MANY - 1) + ["dta"]
    documents = [text.format(number, field) for number, field in enumerate(fields)]
    (playground.folder / "all.yaml").write_text("---\n".join(documents))

    with Faults(playground.environment["KUBECONFIG"]) as faults:
        file = str(faults.kubeconfig(tmp_path / "faults.conf"))
        result = playground.codexctl("apply-wait", "--stack", "shop", KUBECONFIG=file)

    assert result.returncode == 4
    [error] = errors(result)
    assert error.startswith(f"{line_of(playground, 'dta')}ConfigMap {playground.namespace}/m9999: ")
    assert changes(faults) == []
    assert faults.count("PATCH") == 3  # the namespace, and one of each shape
    assert len(requests(faults)) < 20
    assert not namespace_exists(playground)
