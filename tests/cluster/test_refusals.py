"""What the API server refuses: one line with the place, exit code 4, nothing hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.accounts import kubeconfig_of
from tests.support.deploys import applied_by_kubectl

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster


def test_a_misspelt_field_is_named_with_its_line(playground: Playground) -> None:
    """`replica: 2` is refused, not ignored, and the line is the field's own."""
    (playground.folder / "web.yaml").write_text(
        yaml.safe_dump(playground.workload("web"), sort_keys=False).replace(
            "spec:\n  selector", "spec:\n  replica: 2\n  selector"
        )
    )

    result = playground.codexctl("apply-wait")

    assert result.returncode == 4
    assert "web.yaml:6: Deployment" in result.stderr
    assert ": spec.replica is no field of Deployment in apps/v1" in result.stderr


def test_an_invalid_value_is_named_with_its_line(playground: Playground) -> None:
    """Validation by the server (422): a line of text for each field, with its place."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"app": "web"},
            "ports": [{"name": "x", "port": 80}, {"name": "y", "port": 99999}],
        },
    }
    playground.write(service)

    result = playground.codexctl("apply-wait")

    assert result.returncode == 4
    port, target = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    name = f"Service {playground.namespace}/web"
    assert f"error: all.yaml:12: {name}: spec.ports[1].port: Invalid value: 99999" in port
    assert "spec.ports[1].targetPort: Invalid value: 99999" in target  # follows from it


def test_missing_permission_is_exit_code_4(playground: Playground, tmp_path: Path) -> None:
    """What a ServiceAccount lacks is told in a line per kind, and nothing was retried."""
    playground.write(playground.workload("web"))
    assert playground.codexctl("apply").returncode == 0
    kubeconfig = kubeconfig_of(playground, "default", tmp_path)

    result = playground.codexctl("apply-wait", "--kubeconfig", kubeconfig)

    assert result.returncode == 4
    assert "this account may not patch, list, watch deployments.apps in namespace" in result.stderr
    assert "ask for this permission" in result.stderr
    assert "attempt" not in result.stderr


def test_a_field_of_another_manager_is_not_overwritten(playground: Playground) -> None:
    """A conflict names manager and field; --force-conflicts takes the field over."""
    settings = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": playground.namespace},
        "data": {"mode": "theirs"},
    }
    playground.write(settings)
    assert playground.codexctl("apply").returncode == 0
    flags = ("--server-side", "--force-conflicts", "--field-manager", "somebody")
    applied_by_kubectl(playground, "apply", *flags)
    playground.write({**settings, "data": {"mode": "ours"}})

    refused = playground.codexctl("apply")
    forced = playground.codexctl("apply", "--force-conflicts")

    assert refused.returncode == 4
    assert ".data.mode belongs to field manager somebody" in refused.stderr
    assert "--force-conflicts" in refused.stderr
    assert forced.returncode == 0, forced.stderr
    assert playground.kubectl("get", "configmap", "settings")["data"] == {"mode": "ours"}


def test_a_kind_that_nobody_knows_stops_before_anything_is_applied(playground: Playground) -> None:
    """The whole set is checked first: the good object is not applied either."""
    good = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}
    bad = {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "one"}}
    playground.write(good, bad)

    result = playground.codexctl("apply")

    assert result.returncode == 4
    assert "the cluster has no kind Gadget in example.com/v1" in result.stderr
    assert "created" not in result.stderr
