"""Other ways to the cluster of a test: another user, another server, an account with few rights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.support.deploys import kubectl, until

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.cluster.conftest import Playground


NOWHERE = yaml.safe_dump(
    {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "nowhere",
        "contexts": [{"name": "nowhere", "context": {"cluster": "nowhere", "user": "nobody"}}],
        "clusters": [{"name": "nowhere", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "nobody", "user": {"token": "sentinel-of-the-cluster"}}],
    }
)
"""A kubeconfig that leads to a port where nobody listens."""


def kubeconfig_for(
    playground: Playground, file: Path, *, user: dict[str, Any] | None = None, server: str = ""
) -> str:
    """Write the kubeconfig of the playground with another user or server; return its path."""
    config = yaml.safe_load(Path(playground.environment["KUBECONFIG"]).read_text())
    # In somebody's own kubeconfig the first user is not always the one of the current context.
    for each in config["users"]:
        each["user"] = user or each["user"]
    for each in config["clusters"]:
        each["cluster"]["server"] = server or each["cluster"]["server"]
    file.write_text(yaml.safe_dump(config))
    return str(file)


def kubeconfig_of(playground: Playground, account: str, folder: Path) -> str:
    """Write a kubeconfig with a token of a ServiceAccount in the namespace; return its path."""
    token = kubectl(playground, "create", "token", account).strip()
    return kubeconfig_for(playground, folder / f"{account}.conf", user={"token": token})


def kubeconfig_with_rights(
    playground: Playground, account: str, folder: Path, rules: Collection[dict[str, Any]]
) -> str:
    """Make a ServiceAccount that may do what *rules* say in its namespace, and wait for that."""
    kubectl(playground, "create", "serviceaccount", account)
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": account},
        # The last rule tells when the server knows the role.
        "rules": [*rules, {"apiGroups": [""], "resources": ["bindings"], "verbs": ["get"]}],
    }
    kubectl(playground, "create", "--filename", "-", given=json.dumps(role))
    user = f"{playground.namespace}:{account}"
    bound = ("--role", account, "--serviceaccount", user)
    kubectl(playground, "create", "rolebinding", account, *bound)
    known = ("auth", "can-i", "get", "bindings", f"--as=system:serviceaccount:{user}")
    until(lambda: "yes" in kubectl(playground, *known, check=False))
    return kubeconfig_of(playground, account, folder)


def tokens(playground: Playground) -> list[str]:
    """Return two tokens of one account that may do everything in its namespace."""
    kubectl(playground, "create", "serviceaccount", "deployer")
    account = f"--serviceaccount={playground.namespace}:deployer"
    kubectl(playground, "create", "rolebinding", "deployer", "--clusterrole=cluster-admin", account)
    return [kubectl(playground, "create", "token", "deployer").strip() for _ in range(2)]
