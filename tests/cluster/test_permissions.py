"""What rights an account lacks: the rules that a server lists, and what it really lets through."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.apply.permissions import Need, missing
from codexctl_tasks.errors import ClusterError
from codexctl_tasks.requests.basis import ClusterSettings
from codexctl_tasks.world.clock import SystemClock
from codexctl_tasks.world.cluster import Resource
from codexctl_tasks.world.kubernetes import connect
from tests.support.accounts import kubeconfig_of
from tests.support.deploys import kubectl
from tests.support.shell import QUICK_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from codexctl_tasks.world.cluster import Cluster
    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster

RBAC = "rbac.authorization.k8s.io"
CONFIG_MAPS = Resource("v1", "ConfigMap", "configmaps", namespaced=True)
DEPLOYMENTS = Resource("apps/v1", "Deployment", "deployments", namespaced=True)
CLASSES = Resource("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", namespaced=False)
REVIEWS = Resource(
    "authorization.k8s.io/v1",
    "SelfSubjectRulesReview",
    "selfsubjectrulesreviews",
    namespaced=False,
)
ROLE, CLUSTER_ROLE, WHOLE_CLUSTER = (
    ("Role", "RoleBinding"),
    ("ClusterRole", "RoleBinding"),
    ("ClusterRole", "ClusterRoleBinding"),
)

# Each: how the rules are bound, the rules, and which of the probes the server lets through.
ACCOUNTS: dict[str, tuple[tuple[str, str], list[tuple[str, str, str, str]], str]] = {
    "nothing": (ROLE, [], ""),
    "patch-alone": (ROLE, [("patch", "core", "configmaps", "")], "old"),
    "create-alone": (ROLE, [("create", "core", "configmaps", "")], ""),
    "patch-and-create": (ROLE, [("patch create", "core", "configmaps", "")], "old new"),
    "patch-and-update": (ROLE, [("patch update", "core", "configmaps", "")], "old"),
    "all-but-patch": (ROLE, [("get list watch create update delete", "core", "*", "")], ""),
    "every-verb": (ROLE, [("*", "core apps", "configmaps deployments", "")], "old new web"),
    "every-resource": (ROLE, [("patch create", "apps", "*", "")], "web"),
    "every-group": (ROLE, [("patch create", "*", "configmaps", "")], "old new"),
    "other-group": (ROLE, [("*", "extensions", "configmaps deployments", "")], ""),
    "named": (ROLE, [("patch create", "core", "configmaps", "new")], "new"),
    "named-otherwise": (ROLE, [("patch create", "core", "configmaps", "* ne newer")], ""),
    "create-by-name": (
        ROLE,
        [("patch", "core", "configmaps", ""), ("create", "core", "configmaps", "new")],
        "old new",
    ),
    "subresources": (ROLE, [("*", "*", "configmaps/* */status deployments/scale", "")], ""),
    "bound-cluster-role": (CLUSTER_ROLE, [("*", "apps", "deployments", "")], "web"),
    "whole-cluster": (
        WHOLE_CLUSTER,
        [("patch create", "core scheduling.k8s.io", "*", "")],
        "old new class",
    ),
    "by-name-everywhere": (WHOLE_CLUSTER, [("patch", "*", "*", "class old")], "old"),
}
PROBES: dict[str, tuple[Resource, dict[str, Any], str]] = {
    "old": (CONFIG_MAPS, {"data": {"mode": "fast"}}, "patch"),
    "new": (CONFIG_MAPS, {"data": {"mode": "fast"}}, "patch create"),
    "web": (DEPLOYMENTS, {}, "patch create"),
    "class": (CLASSES, {"value": 1}, "patch create"),
}


def test_what_is_missing_is_what_the_server_refuses(
    playground: Playground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run stops before the first change exactly for those rights that would have stopped it."""
    _in_process(playground, monkeypatch)
    foreseen, answered = {}, {}
    with _accounts(playground, ACCOUNTS):
        for account in ACCOUNTS:
            cluster = _connected(playground, account, tmp_path)
            status = _reviewed(cluster, playground, account)
            foreseen[account] = " ".join(
                probe for probe in PROBES if not missing(_needs(playground, probe), status)
            )
            answered[account] = " ".join(
                probe for probe in PROBES if _lets_through(cluster, playground, probe)
            )

    assert answered == {account: allowed for account, (_, _, allowed) in ACCOUNTS.items()}
    assert foreseen == answered


