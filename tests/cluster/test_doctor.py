"""`codexctl doctor` on the real cluster: what an account lacks, and a server that is away."""

from __future__ import annotations

import json
import re
import socket
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.accounts import kubeconfig_for, kubeconfig_of
from tests.support.deploys import kubectl
from tests.support.shell import ROOT, run

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster


def _doctor(playground: Playground, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    where = ("--namespace", playground.namespace)
    environment = {**playground.environment, **env}
    return run("doctor", *words, *where, cwd=ROOT, env=environment)


def test_all_is_well(playground: Playground) -> None:
    """The plain example could be deployed; the namespace would be made."""
    done = _doctor(playground, "--manifests", "examples/plain", "--output", "json")

    assert done.returncode == 0, done.stderr
    assert re.search(
        r"ok +cluster +https://\S+: Kubernetes v1\.\d+\S*, context \S+, as ", done.stderr
    )
    assert f"namespace {playground.namespace}: this account may do all that 2" in done.stderr
    found = json.loads(done.stdout)["findings"]
    states = {each["check"]: each["state"] for each in found}
    assert {states[name] for name in ("stack", "programs", "cluster", "permissions")} == {"ok"}
    assert kubectl(playground, "get", "namespaces").count(playground.namespace) == 0


def test_an_account_without_rights(playground: Playground, tmp_path: Path) -> None:
    """All that is missing in one go, with verb, kind and the line of the manifest."""
    kubectl(playground, "create", "namespace", playground.namespace)
    kubectl(playground, "create", "serviceaccount", "guest")
    kubeconfig = kubeconfig_of(playground, "guest", tmp_path)

    done = _doctor(playground, "--manifests", "examples/plain", KUBECONFIG=kubeconfig)

    assert done.returncode == 4
    user = f"system:serviceaccount:{playground.namespace}:guest"
    assert f"as {user}" in done.stderr
    lines = done.stderr.splitlines()
    wanted = (
        (r"plain/deployment.yaml:\d+", "create, patch, list, watch deployments.apps"),
        (r"plain/service.yaml:\d+", "create, patch services"),
        ("pods", "list, watch pods"),
    )
    for where, what in wanted:
        pattern = rf"failed +permissions +\S*{where}: this account may not {what} in namespace"
        assert any(re.match(pattern, line) for line in lines), done.stderr
    assert re.search(
        r"warning +permissions +\S+: this account may not delete services", done.stderr
    )
    assert kubectl(playground, "get", "deployments", "--output", "name") == ""


def test_a_token_that_is_not_accepted(playground: Playground, tmp_path: Path) -> None:
    """The server's answer, told once."""
    kubeconfig = kubeconfig_for(
        playground, tmp_path / "other.conf", user={"token": "no-such-token"}
    )

    done = _doctor(playground, "--manifests", "examples/plain", KUBECONFIG=kubeconfig)

    assert done.returncode == 4
    assert re.search(r"failed +cluster +.*401.*: log in again", done.stderr)
    assert re.search(r"skipped +permissions +cluster: it cannot be asked", done.stderr)


def test_a_server_that_is_away(playground: Playground, tmp_path: Path) -> None:
    """The rest is checked all the same."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"https://127.0.0.1:{taken.getsockname()[1]}"
    kubeconfig = kubeconfig_for(playground, tmp_path / "other.conf", server=address)

    done = _doctor(playground, KUBECONFIG=kubeconfig)

    assert done.returncode == 4
    assert re.search(rf"failed +cluster +{address}: cannot be reached: ", done.stderr)
    assert re.search(r"(ok|warning) +disk ", done.stderr)


def test_a_deploy_that_lacks_something_changes_nothing(playground: Playground) -> None:
    """The hook stops it before the first object, with the same lines; else it goes on."""
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}
    playground.write(settings)

    def deploy(program: str) -> subprocess.CompletedProcess[str]:
        step = {"use": "preflight", "with": {"programs": [program]}}
        stack = {
            "project": "shop",
            "environments": {"staging": {}},
            "hooks": {"beforeAll": [step]},
            "services": [{"name": "web", "manifests": [{"path": "all.yaml"}]}],
        }
        (playground.folder / "services.yaml").write_text(yaml.safe_dump(stack))
        where = ("--env", "staging", "--namespace", playground.namespace)
        return run("apply", *where, cwd=playground.folder, env=playground.environment)

    lacking, complete = deploy("no-such-program"), deploy("bash")

    assert lacking.returncode == 5
    assert "no-such-program: is not on PATH; named as needed: install it" in lacking.stderr
    assert "created   ConfigMap" not in lacking.stderr
    assert complete.returncode == 0, complete.stderr
    assert "this account may do all that 1 object needs" in complete.stderr
