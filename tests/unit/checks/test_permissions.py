"""Permissions that a stack needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.apply.inventory import CONFIG_MAP, Inventory
from codexctl_tasks.checks.permissions import check_permissions
from codexctl_tasks.stack.manifests import ObjectName
from codexctl_tasks.world.cluster import Resource
from tests.support.checks import lines, subject
from tests.support.fakes import FakeCluster
from tests.support.objects import yaml_of

if TYPE_CHECKING:
    from pathlib import Path

MAP = yaml_of("ConfigMap", "a", "data: {k: v}")
WEB = yaml_of("Deployment", "web", "spec: {replicas: 1}")
NAMESPACES = Resource("v1", "Namespace", "namespaces", namespaced=False)


@pytest.fixture
def cluster() -> FakeCluster:
    """Return a cluster with a namespace."""
    made = FakeCluster()
    _namespace(made, "shop")
    made.calls.clear()
    return made


def _namespace(cluster: FakeCluster, name: str) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    cluster.apply(NAMESPACES, "", body)


def _may(verbs: str, resources: str = "*") -> dict[str, Any]:
    return {"verbs": verbs.split(), "apiGroups": ["*"], "resources": resources.split()}


def _found(folder: Path, cluster: FakeCluster, text: str = MAP + WEB, **more: Any) -> list[str]:
    settings = {"stack_name": "shop.staging", **more}
    return lines(check_permissions(subject(folder, cluster=cluster, manifests=text, **settings)))


def test_who_may_do_everything(tmp_path: Path, cluster: FakeCluster) -> None:
    """One line; nothing is written, and no dry run either."""
    assert _found(tmp_path, cluster) == [
        "ok namespace shop: this account may do all that 2 objects need"
    ]
    assert {call.split()[0] for call in cluster.calls} <= {"get", "list", "review"}


def test_all_that_is_missing_at_once(tmp_path: Path, cluster: FakeCluster) -> None:
    """A line for each kind, with file and line of the first manifest, to be sent to an admin."""
    cluster.rules = [_may("get list watch", "*")]

    found = _found(tmp_path, cluster)

    may_not, fix = "this account may not", "ask for this permission, or use other credentials"
    assert (
        f"failed app.yaml:1: {may_not} create, patch configmaps in namespace shop: {fix}" in found
    )
    assert (
        f"failed app.yaml:7: {may_not} create, patch deployments.apps in namespace shop: {fix}"
        in found
    )


def test_what_is_as_desired_already_is_looked_at_all_the_same(
    tmp_path: Path, cluster: FakeCluster
) -> None:
    """The next change will need it."""
    deployments = Resource("apps/v1", "Deployment", "deployments", namespaced=True)
    desired = subject(tmp_path, manifests=MAP + WEB).manifests
    for kind, manifest in zip((CONFIG_MAP, deployments), desired, strict=True):
        cluster.apply(kind, "shop", manifest.body)
    cluster.rules = [_may("get list watch create delete")]

    found = _found(tmp_path, cluster, stack_name="")

    assert [line.split(": ")[1] for line in found] == [
        "this account may not patch configmaps in namespace shop",
        "this account may not patch deployments.apps in namespace shop",
    ]


def test_waiting_needs_to_watch(tmp_path: Path, cluster: FakeCluster) -> None:
    """Pods and ReplicaSets as well, though nobody has written them down."""
    cluster.rules = [_may("get create patch delete")]

    found = "\n".join(_found(tmp_path, cluster))

    assert "may not list, watch pods in namespace shop" in found
    assert "may not list, watch replicasets.apps in namespace shop" in found


def test_without_the_right_to_delete_there_is_a_warning(
    tmp_path: Path, cluster: FakeCluster
) -> None:
    """A deploy works; destroy would not."""
    cluster.rules = [_may("get list watch create patch")]

    assert _found(tmp_path, cluster, MAP) == [
        (
            "warning app.yaml:1: this account may not delete configmaps in namespace shop: "
            "destroy and pruning need it: ask for this permission"
        )
    ]


def test_what_is_to_be_pruned_must_be_deletable(tmp_path: Path, cluster: FakeCluster) -> None:
    """An object that left the stack: the run that prunes it would fail at its end."""
    inventory = Inventory(cluster, "shop.staging", "shop")
    old = ObjectName("v1", "Secret", "shop", "old")
    inventory.add([old])
    labels = {"codexctl/stack": inventory.label}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "old", "labels": labels}}
    cluster.apply(Resource("v1", "Secret", "secrets", namespaced=True), "shop", body)
    cluster.rules = [_may("get list watch create patch"), _may("delete", "configmaps")]

    assert _found(tmp_path, cluster, MAP) == [
        (
            "failed Secret shop/old: this account may not delete secrets in namespace shop: "
            "ask for this permission, or use other credentials"
        )
    ]


def test_a_namespace_that_has_to_be_made(tmp_path: Path) -> None:
    """Nothing is wrong with that, unless the account may not."""
    cluster = FakeCluster()
    assert _found(tmp_path, cluster)[0].startswith("ok")

    cluster.rules = [_may("*", "configmaps deployments pods replicasets")]
    [missing] = _found(tmp_path, cluster)
    assert missing == (
        "failed services.yaml: this account may not create, patch namespaces in the whole cluster: "
        "ask for this permission, or use other credentials"
    )


def test_somebody_elses_namespace_must_exist(tmp_path: Path, cluster: FakeCluster) -> None:
    """A deploy makes only the stack's own one; one that the stack declares is fine."""
    other = yaml_of("ConfigMap", "b", "data: {k: v}").replace("name: b", "name: b\n  namespace: x")

    [missing] = _found(tmp_path, cluster, MAP + other)
    assert missing == ("failed app.yaml:7: namespace x does not exist: create it, or declare it")
    declared = yaml_of("Namespace", "x", "{}").replace("{}\n", "")
    assert _found(tmp_path, cluster, MAP + other + declared)[0].startswith("ok")