def test_a_role_cannot_grant_a_kind_of_the_whole_cluster(
    playground: Playground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The review lists such a rule all the same: here only the server's own refusal tells."""
    _in_process(playground, monkeypatch)
    account = {"bound-in-vain": (ROLE, [("*", "*", "*", "")], "old new web")}
    with _accounts(playground, account):
        cluster = _connected(playground, "bound-in-vain", tmp_path)
        status = _reviewed(cluster, playground, "bound-in-vain")
        assert missing(_needs(playground, "class"), status) == []
        assert not _lets_through(cluster, playground, "class")


def test_a_role_speaks_of_its_own_namespace(
    playground: Playground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels of a Namespace can be kept in the stack without rights in the whole cluster."""
    _in_process(playground, monkeypatch)
    account = {"keeper": (ROLE, [("patch", "core", "namespaces", "")], "")}
    namespaces = Resource("v1", "Namespace", "namespaces", namespaced=False)
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": playground.namespace}}
    with _accounts(playground, account):
        cluster = _connected(playground, "keeper", tmp_path)
        status = _reviewed(cluster, playground, "keeper")
        assert missing([Need("patch", "", "namespaces", "", playground.namespace)], status) == []
        cluster.apply(namespaces, "", body, dry_run=True)


def _needs(playground: Playground, probe: str) -> list[Need]:
    resource, _, verbs = PROBES[probe]
    group = resource.api_version.rpartition("/")[0]
    namespace = playground.namespace if resource.namespaced else ""
    return [Need(verb, group, resource.plural, namespace, probe) for verb in verbs.split()]


def _lets_through(cluster: Cluster, playground: Playground, probe: str) -> bool:
    """Ask with dry runs, for which the server wants the same rights, with and without force."""
    resource, content, _ = PROBES[probe]
    body = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": probe},
        **(playground.workload(probe) if resource is DEPLOYMENTS else content),
    }

    def is_allowed(*, force: bool) -> bool:
        try:
            cluster.apply(resource, playground.namespace, body, force=force, dry_run=True)
        except ClusterError as error:
            if error.status != HTTPStatus.FORBIDDEN:
                raise
            return False
        return True

    [answer] = {is_allowed(force=force) for force in (False, True)}
    return answer


def _reviewed(cluster: Cluster, playground: Playground, account: str) -> Mapping[str, Any]:
    """Return the rules of an account as soon as the server knows them."""
    review = {
        "apiVersion": REVIEWS.api_version,
        "kind": REVIEWS.kind,
        "spec": {"namespace": playground.namespace},
    }
    deadline = time.monotonic() + QUICK_S
    while time.monotonic() < deadline:
        status: Mapping[str, Any] = cluster.create(REVIEWS, "", review)["status"]
        if status.get("incomplete"):
            pytest.skip("a webhook decides as well: this server lists no complete rules")
        if any(account in rule.get("resources", ()) for rule in status["resourceRules"]):
            return status
        time.sleep(0.05)
    pytest.fail(f"the rules of {account} never took effect")


@contextmanager
def _accounts(playground: Playground, accounts: Mapping[str, Any]) -> Iterator[None]:
    """Make a ServiceAccount with a role of its own for each entry."""
    namespace = playground.namespace
    kubectl(playground, "create", "namespace", namespace)
    try:
        objects = [o for name in accounts for o in _account(namespace, name, *accounts[name][:2])]
        objects.append(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "old", "namespace": namespace},
            }
        )
        everything = {"apiVersion": "v1", "kind": "List", "items": objects}
        kubectl(playground, "create", "-f", "-", given=json.dumps(everything))
        yield
    finally:
        made_here = ("--selector", f"made-for={namespace}", "--wait=false")
        kubectl(playground, "delete", "clusterroles,clusterrolebindings", *made_here)


def _account(
    namespace: str, name: str, kinds: tuple[str, str], rules: list[tuple[str, str, str, str]]
) -> list[dict[str, Any]]:
    role, binding = kinds
    metadata = {
        "name": f"{namespace}-{name}",
        "namespace": namespace,
        "labels": {"made-for": namespace},
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": namespace},
        },
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": role,
            "metadata": metadata,
            # The first rule says nothing but that the server knows the role and its binding.
            "rules": [
                {"verbs": ["get"], "apiGroups": ["known.example"], "resources": [name]},
                *map(_rule, rules),
            ],
        },
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": binding,
            "metadata": metadata,
            "roleRef": {"apiGroup": RBAC, "kind": role, "name": metadata["name"]},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        },
    ]


def _rule(columns: tuple[str, str, str, str]) -> dict[str, Any]:
    verbs, groups, resources, names = columns
    return {
        "verbs": verbs.split(),
        "apiGroups": ["" if group == "core" else group for group in groups.split()],
        "resources": resources.split(),
        "resourceNames": names.split(),
    }


def _connected(playground: Playground, account: str, folder: Path) -> Cluster:
    """Return the cluster as a ServiceAccount reaches it, by its own token."""
    kubeconfig = kubeconfig_of(playground, account, folder)
    settings = ClusterSettings(kubeconfig=kubeconfig, context="")
    return connect(settings, SystemClock(), pytest.fail)


def _in_process(playground: Playground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reach the cluster from here as the programs do that are started with this environment."""
    for name, value in playground.environment.items():
        monkeypatch.setenv(name, value)