def test_a_namespace_that_is_going(tmp_path: Path, cluster: FakeCluster) -> None:
    """A deploy waits for it, which may take its time."""
    stored = cluster.objects["Namespace", "", "shop"]
    stored["metadata"]["deletionTimestamp"] = "2026-01-02T12:00:00Z"

    assert _found(tmp_path, cluster) == [
        "warning services.yaml: namespace shop is being deleted: a deploy waits until it is gone"
    ]


def test_an_account_that_may_hardly_read(tmp_path: Path, cluster: FakeCluster) -> None:
    """What may not be read stops nothing: a deploy goes on without it, too."""
    cluster.forbidden_kinds = {"Namespace", "ConfigMap", "Deployment"}

    assert _found(tmp_path, cluster)[0].startswith("ok")


def test_an_unknown_kind(tmp_path: Path, cluster: FakeCluster) -> None:
    """File and line, beside everything else that is missing."""
    gadget = "apiVersion: example.com/v1\nkind: Gadget\nmetadata: {name: g}\n"
    cluster.rules = [_may("get list watch delete")]

    found = _found(tmp_path, cluster, gadget + "---\n" + MAP)

    assert found[0].startswith("failed app.yaml:1: the cluster has no kind Gadget")
    assert any("may not create, patch configmaps" in line for line in found)


def test_without_objects_there_is_nothing_to_ask(tmp_path: Path, cluster: FakeCluster) -> None:
    """It says so instead of claiming that all is well."""
    assert _found(tmp_path, cluster, "") == ["skipped stack: no objects are known"]
    assert cluster.calls == []


def test_plain_yaml_for_other_namespaces(tmp_path: Path, cluster: FakeCluster) -> None:
    """The chosen namespace is not missed when nothing is to live in it, nor remembered."""
    text = MAP.replace("name: a", "name: a\n  namespace: shop")
    cluster.rules = [_may("*", "configmaps")]

    found = _found(tmp_path, cluster, text, namespace="nosuch", stack_name="")

    assert found == ["ok namespace nosuch: this account may do all that 1 object needs"]


def test_what_may_not_be_read_is_perhaps_not_there(tmp_path: Path, cluster: FakeCluster) -> None:
    """Then it has to be created: whoever asks for rights asks for this one, too."""
    cluster.forbidden_kinds = {"ConfigMap"}
    cluster.rules = []

    [missing, _] = _found(tmp_path, cluster, MAP)
    assert "may not create, patch configmaps in namespace shop" in missing
